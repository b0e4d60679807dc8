//! Figures of `/metrics` that dashboards show: what they are about happens, and they move.

use std::future::ready;
use std::io::{Read, Write};

use futures_util::{StreamExt, stream};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use testkit::{Cluster, Server, http};
use tokio::sync::oneshot;

use crate::client::{channel, eventually, leader, put};
use crate::history::watch;
use crate::program;

/// What one request or another of [`everything_once`] is about, each with the least that it must show.
const MOVED: &[(&str, f64)] = &[
    ("etcd_debugging_mvcc_total_put_size_in_bytes", 40.0),
    ("etcd_debugging_mvcc_db_compaction_keys_total", 3.0),
    ("etcd_debugging_mvcc_db_compaction_last", 1_700_000_000.0),
    ("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count", 1.0),
    ("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count", 1.0),
    ("etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds_count", 1.0),
    ("etcd_disk_backend_defrag_duration_seconds_count", 1.0),
    ("etcd_mvcc_hash_duration_seconds_count", 1.0),
    ("etcd_mvcc_hash_rev_duration_seconds_count", 1.0),
    ("etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds_count", 1.0),
    ("etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds_count", 1.0),
    ("etcd_debugging_server_watch_send_loop_control_stream_duration_seconds_count", 1.0),
];

/// Writes, watches, compacts, hashes and defragments.
async fn everything_once(member: &Server) {
    let first = put(member, "key", "0123456789").await.expect("a write");
    let mut events = watch(&channel(member), first).await.expect("a watch");
    for _ in 0..3 {
        put(member, "key", "0123456789").await.expect("a write");
    }
    let mut seen = 0;
    while seen < 4 {
        seen += events.message().await.expect("a watch").expect("a watch").events.len();
    }
    let compaction = pb::CompactionRequest { revision: first + 2, physical: true };
    KvClient::new(channel(member)).compact(compaction).await.expect("a compaction");
    let mut maintenance = MaintenanceClient::new(channel(member));
    maintenance.defragment(pb::DefragmentRequest {}).await.expect("a defragmentation");
    maintenance.hash(pb::HashRequest {}).await.expect("a hash");
    maintenance.hash_kv(pb::HashKvRequest::default()).await.expect("a hash");
}

#[tokio::test]
async fn what_a_member_does_shows_in_its_figures() {
    let member = Server::start(&program(), &[]);
    everything_once(&member).await;
    for (series, least) in MOVED {
        let value = http::metric(&member.client_address(), series);
        assert!(value.is_some_and(|value| value >= *least), "{series}: {value:?}");
    }
}

/// Opens a watch of a key whose messages nobody takes; it ends when what is returned is dropped.
async fn unread_watch(member: &Server) -> impl Sized {
    let create = pb::WatchCreateRequest { key: "key".into(), ..Default::default() };
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let (end, ended) = oneshot::channel::<pb::WatchRequest>();
    let last = stream::once(ended).filter_map(|last| ready(last.ok()));
    let requests = stream::once(ready(request)).chain(last);
    let messages = WatchClient::new(channel(member)).watch(requests).await.expect("a watch").into_inner();
    (end, messages)
}

/// A client that does not read has events wait for it, and whoever reads at a revision holds on to history.
#[tokio::test]
async fn what_waits_shows_while_it_waits() {
    let member = Server::start(&program(), &[]);
    let address = member.client_address();
    let big = "x".repeat(1 << 20);
    let unread = unread_watch(&member).await;
    let pending = || http::metric(&address, "etcd_debugging_mvcc_pending_events_total");
    eventually("events that wait", || async {
        put(&member, "key", &big).await.expect("a write");
        pending().filter(|events| *events > 0.0)
    })
    .await;
    let open = || http::metric(&address, "etcd_mvcc_db_open_read_transactions");
    // What fits into no window of a client that reads nothing.
    for number in 0..20 {
        put(&member, &format!("key {number}"), &big).await.expect("a write");
    }
    let mut maintenance = MaintenanceClient::new(channel(&member));
    let backup = maintenance.snapshot(pb::SnapshotRequest {}).await.expect("a backup").into_inner();
    eventually("a read under way", || async { open().filter(|reads| *reads > 0.0) }).await;
    drop((unread, backup));
    eventually("no event that waits", || async { pending().filter(|events| *events == 0.0) }).await;
    eventually("no read under way", || async { open().filter(|reads| *reads == 0.0) }).await;
}

#[tokio::test]
async fn a_leader_that_was_asleep_counts_the_heartbeats_that_it_missed() {
    let cluster = Cluster::start(&program(), 3, &[]);
    let asleep = leader(&cluster, &[0, 1, 2]).await;
    let others = [(asleep + 1) % 3, (asleep + 2) % 3];
    cluster.member(asleep).pause();
    leader(&cluster, &others).await;
    cluster.member(asleep).resume();
    let address = cluster.member(asleep).client_address();
    eventually("heartbeats that were late, one for each follower", || async {
        let late = http::metric(&address, "etcd_server_heartbeat_send_failures_total");
        late.filter(|late| *late >= 2.0)
    })
    .await;
    assert!(cluster.member(asleep).log().contains("leader failed to send out heartbeat on time"));
}

/// A profile of a member that has something to do has its functions by name.
#[tokio::test]
async fn a_profile_says_where_the_time_goes() {
    let member = Server::start(&program(), &["--enable-pprof"]);
    let address = member.client_address();
    let asked = tokio::task::spawn_blocking(move || bytes_of(&address, "/debug/pprof/profile?seconds=1"));
    while !asked.is_finished() {
        put(&member, "key", "value").await.expect("writes go on");
    }
    let profile = asked.await.expect("a profile");
    let start = profile.windows(2).position(|pair| pair == [0x1f, 0x8b]).expect("gzip");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&profile[start..]).read_to_end(&mut plain).expect("gzip");
    let text = String::from_utf8_lossy(&plain);
    assert!(text.contains("quorate") || text.contains("engine::"), "functions have names");
}

/// An answer to a GET, head and all.
fn bytes_of(address: &str, path: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(address).expect("a member");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a member");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    answer
}
