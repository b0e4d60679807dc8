//! What a client does, on a member of its choice.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::{Cluster, Server, wait};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A connection to a member; made when it is first used, and again when it broke.
pub(crate) fn channel(member: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", member.client_address())).expect("a URL").connect_lazy()
}

/// Puts a key; its revision.
pub(crate) async fn put(member: &Server, key: &str, value: &str) -> Result<i64, Status> {
    let request = pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..pb::PutRequest::default()
    };
    let reply = KvClient::new(channel(member)).put(request).await?.into_inner();
    Ok(reply.header.expect("a reply has a header").revision)
}

/// A read that sees everything that was acknowledged before.
pub(crate) async fn get(member: &Server, key: &str) -> Result<Option<String>, Status> {
    range(member, key, false).await
}

/// A read of what this member happens to have.
pub(crate) async fn get_serializable(member: &Server, key: &str) -> Result<Option<String>, Status> {
    range(member, key, true).await
}

async fn range(member: &Server, key: &str, serializable: bool) -> Result<Option<String>, Status> {
    let request =
        pb::RangeRequest { key: key.to_owned().into(), serializable, ..pb::RangeRequest::default() };
    let reply = KvClient::new(channel(member)).range(request).await?.into_inner();
    Ok(reply.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

/// What a member says of itself.
pub(crate) async fn status(member: &Server) -> Result<pb::StatusResponse, Status> {
    let reply = MaintenanceClient::new(channel(member)).status(pb::StatusRequest {}).await?;
    Ok(reply.into_inner())
}

/// Repeats something until it succeeds: after a member was lost, until there is a leader again.
pub(crate) async fn eventually<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let repeat = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = tokio::time::timeout(2 * wait::DEADLINE, repeat).await;
    limit.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}

/// The index of the member that leads, as all of `among` see it.
pub(crate) async fn leader(cluster: &Cluster, among: &[usize]) -> usize {
    eventually("a leader that all agree on", || async {
        let mut leaders = Vec::new();
        let mut ids = Vec::new();
        for index in among {
            let status = status(cluster.member(*index)).await.ok()?;
            ids.push(status.header?.member_id);
            leaders.push(status.leader);
        }
        let is_one = leaders.windows(2).all(|pair| pair[0] == pair[1]);
        let place = ids.iter().position(|id| *id == leaders[0])?;
        is_one.then(|| among[place])
    })
    .await
}

/// Waits until a member knows of no leader.
pub(crate) async fn leaderless(member: &Server) {
    eventually("no leader", || async {
        let status = status(member).await.expect("a status");
        (status.leader == 0).then_some(())
    })
    .await;
}
