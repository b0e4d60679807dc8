//! Barriers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quorate_client::Client;

use crate::setup::{lone, session, soon, until_line};

#[tokio::test]
async fn a_barrier_holds_until_it_is_released() {
    let (_server, client) = lone!();
    let barrier = client.barrier("barrier");
    soon(barrier.wait()).await.expect("it is open");
    assert!(barrier.hold().await.expect("an answer"));
    assert!(!barrier.hold().await.expect("an answer"), "it is held already");
    let waiting = tokio::spawn({
        let barrier = barrier.clone();
        async move { barrier.wait().await }
    });
    // A bookmark of another watch: the one of the waiter may be there, and has seen nothing.
    client.put("other", "v").await.expect("a put");
    assert!(!waiting.is_finished());
    barrier.release().await.expect("a deletion");
    soon(waiting).await.expect("no panic").expect("it is open");

    let session = session(&client).await;
    assert!(barrier.hold_in(&session).await.expect("an answer"));
    session.close().await.expect("the end");
    soon(barrier.wait()).await.expect("it is open");
}

async fn take_part(client: Client, inside: Arc<AtomicUsize>) {
    let session = session(&client).await;
    let barrier = session.double_barrier("round", 3);
    for round in 1..=4 {
        inside.fetch_add(1, Ordering::SeqCst);
        let place = barrier.enter().await.expect("a place");
        assert!(inside.load(Ordering::SeqCst) >= 3 * round, "all have come");
        place.leave().await.expect("it was inside");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_enter_and_leave_a_double_barrier_together() {
    let (_server, client) = lone!();
    let inside = Arc::new(AtomicUsize::new(0));
    let two = [(); 2].map(|()| tokio::spawn(take_part(client.clone(), inside.clone())));
    until_line(&client, "round/waiters", 2).await;
    assert_eq!(inside.load(Ordering::SeqCst), 2, "two are not enough");
    let third = tokio::spawn(take_part(client.clone(), inside.clone()));
    for task in two.into_iter().chain([third]) {
        soon(task).await.expect("it ends well");
    }
    until_line(&client, "round", 0).await;
}

#[tokio::test]
async fn who_dies_inside_is_not_waited_for() {
    let (_server, client) = lone!();
    let (first, second) = (session(&client).await, session(&client).await);
    let other = tokio::spawn({
        let barrier = first.double_barrier("round", 2);
        async move { barrier.enter().await }
    });
    let place = soon(second.double_barrier("round", 2).enter()).await.expect("a place");
    let _dead = soon(other).await.expect("no panic").expect("a place");
    let leaving = tokio::spawn(place.leave());
    until_line(&client, "round/waiters", 1).await;
    first.close().await.expect("the end");
    soon(leaving).await.expect("no panic").expect("it was inside");
}
