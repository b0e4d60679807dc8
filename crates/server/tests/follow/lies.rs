//! Sources that say what is not so, members of a source that are behind, and two clusters behind one address: nothing of it is
//! taken, and what was a matter of the moment is over when it is.

use proto::quorate_v1::{Fence, Phase};
use testkit::Server;

use crate::liar::{Liar, Lie};
use crate::support::{
    assert_equal, caught_up, cut_over, follower_of, get, in_fault, in_phase, put, quorate, revision, status,
};

/// A source that lies about the two revisions that come next.
async fn assert_stops(lie: impl Fn(i64) -> Lie, why: impl Fn(i64) -> String) {
    let source = Server::start(&quorate(), &[]);
    let liar = Liar::before(&source).await;
    put(&source, "k", "1").await.expect("a put");
    let member = follower_of(&[liar.address()]);
    caught_up(&member, &source).await;
    let next = revision(&source).await + 1;
    liar.says(lie(next));
    put(&source, "k", "2").await.expect("a put");
    put(&source, "other", "3").await.expect("a put");
    let stopped = in_phase(&member, Phase::Stopped).await;
    assert!(stopped.reason.contains(&why(next)), "{}", stopped.reason);
    assert_eq!(get(&member, "k").await.expect("a read"), Some("1".to_owned()));
    assert_eq!(get(&member, "other").await.expect("a read"), None);
    // It has stopped for good, whatever is said then.
    liar.says(Lie::No);
    let refused = cut_over(&member, Fence::None, 0).await.expect_err("it has stopped");
    assert!(refused.message().contains("has stopped"), "{refused}");
    assert!(put(&member, "k", "w").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_leaves_a_revision_out_stops_the_follow() {
    assert_stops(Lie::LeavesOut, |next| format!("revision {next} of the source is missing")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_goes_back_stops_the_follow() {
    let goes_back = |next| Lie::Renames { from: next, to: next - 1 };
    let why = |next| format!("revision {} of the source comes after {}", next - 1, next - 1);
    assert_stops(goes_back, why).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_skips_ahead_stops_the_follow() {
    let skips = |next| Lie::Renames { from: next, to: next + 7 };
    assert_stops(skips, |next| format!("revision {next} of the source is missing")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_the_source_that_is_behind_is_waited_for() {
    let source = Server::start(&quorate(), &[]);
    let (first, second) = (Liar::before(&source).await, Liar::before(&source).await);
    put(&source, "k", "1").await.expect("a put");
    put(&source, "k", "2").await.expect("a put");
    let member = follower_of(&[first.address(), second.address()]);
    caught_up(&member, &source).await;
    // The one that is left does not have yet what the other one has told.
    second.says(Lie::IsAt(revision(&member).await - 1));
    drop(first);
    in_fault(&member, "it is at revision").await;
    assert_eq!(get(&member, "k").await.expect("a read"), Some("2".to_owned()));
    let behind = status(&member).await.expect("a status");
    assert_eq!(behind.phase(), Phase::Following, "{}", behind.reason);
    put(&source, "k", "3").await.expect("a put");
    second.says(Lie::No);
    caught_up(&member, &source).await;
    assert_equal(&source, &member).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_clusters_behind_one_address_only_the_first_is_followed() {
    let source = Server::start(&quorate(), &[]);
    let another = Server::start(&quorate(), &["--initial-cluster-token=another"]);
    let liar = Liar::before(&source).await;
    put(&source, "k", "1").await.expect("a put");
    let member = follower_of(&[liar.address()]);
    caught_up(&member, &source).await;
    for _ in 0..5 {
        put(&another, "k", "of another cluster").await.expect("a put");
    }
    liar.stands_for(&[&source, &another]);
    in_fault(&member, "is followed").await;
    assert_eq!(get(&member, "k").await.expect("a read"), Some("1".to_owned()));
    put(&source, "k", "2").await.expect("a put");
    liar.stands_for(&[&source]);
    caught_up(&member, &source).await;
    assert_equal(&source, &member).await;
    assert_eq!(get(&member, "k").await.expect("a read"), Some("2".to_owned()));
}
