//! Sources, followers, and what is compared of them.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::quorate_v1::follow_client::FollowClient;
use proto::quorate_v1::{
    CutoverRequest, CutoverResponse, Fence, FollowStatusRequest, FollowStatusResponse, Phase,
};
use testkit::{Cluster, Program, Server, wait};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// Pause between two questions.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// A connection to a member; made when it is first used, and again when it broke.
pub(crate) fn channel(server: &Server) -> Channel {
    at(&server.client_address())
}

/// A connection to an address.
pub(crate) fn at(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI").connect_lazy()
}

pub(crate) fn quorate() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built runs")
}

/// A member that follows a source and is alone.
pub(crate) fn follower(source: &Server) -> Server {
    follower_of(&[&source.client_address()])
}

/// A member that follows what is to be had under these addresses, and is alone.
pub(crate) fn follower_of(addresses: &[&str]) -> Server {
    Server::start(&quorate(), &[&format!("--follow-endpoints={}", addresses.join(","))])
}

/// Three members that follow a source.
pub(crate) fn followers(source: &Server) -> Cluster {
    Cluster::start(&quorate(), 3, &[&format!("--follow-endpoints={}", source.client_address())])
}

/// Repeats something until it gives a value.
pub(crate) async fn eventually<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let repeat = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let limit = tokio::time::timeout(2 * wait::DEADLINE, repeat).await;
    limit.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}

pub(crate) fn put_request(key: impl Into<String>, value: impl Into<String>, lease: i64) -> pb::PutRequest {
    pb::PutRequest { key: key.into().into(), value: value.into().into(), lease, ..Default::default() }
}

/// Puts a key; its revision.
pub(crate) async fn put(server: &Server, key: &str, value: &str) -> Result<i64, Status> {
    let reply = KvClient::new(channel(server)).put(put_request(key, value, 0)).await?.into_inner();
    Ok(reply.header.expect("a header").revision)
}

pub(crate) async fn get(server: &Server, key: &str) -> Result<Option<String>, Status> {
    let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
    let reply = KvClient::new(channel(server)).range(request).await?.into_inner();
    Ok(reply.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

pub(crate) async fn revision(server: &Server) -> i64 {
    eventually("an answer", || async {
        let request = pb::RangeRequest { key: "k".into(), ..Default::default() };
        let reply = KvClient::new(channel(server)).range(request).await.ok()?.into_inner();
        Some(reply.header?.revision)
    })
    .await
}

pub(crate) async fn compact(server: &Server, revision: i64) {
    let request = pb::CompactionRequest { revision, physical: true };
    KvClient::new(channel(server)).compact(request).await.expect("a compaction");
}

pub(crate) async fn status(server: &Server) -> Option<FollowStatusResponse> {
    let asked = FollowClient::new(channel(server)).status(FollowStatusRequest {}).await;
    asked.ok().map(tonic::Response::into_inner)
}

/// Waits until a follower has everything that its source has now.
pub(crate) async fn caught_up(follower: &Server, source: &Server) -> FollowStatusResponse {
    let wanted = revision(source).await;
    eventually(&format!("revision {wanted} to be followed"), || async {
        let status = status(follower).await?;
        assert_ne!(status.phase(), Phase::Stopped, "{}", status.reason);
        (status.phase() == Phase::Following && status.revision >= wanted).then_some(status)
    })
    .await
}

/// Waits for a phase.
pub(crate) async fn in_phase(follower: &Server, phase: Phase) -> FollowStatusResponse {
    eventually(phase.as_str_name(), || async {
        status(follower).await.filter(|status| status.phase() == phase)
    })
    .await
}

/// Waits for a fault whose text contains this.
pub(crate) async fn in_fault(follower: &Server, text: &str) {
    eventually(text, || async { status(follower).await.filter(|status| status.fault.contains(text)) }).await;
}

pub(crate) async fn cut_over(
    follower: &Server,
    fence: Fence,
    timeout_ms: i64,
) -> Result<CutoverResponse, Status> {
    let request = CutoverRequest { timeout_ms, fence: fence.into() };
    Ok(FollowClient::new(channel(follower)).cutover(request).await?.into_inner())
}

/// HashKV: hash and compact revision.
pub(crate) async fn hash_kv(server: &Server, revision: i64) -> (u32, i64) {
    let mut maintenance = MaintenanceClient::new(channel(server));
    let reply = maintenance.hash_kv(pb::HashKvRequest { revision }).await.expect("a hash").into_inner();
    (reply.hash, reply.compact_revision)
}

/// Compares two at some revisions between the compact revision and the newest.
pub(crate) async fn assert_equal(one: &Server, other: &Server) {
    let newest = revision(one).await;
    assert_eq!(revision(other).await, newest);
    let (_, compacted) = hash_kv(one, newest).await;
    // The follower asks for the compact revision every so often.
    eventually("the same compact revision", || async {
        (hash_kv(other, newest).await.1 == compacted).then_some(())
    })
    .await;
    let first = compacted.max(2);
    for step in 0..10 {
        let at = newest - step * (newest - first) / 10;
        assert_eq!(hash_kv(other, at).await, hash_kv(one, at).await, "at revision {at}");
    }
}

/// Ids of leases with what was granted and how many keys they have.
pub(crate) async fn leases(server: &Server) -> Vec<(i64, i64, usize)> {
    let mut stub = LeaseClient::new(channel(server));
    let list = stub.lease_leases(pb::LeaseLeasesRequest {}).await.expect("leases").into_inner();
    let mut found = Vec::new();
    for lease in list.leases {
        let request = pb::LeaseTimeToLiveRequest { id: lease.id, keys: true };
        let lease = stub.lease_time_to_live(request).await.expect("a lease").into_inner();
        found.push((lease.id, lease.granted_ttl, lease.keys.len()));
    }
    found.sort_unstable();
    found
}

/// Users with their roles.
pub(crate) async fn users(server: &Server) -> Vec<(String, Vec<String>)> {
    let mut stub = AuthClient::new(channel(server));
    let list = stub.user_list(pb::AuthUserListRequest {}).await.expect("users").into_inner();
    let mut found = Vec::new();
    for name in list.users {
        let request = pb::AuthUserGetRequest { name: name.clone() };
        found.push((name, stub.user_get(request).await.expect("a user").into_inner().roles));
    }
    found
}

/// Writes history with overwritten and deleted keys, transactions of several keys, a compaction in its middle, leases, a
/// user and a role.
pub(crate) async fn fill(server: &Server, keys: i64) {
    let mut kv = KvClient::new(channel(server));
    let mut stub = LeaseClient::new(channel(server));
    for id in [7, i64::MAX, -3] {
        stub.lease_grant(pb::LeaseGrantRequest { id, ttl: 3_600 }).await.expect("a lease");
    }
    for number in 0..2 * keys {
        write(&mut kv, number, keys).await;
        if number == keys {
            compact(server, keys / 2).await;
        }
    }
    let mut auth = AuthClient::new(channel(server));
    let role = pb::AuthRoleAddRequest { name: "reader".to_owned() };
    auth.role_add(role).await.expect("a role");
    let user =
        pb::AuthUserAddRequest { name: "u".to_owned(), password: "p".to_owned(), ..Default::default() };
    auth.user_add(user).await.expect("a user");
    let grant = pb::AuthUserGrantRoleRequest { user: "u".to_owned(), role: "reader".to_owned() };
    auth.user_grant_role(grant).await.expect("a grant");
}

/// One write of a kind that depends on its number.
pub(crate) async fn write(kv: &mut KvClient<Channel>, number: i64, keys: i64) {
    let lease = if number % 10 == 0 { 7 } else { 0 };
    // 3 divides no power of ten: keys are not written in their order.
    let request = put_request(format!("key/{}", number * 3 % keys), format!("value {number}"), lease);
    kv.put(request).await.expect("a put");
    if number % 7 == 0 {
        let key = format!("key/{}", number % keys).into();
        kv.delete_range(pb::DeleteRangeRequest { key, ..Default::default() }).await.expect("a delete");
    }
    if number % 11 == 0 {
        use pb::request_op::Request;
        let operation = |request| pb::RequestOp { request: Some(request) };
        let deletes = pb::DeleteRangeRequest {
            key: format!("txn/{}", number % 5).into(),
            range_end: format!("txn/{}", number % 5 + 2).into(),
            ..Default::default()
        };
        let success = vec![
            operation(Request::RequestDeleteRange(deletes)),
            operation(Request::RequestPut(put_request(format!("other/{number}"), "o", 0))),
            operation(Request::RequestPut(put_request("every time", "e", -3))),
        ];
        kv.txn(pb::TxnRequest { success, ..Default::default() }).await.expect("a transaction");
        kv.put(put_request(format!("txn/{}", number % 6), "t", 0)).await.expect("a put");
    }
}
