//! Locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quorate_client::{Client, Error, Revision, put};

use crate::setup::{connect_all, kill_leader, lone, session, soon, three, until, until_line};

/// What is observed of a lock.
#[derive(Debug, Default)]
struct Observed {
    inside: AtomicUsize,
    tokens: Mutex<Vec<Revision>>,
    is_over: AtomicBool,
}

/// Takes the lock again and again.
async fn work(client: Client, observed: Arc<Observed>) {
    let session = session(&client).await;
    while !observed.is_over.load(Ordering::Relaxed) {
        let held = session.mutex("lock").lock().await.expect("the lock");
        assert_eq!(observed.inside.fetch_add(1, Ordering::SeqCst), 0, "nobody else holds it");
        observed.tokens.lock().push(held.token());
        assert!(held.revision() >= held.token(), "it is held as of a revision at which its key is there");
        let writing = client.txn().when([held.condition()]).then([put("written", held.token().to_string())]);
        match writing.await {
            Ok(answer) => assert!(answer.succeeded, "it is held"),
            Err(error) => eprintln!("not known whether it was written: {error}"),
        }
        assert_eq!(observed.inside.fetch_sub(1, Ordering::SeqCst), 1);
        held.unlock().await.expect("it was held");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_holds_a_lock_while_leaders_are_killed() {
    let mut cluster = three!();
    let observed = Arc::new(Observed::default());
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(tokio::spawn(work(connect_all(&cluster).await, observed.clone())));
    }
    let client = connect_all(&cluster).await;
    let count = || observed.tokens.lock().len();
    for _ in 0..3 {
        let before = count();
        until(async || (count() > before + 10).then_some(())).await;
        kill_leader(&client, &mut cluster).await;
    }
    let before = count();
    until(async || (count() > before + 10).then_some(())).await;
    observed.is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        soon(worker).await.expect("a worker ends well");
    }
    let tokens = observed.tokens.lock().clone();
    assert!(tokens.is_sorted_by(|a, b| a < b), "tokens grow: {tokens:?}");
    until_line(&client, "lock", 0).await;
}

#[tokio::test]
async fn a_lock_is_lost_with_its_lease_and_says_so() {
    let (_server, client) = lone!();
    let (first, second) = (session(&client).await, session(&client).await);
    let held = first.mutex("lock").lock().await.expect("the lock");
    let mutex = second.mutex("lock");
    let next = tokio::spawn(async move { mutex.lock().await });
    until_line(&client, "lock", 2).await;
    held.check().expect("it is held");
    let condition = held.condition();

    client.lease_revoke(first.lease().id()).await.expect("the end");
    let why = soon(held.lost()).await;
    assert!(matches!(why, Error::LeaseLost(id) if id == first.lease().id()), "{why:?}");
    held.check().expect_err("it is lost");
    let next = soon(next).await.expect("no panic").expect("the lock");
    assert!(next.token() > held.token());
    let late = client.txn().when([condition]).then([put("written", "late")]).await.expect("a transaction");
    assert!(!late.succeeded, "who has lost the lock writes nothing");
    assert!(matches!(held.unlock().await, Err(Error::LeaseLost(_))));
    let again = first.mutex("lock").lock().await.expect_err("the session is lost");
    assert!(matches!(again, Error::LeaseLost(_)), "{again:?}");
}

#[tokio::test]
async fn a_lock_is_lost_with_its_key_and_says_so() {
    let (_server, client) = lone!();
    let session = session(&client).await;
    let held = session.mutex("lock").lock().await.expect("the lock");
    client.delete(held.key()).await.expect("a deletion");
    let why = soon(held.lost()).await;
    assert!(matches!(&why, Error::KeyLost { key } if key == held.key()), "{why:?}");
    assert!(matches!(held.check(), Err(Error::KeyLost { .. })));
    assert!(matches!(held.unlock().await, Err(Error::KeyLost { .. })));
}

#[tokio::test]
async fn who_waits_is_told_when_the_session_or_the_key_is_gone() {
    let (_server, client) = lone!();
    let (first, second, third) = (session(&client).await, session(&client).await, session(&client).await);
    let _held = first.mutex("lock").lock().await.expect("the lock");
    let waiting = |mutex: quorate_client::recipes::Mutex| tokio::spawn(async move { mutex.lock().await });
    let (by_lease, by_key) = (waiting(second.mutex("lock")), waiting(third.mutex("lock")));
    until_line(&client, "lock", 3).await;
    client.lease_revoke(second.lease().id()).await.expect("the end");
    let error = soon(by_lease).await.expect("no panic").expect_err("the session is lost");
    assert!(matches!(error, Error::LeaseLost(_)), "{error:?}");
    client.delete(format!("lock/{}", third.lease().id())).await.expect("a deletion");
    let error = soon(by_key).await.expect("no panic").expect_err("the key is lost");
    assert!(matches!(error, Error::KeyLost { .. }), "{error:?}");
}

#[tokio::test]
async fn who_gives_up_leaves_the_line() {
    let (_server, client) = lone!();
    let (first, second, third) = (session(&client).await, session(&client).await, session(&client).await);
    let held = first.mutex("lock").lock().await.expect("the lock");
    let mutex = second.mutex("lock");
    let waiting = tokio::time::timeout(Duration::from_millis(50), mutex.lock());
    waiting.await.expect_err("somebody else holds it");
    assert!(third.mutex("lock").try_lock().await.expect("an answer").is_none());
    until_line(&client, "lock", 1).await;
    drop(held);
    let held = soon(third.mutex("lock").lock()).await.expect("the lock");
    held.unlock().await.expect("it was held");
    let held = third.mutex("lock").try_lock().await.expect("an answer").expect("nobody holds it");
    held.unlock().await.expect("it was held");
}

#[tokio::test]
async fn tasks_with_one_session_exclude_each_other() {
    let (_server, client) = lone!();
    let session = session(&client).await;
    let inside = Arc::new(AtomicUsize::new(0));
    let tasks = (0..5).map(|_| {
        let (mutex, inside) = (session.mutex("lock"), inside.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                let held = mutex.lock().await.expect("the lock");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(held);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        soon(task).await.expect("a task ends well");
    }
    until_line(&client, "lock", 0).await;
}
