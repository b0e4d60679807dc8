//! What a builder can be told besides where the members are.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quorate_client::{Attempt, Client, Code, Observer};
use testkit::{Cluster, Server};

use crate::setup::{connect, lone, three};

/// What an observer is told: method, code, repetition.
type Seen = Arc<Mutex<Vec<(String, Code, u32)>>>;

struct Recording(Seen);

impl Observer for Recording {
    fn attempt(&self, attempt: &Attempt<'_>) {
        assert!(attempt.endpoint.starts_with("127.0.0.1:"), "{attempt:?}");
        self.0.lock().push((attempt.method.to_owned(), attempt.code, attempt.repetition));
    }
}

#[tokio::test]
async fn an_observer_is_told_of_each_attempt() {
    let (server, _client) = lone!();
    let seen = Seen::default();
    let client = Client::builder().endpoints([server.client_address()]).observer(Recording(seen.clone()));
    let client = client.connect().await.expect("a client");
    client.put("k", "v").await.expect("a put");
    client.get("k").revision(1000).await.expect_err("a revision of the future");
    let call = |method: &str, code| (method.to_owned(), code, 0);
    assert_eq!(
        *seen.lock(),
        [call("/etcdserverpb.KV/Put", Code::Ok), call("/etcdserverpb.KV/Range", Code::OutOfRange)]
    );
}

/// Kills two of three, and waits until the third knows that there is no leader.
async fn without_leader() -> (Cluster, String) {
    let mut cluster = three();
    cluster.member_mut(1).kill();
    cluster.member_mut(2).kill();
    let endpoint = cluster.member(0).client_address();
    let client = connect([endpoint.clone()]).await;
    let without = async {
        while client.maintenance().status().await.expect("a status").leader.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(testkit::wait::DEADLINE, without).await.expect("not so long");
    (cluster, endpoint)
}

#[tokio::test]
async fn who_requires_a_leader_is_refused_without_one() {
    let (_cluster, endpoint) = without_leader().await;
    let stale = connect([endpoint.clone()]).await;
    stale.get("k").serializable().await.expect("what the member has");
    let seen = Seen::default();
    let client = Client::builder().endpoints([endpoint]).require_leader().observer(Recording(seen.clone()));
    // How long refusals are repeated.
    let client = client.dial_timeout(Duration::from_millis(300)).connect().await.expect("a client");
    let error = client.get("k").serializable().await.expect_err("there is no leader");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.to_string().contains("etcdserver: no leader"), "{error}");
    let seen = seen.lock();
    assert!(seen.len() > 1, "it is repeated: {seen:?}");
    for (place, (method, code, repetition)) in seen.iter().enumerate() {
        assert_eq!((method.as_str(), *code), ("/etcdserverpb.KV/Range", Code::Unavailable));
        assert_eq!(*repetition as usize, place);
    }
}

#[tokio::test]
async fn the_endpoints_follow_the_members() {
    let mut cluster = three();
    let first = cluster.member(0).client_address();
    let client = Client::builder().endpoints([first.clone()]).sync_interval(Duration::from_millis(20));
    let client = client.connect().await.expect("a client");
    assert_eq!(client.endpoints(), [first]);
    let mut expected: Vec<String> = cluster
        .members()
        .iter()
        .map(Server::client_address)
        .map(|address| format!("http://{address}"))
        .collect();
    expected.sort();
    let all = async {
        loop {
            let mut found = client.endpoints();
            found.sort();
            if found == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(testkit::wait::DEADLINE, all).await.expect("not so long");
    // The one that was given is not needed any more.
    cluster.member_mut(0).kill();
    client.get("k").await.expect("a read");
}
