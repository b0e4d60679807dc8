//! The recipes and etcd's own client take part in the same locks and elections.

use std::process::{Child, Command, Stdio};

use quorate_client::Client;
use testkit::Server;

use crate::setup::{lone, session, soon, until, until_line};

/// Starts `etcdctl`, or returns why there is none.
fn etcdctl(server: &Server, arguments: &[&str]) -> Result<Running, String> {
    let child = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints={}", server.client_address()))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.map(Running).map_err(|error| format!("cannot run etcdctl: {error}"))
}

/// A process that is killed with the test.
struct Running(Child);

impl Running {
    /// Ends it as `kill` does: it lets its lock go.
    fn terminate(&mut self) {
        let sent = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
        self.0.wait().expect("it ends");
    }

    async fn output(&mut self) -> String {
        until(async || self.0.try_wait().expect("its status can be asked")).await;
        let mut text = String::new();
        let mut stdout = self.0.stdout.take().expect("its output");
        std::io::Read::read_to_string(&mut stdout, &mut text).expect("its output is text");
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_lock_of_etcdctl_excludes_ours() {
    let (server, client) = lone!();
    let mut peer = testkit::require!("a_lock_of_etcdctl_excludes_ours", etcdctl(&server, &["lock", "lock"]));
    until_line(&client, "lock", 1).await;
    let session = session(&client).await;
    let mutex = session.mutex("lock");
    assert!(mutex.try_lock().await.expect("an answer").is_none());
    let waiting = tokio::spawn(async move { mutex.lock().await });
    until_line(&client, "lock", 2).await;
    assert!(!waiting.is_finished());
    peer.terminate();
    let held = soon(waiting).await.expect("no panic").expect("the lock");
    held.unlock().await.expect("it was held");
}

#[tokio::test]
async fn our_lock_excludes_that_of_etcdctl() {
    let (server, client) = lone!();
    let session = session(&client).await;
    let held = session.mutex("lock").lock().await.expect("the lock");
    let arguments = ["lock", "lock", "echo", "it has the lock"];
    let mut peer = testkit::require!("our_lock_excludes_that_of_etcdctl", etcdctl(&server, &arguments));
    until_line(&client, "lock", 2).await;
    assert!(peer.0.try_wait().expect("its status can be asked").is_none(), "it waits");
    held.unlock().await.expect("it was held");
    assert_eq!(peer.output().await.trim(), "it has the lock");
}

async fn leader(client: &Client) -> Option<bytes::Bytes> {
    client.election("lead").leader().await.expect("an answer").map(|kv| kv.value)
}

#[tokio::test]
async fn etcdctl_and_this_crate_hand_over_a_lead() {
    let (server, client) = lone!();
    let mut peer = testkit::require!(
        "etcdctl_and_this_crate_hand_over_a_lead",
        etcdctl(&server, &["elect", "lead", "theirs"])
    );
    until(async || leader(&client).await).await;
    assert_eq!(leader(&client).await.expect("a leader"), "theirs");
    let session = session(&client).await;
    let campaign = tokio::spawn({
        let election = client.election("lead");
        async move { election.campaign(&session, "ours").await }
    });
    until_line(&client, "lead", 2).await;
    peer.terminate();
    let lead = soon(campaign).await.expect("no panic").expect("the lead");
    assert_eq!(leader(&client).await.expect("a leader"), "ours");
    let mut peer = etcdctl(&server, &["elect", "lead", "again"]).expect("it ran before");
    until_line(&client, "lead", 2).await;
    lead.resign().await.expect("it led");
    until(async || leader(&client).await.filter(|leader| leader == "again")).await;
    peer.terminate();
}
