//! Leases in a cluster: every member takes every call, the leader counts.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::{Cluster, Server};
use tonic::{Code, Status};

use crate::client::{channel, eventually, get, leader, leaderless};
use crate::program;

/// Longer than any of these tests.
pub(crate) const LONG_SECONDS: i64 = 3600;

pub(crate) async fn grant(member: &Server, ttl: i64) -> i64 {
    try_grant(member, ttl).await.expect("a lease")
}

async fn try_grant(member: &Server, ttl: i64) -> Result<i64, Status> {
    let request = pb::LeaseGrantRequest { id: 0, ttl };
    Ok(LeaseClient::new(channel(member)).lease_grant(request).await?.into_inner().id)
}

pub(crate) async fn put_under(member: &Server, key: &str, lease: i64) {
    try_put_under(member, key, lease).await.expect("a write");
}

async fn try_put_under(member: &Server, key: &str, lease: i64) -> Result<(), Status> {
    let request = pb::PutRequest { key: key.to_owned().into(), lease, ..pb::PutRequest::default() };
    KvClient::new(channel(member)).put(request).await.map(drop)
}

/// Grants a lease of the shortest time and puts a key under it. On a slow machine it may have ended by then: then again.
pub(crate) async fn put_under_short_lease(granter: &Server, member: &Server, key: &str) -> i64 {
    loop {
        let lease = grant(granter, 1).await;
        match try_put_under(member, key, lease).await {
            Ok(()) => return lease,
            Err(status) => assert_eq!(status.message(), "etcdserver: requested lease not found"),
        }
    }
}

/// What is left of a lease, in seconds, and its keys.
pub(crate) async fn time_to_live(member: &Server, id: i64) -> Result<(i64, i64, usize), Status> {
    let request = pb::LeaseTimeToLiveRequest { id, keys: true };
    let reply = LeaseClient::new(channel(member)).lease_time_to_live(request).await?.into_inner();
    Ok((reply.ttl, reply.granted_ttl, reply.keys.len()))
}

/// Renews a lease once; its time to live.
pub(crate) async fn keep_alive(member: &Server, id: i64) -> Result<i64, Status> {
    let requests = tokio_stream::once(pb::LeaseKeepAliveRequest { id });
    let mut replies = LeaseClient::new(channel(member)).lease_keep_alive(requests).await?.into_inner();
    Ok(replies.message().await?.expect("an answer for each request").ttl)
}

#[tokio::test]
async fn every_member_knows_and_renews_every_lease() {
    let cluster = Cluster::start(&program(), 3, &[]);
    for (index, member) in cluster.members().iter().enumerate() {
        let key = format!("key {index}");
        let lease = grant(member, LONG_SECONDS).await;
        put_under(member, &key, lease).await;
        for other in cluster.members() {
            let (left, granted, keys) = time_to_live(other, lease).await.expect("every member answers");
            assert!((1..=LONG_SECONDS).contains(&left), "{left}");
            assert_eq!((granted, keys), (LONG_SECONDS, 1));
            assert_eq!(keep_alive(other, lease).await.expect("every member renews"), LONG_SECONDS);
        }
    }
    for member in cluster.members() {
        assert_eq!(time_to_live(member, 7).await.expect("an answer").0, -1, "no such lease");
        assert_eq!(keep_alive(member, 7).await.expect("an answer"), 0, "no such lease");
    }
}

/// More keys than a message between members may have.
#[tokio::test]
async fn every_member_lists_the_keys_of_a_lease_however_many_they_are() {
    const KEYS: usize = (64 << 10) + 1;
    const PER_TXN: usize = 128;
    let cluster = Cluster::start(&program(), 3, &[]);
    let lease = grant(cluster.member(0), LONG_SECONDS).await;
    let put = |number: usize| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
            key: format!("{number:06}").into(),
            lease,
            ..pb::PutRequest::default()
        })),
    };
    let mut client = KvClient::new(channel(cluster.member(0)));
    for first in (0..KEYS).step_by(PER_TXN) {
        let success = (first..KEYS.min(first + PER_TXN)).map(put).collect();
        client.txn(pb::TxnRequest { success, ..pb::TxnRequest::default() }).await.expect("a write");
    }
    for member in cluster.members() {
        let (left, granted, keys) = time_to_live(member, lease).await.expect("every member answers");
        assert!((1..=LONG_SECONDS).contains(&left), "{left}");
        assert_eq!((granted, keys), (LONG_SECONDS, KEYS));
    }
}

#[tokio::test]
async fn a_lease_that_nobody_renews_ends_everywhere() {
    let cluster = Cluster::start(&program(), 3, &[]);
    let lease = put_under_short_lease(cluster.member(1), cluster.member(2), "key").await;
    for member in cluster.members() {
        eventually("the key to go", || async {
            get(member, "key").await.expect("a read").is_none().then_some(())
        })
        .await;
        assert_eq!(time_to_live(member, lease).await.expect("an answer").0, -1);
    }
}

#[tokio::test]
async fn leases_outlive_their_leader() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let lease = grant(cluster.member(leads), LONG_SECONDS).await;
    put_under(cluster.member(leads), "key", lease).await;
    cluster.member_mut(leads).kill();
    for index in (0..3).filter(|index| *index != leads) {
        let member = cluster.member(index);
        let renewed = eventually("a renewal", || async { keep_alive(member, lease).await.ok() }).await;
        assert_eq!(renewed, LONG_SECONDS);
        let (left, ..) =
            eventually("what is left", || async { time_to_live(member, lease).await.ok() }).await;
        assert!((1..=LONG_SECONDS).contains(&left), "{left}");
        assert!(get(member, "key").await.expect("a read").is_some());
    }
}

/// A lease that this test keeps alive, and whether it was fast enough for that.
struct Kept {
    lease: i64,
    /// When the last renewal that succeeded was asked for.
    renewed: Cell<Instant>,
    /// For how long no renewal succeeded, at most.
    longest: Cell<Duration>,
}

impl Kept {
    async fn grant(member: &Server, seconds: i64) -> Kept {
        let renewed = Cell::new(Instant::now());
        Kept { lease: grant(member, seconds).await, renewed, longest: Cell::default() }
    }

    async fn renew(&self, member: &Server) {
        let asked = Instant::now();
        if keep_alive(member, self.lease).await.is_ok_and(|left| left > 0) {
            self.longest.set(self.longest.get().max(self.renewed.get().elapsed()));
            self.renewed.set(asked);
        }
    }

    /// Returns whether the lease may have ended because no renewal came in time.
    fn was_late(&self, seconds: i64) -> bool {
        let longest = self.longest.get().max(self.renewed.get().elapsed());
        longest >= Duration::from_secs(seconds as u64)
    }
}

#[tokio::test]
async fn a_leader_that_was_paused_for_longer_than_a_lease_lasts_expires_nothing() {
    // A test that was too slow to renew in time has seen nothing.
    while !a_paused_leader_expires_nothing().await {}
}

/// Returns whether there was anything to be seen.
async fn a_paused_leader_expires_nothing() -> bool {
    const SECONDS: i64 = 5;
    let cluster = Cluster::start(&program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let other = cluster.member((leads + 1) % 3);
    let left_alone = grant(other, SECONDS).await;
    let kept = Kept::grant(other, SECONDS).await;
    for (key, lease) in [("renewed", kept.lease), ("left alone", left_alone)] {
        if try_put_under(other, key, lease).await.is_err() {
            return false;
        }
    }
    // When this lease has ended, the other one would have, too, had nobody renewed it where the paused leader did not see it.
    cluster.member(leads).pause();
    eventually("the end of one lease", || async {
        kept.renew(other).await;
        get(other, "left alone").await.is_ok_and(|found| found.is_none()).then_some(())
    })
    .await;
    cluster.member(leads).resume();
    // Long enough for the old leader to look at its leases.
    let meanwhile = eventually("a new lease", || async { try_grant(other, 1).await.ok() }).await;
    eventually("the end of the new lease", || async {
        kept.renew(other).await;
        let (left, ..) = time_to_live(other, meanwhile).await.ok()?;
        (left == -1).then_some(())
    })
    .await;
    for member in cluster.members() {
        let found = eventually("a read", || async { get(member, "renewed").await.ok() }).await;
        assert!(found.is_some() || kept.was_late(SECONDS), "{} has lost the key", member.name());
    }
    !kept.was_late(SECONDS)
}

#[tokio::test]
async fn without_a_leader_nobody_says_what_is_left_of_a_lease() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let lease = grant(cluster.member(0), LONG_SECONDS).await;
    cluster.member_mut(1).kill();
    cluster.member_mut(2).kill();
    let member = cluster.member(0);
    leaderless(member).await;
    let asked = (time_to_live(member, lease), keep_alive(member, lease));
    let (left, renewed) = tokio::join!(asked.0, asked.1);
    for refused in [left.map(drop), renewed.map(drop)] {
        let status = refused.expect_err("only the leader knows");
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));
    }
}
