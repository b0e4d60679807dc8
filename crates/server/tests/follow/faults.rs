//! Sources that are not what they were: nothing of them is taken.

use std::path::Path;

use proto::quorate_v1::{Fence, Phase};
use testkit::{Program, Server, require};

use crate::support::{
    assert_equal, caught_up, cut_over, follower, get, in_fault, in_phase, put, quorate, revision, status,
};

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_under_the_same_address_is_not_followed() {
    let mut source = Server::start(&require!("another cluster", Program::etcd()), &[]);
    put(&source, "k", "v").await.expect("a put");
    let member = follower(&source);
    caught_up(&member, &source).await;
    source.kill();
    std::fs::remove_dir_all(source.data_dir()).expect("its data goes");
    source.set_extra(&["--initial-cluster-token=another"]);
    source.restart();
    for _ in 0..5 {
        put(&source, "k", "of another cluster").await.expect("a put");
    }
    in_fault(&member, "is followed").await;
    assert_eq!(get(&member, "k").await.expect("a read"), Some("v".to_owned()));
    let refused = cut_over(&member, Fence::None, 1_000).await.expect_err("there is nothing to cut over from");
    assert!(!refused.message().is_empty());
    assert!(put(&member, "k", "w").await.is_err());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// A source that lost its newest writes and made others in their place.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_went_back_and_on_from_there_stops_the_follow() {
    let mut source = Server::start(&require!("a source that went back", Program::etcd()), &[]);
    put(&source, "k", "1").await.expect("a put");
    source.terminate();
    let kept = tempfile::tempdir().expect("a temporary directory");
    copy(source.data_dir(), kept.path());
    source.restart();
    for number in 2..5 {
        put(&source, "k", &number.to_string()).await.expect("a put");
    }
    let member = follower(&source);
    caught_up(&member, &source).await;
    let had = revision(&member).await;
    source.kill();
    std::fs::remove_dir_all(source.data_dir()).expect("its data goes");
    copy(kept.path(), source.data_dir());
    source.restart();
    in_fault(&member, "it is at revision").await;
    // Other keys meanwhile: what comes then is another version of this one than is known here.
    while revision(&source).await < had {
        put(&source, "other", "history").await.expect("a put");
    }
    put(&source, "k", "of another history").await.expect("a put");
    let stopped = in_phase(&member, Phase::Stopped).await;
    assert!(stopped.reason.contains("is another version than is here"), "{}", stopped.reason);
    assert_eq!(get(&member, "k").await.expect("a read"), Some("4".to_owned()));
    let refused = cut_over(&member, Fence::None, 0).await.expect_err("it has stopped");
    assert!(refused.message().contains("has stopped"), "{refused}");
    assert!(put(&member, "k", "w").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_written_to_does_not_begin_to_follow() {
    let source = Server::start(&quorate(), &[]);
    let mut member = Server::start(&quorate(), &[]);
    put(&member, "own", "v").await.expect("a put");
    member.terminate();
    member.set_extra(&[&format!("--follow-endpoints={}", source.client_address())]);
    member.restart();
    in_fault(&member, "never written to").await;
    assert_eq!(get(&member, "own").await.expect("a read"), Some("v".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_reached_is_said_and_followed_when_it_can() {
    let mut source = Server::start(&quorate(), &[]);
    put(&source, "k", "v").await.expect("a put");
    let member = follower(&source);
    caught_up(&member, &source).await;
    source.kill();
    member_is_in_fault(&member).await;
    source.restart();
    put(&source, "k", "w").await.expect("a put");
    caught_up(&member, &source).await;
    assert_equal(&source, &member).await;
}

async fn member_is_in_fault(member: &Server) {
    crate::support::eventually("a fault", || async {
        status(member).await.filter(|status| !status.fault.is_empty())
    })
    .await;
}
