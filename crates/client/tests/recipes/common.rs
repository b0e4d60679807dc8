//! Servers, clients and waiting, whatever the server is.

use std::time::Duration;

use quorate_client::recipes::Session;
use quorate_client::{Client, prefix};
use testkit::{Cluster, Program, Server};

/// Long enough for what is not to be lost on a loaded machine.
pub(crate) const TTL: Duration = Duration::from_secs(20);

/// One member, and a client of it; or leaves the test, and says why, if there is no such server.
macro_rules! lone {
    () => {{
        let program = testkit::require!(module_path!(), $crate::setup::program());
        $crate::setup::start(&program).await
    }};
}

/// Three members; or leaves the test, and says why, if there is no such server.
macro_rules! three {
    () => {
        testkit::Cluster::start(&testkit::require!(module_path!(), $crate::setup::program()), 3, &[])
    };
}
pub(crate) use {lone, three};

/// Starts a member, and a client of it.
pub(crate) async fn start(program: &Program) -> (Server, Client) {
    let server = Server::start(program, &[]);
    let client = connect([server.client_address()]).await;
    (server, client)
}

/// A client of all members.
pub(crate) async fn connect_all(cluster: &Cluster) -> Client {
    connect(cluster.members().iter().map(Server::client_address)).await
}

/// A client of some endpoints.
pub(crate) async fn connect(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Client {
    Client::builder().endpoints(endpoints).connect().await.expect("a client")
}

/// A session of a client.
pub(crate) async fn session(client: &Client) -> Session {
    client.session(TTL).await.expect("a session")
}

/// Waits until a line of keys has so many.
pub(crate) async fn until_line(client: &Client, name: &str, count: i64) {
    until(async || {
        let line = client.get(prefix(format!("{name}/"))).count_only().await.expect("a count");
        (line.count == count).then_some(())
    })
    .await;
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(testkit::wait::DEADLINE, asking).await.expect("not so long")
}

/// Waits for what must come.
pub(crate) async fn soon<F: IntoFuture>(future: F) -> F::Output {
    tokio::time::timeout(testkit::wait::DEADLINE, future.into_future()).await.expect("not so long")
}

/// Waits until a member leads, and returns its index.
pub(crate) async fn leader(client: &Client, cluster: &Cluster) -> usize {
    until(async || {
        for (index, member) in cluster.members().iter().enumerate() {
            let member = client.at(&member.client_address());
            let asked = tokio::time::timeout(Duration::from_secs(2), member.maintenance().status()).await;
            let Ok(Ok(status)) = asked else { continue };
            if status.leader == Some(status.header.member) {
                return Some(index);
            }
        }
        None
    })
    .await
}

/// Kills the leader, lets the others go on for a while, and starts it again.
pub(crate) async fn kill_leader(client: &Client, cluster: &mut Cluster) {
    let index = leader(client, cluster).await;
    cluster.member_mut(index).kill();
    // The others have a leader when a write is done.
    until(async || client.put("after/the/kill", "v").timeout(Duration::from_secs(2)).await.ok()).await;
    cluster.member_mut(index).restart();
}
