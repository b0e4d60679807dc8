//! A member without space on its disk: it takes no writes of its own clients, and the others go on without its copy.

use std::collections::BTreeMap;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use testkit::{Cluster, Server};
use tonic::{Code, Status};

use crate::client::{channel, eventually, get, leader, put, status};
use crate::disks::{self, exhaust, fill, make_space};
use crate::traffic::refusal;

/// A leader gives its disk five election timeouts.
const IMPATIENT: &[&str] = &["--heartbeat-interval=50", "--election-timeout=500"];

/// Length of a large value: some hundred fill the log that a member has reserved (two files of 64 MiB).
const VALUE_BYTES: usize = 1_000_000;

/// More large values than the reserved log takes.
const PUTS_MAX: usize = 400;

/// Writes when all is said and done.
const AFTER: usize = 20;

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// Keys and the revisions at which they were acknowledged.
#[derive(Default)]
struct Acknowledged(BTreeMap<String, i64>);

impl Acknowledged {
    /// Puts a key of its own.
    async fn put(&mut self, member: &Server, value: &str) -> Result<(), Status> {
        let key = format!("key {}", self.0.len());
        let revision = put(member, &key, value).await?;
        self.0.insert(key, revision);
        Ok(())
    }

    /// Puts large values through a member until something has happened.
    async fn put_until(&mut self, member: &Server, what: &str, mut happened: impl AsyncFnMut() -> bool) {
        let value = "x".repeat(VALUE_BYTES);
        for _ in 0..PUTS_MAX {
            if happened().await {
                return;
            }
            match self.put(member, &value).await {
                Ok(()) => {}
                // While another leader is found. The key may be there all the same, so it is not used again.
                Err(status) => {
                    assert_ne!(status.code(), Code::ResourceExhausted, "{what}: {status}");
                    eventually("a write", || async { put(member, "any", "").await.ok() }).await;
                }
            }
        }
        panic!("{PUTS_MAX} large values, and still not: {what}");
    }

    /// A member has every key, as of its revision, or a later one if the key was written again after an error.
    async fn verify(&self, member: &Server) {
        let all = b"\0".as_slice();
        let request = pb::RangeRequest {
            key: all.into(),
            range_end: all.into(),
            keys_only: true,
            ..pb::RangeRequest::default()
        };
        let reply = eventually("a read", || async {
            KvClient::new(channel(member)).range(request.clone()).await.ok()
        })
        .await;
        let found: BTreeMap<String, i64> = reply
            .into_inner()
            .kvs
            .iter()
            .map(|kv| (String::from_utf8_lossy(&kv.key).into_owned(), kv.mod_revision))
            .collect();
        for (key, revision) in &self.0 {
            assert_eq!(found.get(key), Some(revision), "{}: {key}", member.name());
        }
    }
}

/// What a member without space says to a put.
async fn assert_refused(member: &Server) {
    let refused = put(member, "refused", "").await.expect_err("there is no space");
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, NO_SPACE));
}

#[tokio::test]
async fn a_leader_without_space_is_replaced_and_comes_back_when_there_is_space() {
    let mut cluster = Cluster::start(&disks::program(), 3, IMPATIENT);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let others = [(leads + 1) % 3, (leads + 2) % 3];
    let mut acknowledged = Acknowledged::default();
    acknowledged.put(cluster.member(leads), "before").await.expect("there is space");
    fill(cluster.member(leads));

    let other = cluster.member(others[0]);
    let log_says = |text: &'static str| cluster.member(leads).log().contains(text);
    acknowledged.put_until(other, "a full disk", async || log_says("the raft log cannot grow")).await;
    assert_refused(cluster.member(leads)).await;
    let full = status(cluster.member(leads)).await.expect("a status").header.expect("a header").member_id;
    acknowledged
        .put_until(other, "another leader", async || {
            status(other).await.is_ok_and(|status| status.leader != 0 && status.leader != full)
        })
        .await;
    eventually("a write", || async { put(other, "last", "0").await.ok() }).await;
    let others_go_on = async {
        for number in 1..AFTER {
            let [writer, reader] = [number, number + 1].map(|place| cluster.member(others[place % 2]));
            let value = &number.to_string();
            eventually("a write", || async { put(writer, "last", value).await.ok() }).await;
            let found = eventually("a read", || async { get(reader, "last").await.ok() }).await;
            assert_eq!(found.as_ref(), Some(value));
        }
    };
    // It may have nothing to say: what is not on its disk it gets only so much of.
    let (found, ()) = tokio::join!(get(cluster.member(leads), "last"), others_go_on);
    match found {
        Ok(found) => assert!(found.is_some(), "what was acknowledged before"),
        Err(status) => drop(refusal(&status)),
    }

    // A start needs no space.
    cluster.member_mut(leads).kill();
    let notices = |cluster: &Cluster| cluster.member(leads).log().matches("the raft log cannot grow").count();
    let noticed = notices(&cluster);
    cluster.member_mut(leads).spawn().expect("it starts");
    eventually("it to notice again", || async { (notices(&cluster) > noticed).then_some(()) }).await;
    eventually("a write", || async { put(cluster.member(others[1]), "last", "end").await.ok() }).await;
    make_space(cluster.member(leads));
    cluster.member_mut(leads).await_serving().expect("it serves again");
    for member in cluster.members() {
        acknowledged.verify(member).await;
        let found = eventually("a read", || async { get(member, "last").await.ok() }).await;
        assert_eq!(found.as_deref(), Some("end"));
    }
    eventually("a write through it", || async { put(cluster.member(leads), "last", "really").await.ok() })
        .await;
}

#[tokio::test]
async fn a_member_that_cannot_even_write_what_it_reserved_says_so_and_ends() {
    let mut cluster = Cluster::start(&disks::program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let [ends, other] = [(leads + 1) % 3, (leads + 2) % 3];
    let mut acknowledged = Acknowledged::default();
    acknowledged.put(cluster.member(ends), "before").await.expect("there is space");
    exhaust(cluster.member(ends));
    for number in 0..AFTER {
        let writer = cluster.member([leads, other][number % 2]);
        acknowledged.put(writer, "meanwhile").await.expect("two are enough");
    }
    eventually("the end of the process", || async {
        cluster.member(ends).log().contains("No space left on device").then_some(())
    })
    .await;
    assert_eq!(cluster.member_mut(ends).wait().code(), Some(1));
    let refused = cluster.member_mut(ends).try_restart().expect_err("there is still no space");
    let why = refused.lines().last().unwrap_or_default();
    assert!(why.contains("\"level\":\"fatal\"") && why.contains("No space left on device"), "{refused}");
    make_space(cluster.member(ends));
    cluster.member_mut(ends).restart();
    for member in cluster.members() {
        acknowledged.verify(member).await;
    }
    acknowledged.put(cluster.member(ends), "after").await.expect("there is space");
}
