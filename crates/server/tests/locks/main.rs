//! The services of locks and elections on real servers: one lock, one leader, whoever waits, goes, or loses its lease; and errors
//! as etcd has them, where there is one.

mod elections;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::v3lockpb::lock_client::LockClient;
use proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest};
use testkit::{Cluster, Program, Server, http, skip, wait};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// The binary that Cargo built.
fn quorate() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("a server")
}

fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL").connect_lazy()
}

async fn grant(channel: &Channel, id: i64, ttl: i64) {
    let request = pb::LeaseGrantRequest { id, ttl };
    LeaseClient::new(channel.clone()).lease_grant(request).await.expect("a lease");
}

async fn revoke(channel: &Channel, id: i64) {
    LeaseClient::new(channel.clone()).lease_revoke(pb::LeaseRevokeRequest { id }).await.expect("an end");
}

async fn lock(channel: &Channel, name: &'static str, lease: i64) -> Result<LockResponse, Status> {
    let request = LockRequest { name: name.into(), lease };
    LockClient::new(channel.clone()).lock(request).await.map(tonic::Response::into_inner)
}

async fn unlock(channel: &Channel, key: impl Into<bytes::Bytes>) -> Result<i64, Status> {
    let reply = LockClient::new(channel.clone()).unlock(UnlockRequest { key: key.into() }).await?;
    Ok(reply.into_inner().header.expect("a header").revision)
}

/// Asks for a lock that somebody has. Returns when the waiting key is there.
async fn wait_for_lock(
    channel: &Channel,
    name: &'static str,
    lease: i64,
) -> JoinHandle<Result<LockResponse, Status>> {
    let waits = tokio::spawn({
        let channel = channel.clone();
        async move { lock(&channel, name, lease).await }
    });
    await_key(channel, &format!("{name}/{lease:x}"), 1).await;
    waits
}

/// Returns when a key is there, or not.
async fn await_key(channel: &Channel, key: &str, count: i64) {
    let mut kv = KvClient::new(channel.clone());
    loop {
        let get = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
        if kv.range(get).await.expect("a reply").into_inner().count == count {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_lock_goes_from_one_to_the_next_in_the_order_of_asking() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    for lease in 1..=4 {
        grant(&channel, lease, 600).await;
    }
    let first = lock(&channel, "l", 1).await.expect("a lock");
    assert_eq!((&first.key[..], first.header.expect("a header").revision), (&b"l/1"[..], 2));
    let again = lock(&channel, "l", 1).await.expect("the same lock");
    assert_eq!(again.key, first.key, "who has it gets it again");
    let mut others = Vec::new();
    for lease in 2..=4 {
        others.push(wait_for_lock(&channel, "l", lease).await);
    }
    let mut held = first.key;
    for (number, other) in others.into_iter().enumerate() {
        assert!(!other.is_finished());
        let given_back = unlock(&channel, held).await.expect("the lock is given back");
        let next = other.await.expect("a task").expect("a lock");
        assert_eq!(next.key, format!("l/{}", number + 2));
        assert!(next.header.expect("a header").revision >= given_back);
        held = next.key;
    }
    unlock(&channel, held).await.expect("the last one");
    unlock(&channel, "l/1").await.expect("what is not there is given back already");
}

#[tokio::test]
async fn who_stops_waiting_leaves_the_line() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    for lease in 1..=3 {
        grant(&channel, lease, 600).await;
    }
    let first = lock(&channel, "l", 1).await.expect("a lock");
    let second = wait_for_lock(&channel, "l", 2).await;
    let third = wait_for_lock(&channel, "l", 3).await;
    second.abort();
    await_key(&channel, "l/2", 0).await;
    unlock(&channel, first.key).await.expect("the lock is given back");
    assert_eq!(third.await.expect("a task").expect("a lock").key, "l/3");
}

#[tokio::test]
async fn who_loses_the_lease_while_waiting_does_not_get_the_lock() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    for lease in 1..=2 {
        grant(&channel, lease, 600).await;
    }
    let first = lock(&channel, "l", 1).await.expect("a lock");
    let second = wait_for_lock(&channel, "l", 2).await;
    revoke(&channel, 2).await;
    unlock(&channel, first.key).await.expect("the lock is given back");
    let lost = second.await.expect("a task").expect_err("the lease is gone");
    assert_eq!((lost.code(), lost.message()), (Code::Unknown, "mutex: session is expired"));
}

/// The lease lives for five seconds and the wait is longer: the member renews it.
#[tokio::test]
async fn a_lease_is_kept_alive_while_its_lock_is_waited_for() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    grant(&channel, 1, 600).await;
    grant(&channel, 2, 5).await;
    grant(&channel, 3, 8).await;
    let first = lock(&channel, "l", 1).await.expect("a lock");
    let second = wait_for_lock(&channel, "l", 2).await;
    // A lease that nobody renews, granted later and for longer, has ended.
    await_lease_end(&channel, 3).await;
    unlock(&channel, first.key).await.expect("the lock is given back");
    assert_eq!(second.await.expect("a task").expect("a lock").key, "l/2");
}

async fn await_lease_end(channel: &Channel, id: i64) {
    let mut leases = LeaseClient::new(channel.clone());
    loop {
        let ask = pb::LeaseTimeToLiveRequest { id, keys: false };
        if leases.lease_time_to_live(ask).await.expect("a reply").into_inner().ttl == -1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_a_lease_one_is_granted() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    let locked = lock(&channel, "l", 0).await.expect("a lock");
    let lease = std::str::from_utf8(&locked.key[2..]).expect("hexadecimal");
    let id = i64::from_str_radix(lease, 16).expect("hexadecimal");
    let ask = pb::LeaseTimeToLiveRequest { id, keys: true };
    let found =
        LeaseClient::new(channel.clone()).lease_time_to_live(ask).await.expect("a reply").into_inner();
    assert_eq!((found.granted_ttl, found.keys), (60, vec![locked.key]));
}

/// Waits on one member, is given the lock on another, and the leader dies in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_while_the_leader_dies() {
    let mut cluster = Cluster::start(&quorate(), 3, &[]);
    let channels: Vec<_> = cluster.members().iter().map(channel).collect();
    grant(&channels[0], 1, 600).await;
    grant(&channels[0], 2, 600).await;
    let first = lock(&channels[0], "l", 1).await.expect("a lock");
    let leader = leader_of(&cluster).await;
    let [waits_at, asks_at] = [1, 2].map(|step| (leader + step) % 3);
    let second = wait_for_lock(&channels[waits_at], "l", 2).await;
    cluster.member_mut(leader).kill();
    let asked = cluster.member(asks_at).client_address();
    let serves = || http::try_get(&asked, "/health").is_ok_and(|health| health.status == 200);
    wait::until("a new leader", || serves().then_some(()));
    unlock(&channels[asks_at], first.key).await.expect("the lock is given back");
    assert_eq!(second.await.expect("a task").expect("a lock").key, "l/2");
}

/// Returns which member leads.
async fn leader_of(cluster: &Cluster) -> usize {
    use proto::etcdserverpb::maintenance_client::MaintenanceClient;
    for (index, member) in cluster.members().iter().enumerate() {
        let status = MaintenanceClient::new(channel(member)).status(pb::StatusRequest {}).await;
        let status = status.expect("a status").into_inner();
        if status.leader == status.header.expect("a header").member_id {
            return index;
        }
    }
    panic!("nobody leads");
}

/// A member that leaves does not wait for those who wait.
#[tokio::test]
async fn a_member_that_stops_says_so_to_those_who_wait() {
    let mut server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    grant(&channel, 1, 600).await;
    grant(&channel, 2, 600).await;
    lock(&channel, "l", 1).await.expect("a lock");
    let second = wait_for_lock(&channel, "l", 2).await;
    server.terminate();
    let ended = second.await.expect("a task").expect_err("the member stops");
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
}

/// Calls that fail, and how: name of the call, code and text.
async fn failures(server: &Server) -> Vec<(&'static str, Code, String)> {
    let channel = channel(server);
    let mut failed = Vec::new();
    let mut note = |what, result: Result<(), Status>| {
        let status = result.expect_err(what);
        failed.push((what, status.code(), status.message().to_owned()));
    };
    note("a lock with a lease that is not there", lock(&channel, "l", 99).await.map(drop));
    note("giving the empty key back", unlock(&channel, "").await.map(drop));
    elections::failures(&channel, &mut note).await;
    failed
}

#[tokio::test]
async fn errors_are_etcds() {
    let ours = failures(&Server::start(&quorate(), &[])).await;
    assert!(ours.iter().all(|(_, code, _)| *code == Code::Unknown), "{ours:?}");
    let etcd = match Program::etcd() {
        Ok(etcd) => etcd,
        Err(why) => return skip::excuse("locks::errors_are_etcds", &why),
    };
    assert_eq!(ours, failures(&Server::start(&etcd, &[])).await);
}
