//! Rolling restarts: members stop and start one after the other, and no client notices.
//!
//! The clients here do what etcd's Go client does. A request goes to the members in turn. It is sent again to the next one
//! only if it was surely not sent, or if it is a read that a member refused for now; everything else is an error that an
//! application would see, and there must be none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use testkit::{Cluster, wait};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::client::{channel, eventually, leader, status};
use crate::program;

const WRITERS: usize = 64;
const WATCHERS: usize = 200;

/// Clients that the writers and watchers share.
const CLIENTS: usize = 4;

/// Times around the cluster; more with `QUORATE_ROLLING_ROUNDS`.
const ROUNDS: usize = 3;

/// Pause of a client after all members have turned a request away.
const PAUSE: Duration = Duration::from_millis(20);

fn rounds() -> usize {
    let text = std::env::var("QUORATE_ROLLING_ROUNDS");
    text.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"))
}

/// A client with a connection to each member.
#[derive(Clone)]
struct Client {
    members: Arc<[Channel]>,
    next: Arc<AtomicUsize>,
}

impl Client {
    fn of(cluster: &Cluster) -> Client {
        Client { members: cluster.members().iter().map(channel).collect(), next: Arc::default() }
    }

    /// The next member in turn; after a whole turn of refusals a moment later.
    async fn member(&self, refusals: usize) -> Channel {
        if refusals > 0 && refusals.is_multiple_of(self.members.len()) {
            tokio::time::sleep(PAUSE).await;
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.members[next % self.members.len()].clone()
    }

    async fn put(&self, key: &str) -> Result<i64, Status> {
        for refusals in 0.. {
            let request =
                pb::PutRequest { key: key.to_owned().into(), value: "v".into(), ..Default::default() };
            match KvClient::new(self.member(refusals).await).put(request).await {
                Ok(reply) => return Ok(revision(reply.into_inner().header)),
                Err(status) if is_surely_unsent(&status) => {}
                Err(status) => return Err(status),
            }
        }
        unreachable!("it tries until it is done")
    }

    async fn get(&self, key: &str) -> Result<pb::RangeResponse, Status> {
        for refusals in 0.. {
            let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
            match KvClient::new(self.member(refusals).await).range(request).await {
                Ok(reply) => return Ok(reply.into_inner()),
                // A read may be tried again whatever came of it.
                Err(status) if status.code() == Code::Unavailable || is_broken(&status) => {}
                Err(status) => return Err(status),
            }
        }
        unreachable!("it tries until it is done")
    }

    /// Opens a watch from a revision on.
    async fn watch(&self, key: &str, start_revision: i64) -> Streaming<pb::WatchResponse> {
        for refusals in 0.. {
            let create =
                pb::WatchCreateRequest { key: key.to_owned().into(), start_revision, ..Default::default() };
            let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
            let requests =
                tokio_stream::StreamExt::chain(tokio_stream::once(create), tokio_stream::pending());
            match WatchClient::new(self.member(refusals).await).watch(requests).await {
                Ok(stream) => return stream.into_inner(),
                Err(status) => assert!(is_resumed_from(&status), "a watch is refused: {status}"),
            }
        }
        unreachable!("it tries until it is done")
    }
}

fn revision(header: Option<pb::ResponseHeader>) -> i64 {
    header.expect("a reply has a header").revision
}

/// Whether a request has not reached a member: no connection could be made, the connection was told to go away before the
/// request was sent, or the member said that it did not look at it.
fn is_surely_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let text = format!("{error:?}");
        let is_unsent = [
            "ConnectError",
            "ConnectionRefused",
            "Canceled",
            "REFUSED_STREAM",
            "GoAway(b\"\", NO_ERROR, Remote)",
        ];
        if is_unsent.iter().any(|part| text.contains(part)) {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether etcd's Go client resumes a watch that ended so, without telling its application.
fn is_resumed_from(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Internal) || is_broken(status)
}

/// Whether a connection broke: what grpc-go calls `Unavailable`, and tonic anything.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Follows one key, resuming where a stream ended. Every version must come once and in order; the last one seen is published.
async fn follow(client: Client, key: String, seen: Arc<AtomicI64>) {
    let (mut next_revision, mut version) = (1, 0);
    loop {
        let mut stream = client.watch(&key, next_revision).await;
        loop {
            let response = match stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) => break,
                Err(status) if is_resumed_from(&status) => break,
                Err(status) => panic!("the watch of {key} ends: {status}"),
            };
            assert!(!response.canceled, "the watch of {key} is cancelled: {}", response.cancel_reason);
            for event in response.events {
                let kv = event.kv.expect("an event has a key");
                assert!(kv.mod_revision >= next_revision, "{key}: r{} comes again", kv.mod_revision);
                assert_eq!(kv.version, version + 1, "{key}: an event is missed or repeated");
                (next_revision, version) = (kv.mod_revision + 1, kv.version);
                seen.store(version, Ordering::Relaxed);
            }
        }
    }
}

/// Clients at work.
struct Load {
    clients: Vec<Client>,
    stop: Arc<AtomicBool>,
    puts: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Vec<Status>>>,
    readers: Vec<JoinHandle<Vec<Status>>>,
    watchers: Vec<JoinHandle<()>>,
    seen: Vec<Arc<AtomicI64>>,
}

fn key(number: usize) -> String {
    format!("key/{}", number % WATCHERS)
}

impl Load {
    fn start(clients: Vec<Client>) -> Load {
        let (stop, puts): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let of = |number: usize| clients[number % clients.len()].clone();
        let seen: Vec<Arc<AtomicI64>> = (0..WATCHERS).map(|_| Arc::default()).collect();
        let watchers = seen.iter().enumerate();
        let watchers =
            watchers.map(|(number, seen)| tokio::spawn(follow(of(number), key(number), seen.clone())));
        let watchers = watchers.collect();
        let writers = (0..WRITERS).map(|writer| {
            let (client, stop, puts) = (of(writer), stop.clone(), puts.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match client.put(&key(writer + number * WRITERS)).await {
                        Ok(_) => drop(puts.fetch_add(1, Ordering::Relaxed)),
                        Err(status) => failures.push(status),
                    }
                }
                failures
            })
        });
        let writers = writers.collect();
        let readers = (0..clients.len()).map(|reader| {
            let (client, stop) = (of(reader), stop.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    failures.extend(client.get(&key(reader)).await.err());
                }
                failures
            })
        });
        let readers = readers.collect();
        Load { clients, stop, puts, writers, readers, watchers, seen }
    }

    /// Waits until so many more writes are acknowledged.
    async fn go_on(&self, writes: usize) {
        let enough = self.puts.load(Ordering::Relaxed) + writes;
        eventually("writes", || async { (self.puts.load(Ordering::Relaxed) >= enough).then_some(()) }).await;
    }

    /// Stops writing, and checks that nothing failed and that every watcher gets the last version of its key.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.writers.into_iter().chain(self.readers) {
            failures.extend(client.await.expect("a client does not panic"));
        }
        let first: Vec<String> = failures.iter().take(5).map(|status| format!("{status:?}")).collect();
        assert!(failures.is_empty(), "{} requests failed: {first:#?}", failures.len());
        for (number, seen) in self.seen.iter().enumerate() {
            let reply = self.clients[0].get(&key(number)).await.expect("a read");
            let version = reply.kvs.first().map_or(0, |kv| kv.version);
            eventually("the last event of a watcher", || async {
                assert!(
                    !self.watchers[number].is_finished(),
                    "the watcher of {} saw something wrong",
                    key(number)
                );
                (seen.load(Ordering::Relaxed) == version).then_some(())
            })
            .await;
        }
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_in_a_rolling_restart() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let load = Load::start((0..CLIENTS).map(|_| Client::of(&cluster)).collect());
    for _ in 0..rounds() {
        for member in 0..3 {
            load.go_on(500).await;
            tokio::task::block_in_place(|| {
                cluster.member_mut(member).terminate();
                cluster.member_mut(member).restart();
            });
            leader(&cluster, &[0, 1, 2]).await;
        }
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_leadership_is_moved() {
    let cluster = Cluster::start(&program(), 3, &[]);
    let load = Load::start((0..CLIENTS).map(|_| Client::of(&cluster)).collect());
    for _ in 0..3 * rounds() {
        load.go_on(200).await;
        let leads = leader(&cluster, &[0, 1, 2]).await;
        let other = cluster.member((leads + 1) % 3);
        let target_id = status(other).await.expect("a status").header.expect("a header").member_id;
        let mut maintenance = MaintenanceClient::new(channel(cluster.member(leads)));
        maintenance.move_leader(pb::MoveLeaderRequest { target_id }).await.expect("leadership moves");
    }
    load.end().await;
}

/// The clients have the other members only: one that is removed cannot say what came of the last commands it handed on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_the_leader_is_removed() {
    let cluster = Cluster::start(&program(), 3, &[]);
    let leads = leader(&cluster, &[0, 1, 2]).await;
    let others = [(leads + 1) % 3, (leads + 2) % 3];
    let client = || Client {
        members: others.map(|index| channel(cluster.member(index))).into(),
        next: Arc::default(),
    };
    let load = Load::start((0..CLIENTS).map(|_| client()).collect());
    load.go_on(500).await;
    let id = status(cluster.member(leads)).await.expect("a status").leader;
    let mut members = ClusterClient::new(channel(cluster.member(others[0])));
    // Refused as long as not all members have been connected for a while.
    eventually("the removal", || {
        let mut members = members.clone();
        async move { members.member_remove(pb::MemberRemoveRequest { id }).await.ok() }
    })
    .await;
    load.go_on(500).await;
    load.end().await;
    let left = members.member_list(pb::MemberListRequest { linearizable: true }).await.expect("a list");
    assert!(left.into_inner().members.iter().all(|member| member.id != id));
}

/// What one client sees goes forward, whichever member answers, and whether a leader was stopped or killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_never_go_down_when_leaders_restart() {
    let mut cluster = Cluster::start(&program(), 3, &[]);
    let (stop, answers): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
    let clients: Vec<JoinHandle<()>> = (0..CLIENTS)
        .map(|number| {
            let (client, stop, answers) = (Client::of(&cluster), stop.clone(), answers.clone());
            tokio::spawn(async move {
                let mut newest = 0;
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(written) = client.put(&key(number)).await {
                        assert!(written > newest, "a write at r{written}, and r{newest} was seen before");
                        newest = written;
                    }
                    if let Ok(reply) = client.get(&key(number)).await {
                        let read = revision(reply.header);
                        assert!(read >= newest, "a read shows r{read}, and r{newest} was seen before");
                        newest = read;
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for round in 0..2 * rounds() {
        let enough = answers.load(Ordering::Relaxed) + 50;
        wait::until("answers", || (answers.load(Ordering::Relaxed) >= enough).then_some(()));
        let leads = leader(&cluster, &[0, 1, 2]).await;
        tokio::task::block_in_place(|| {
            let member = cluster.member_mut(leads);
            if round % 2 == 0 {
                member.terminate();
            } else {
                member.kill();
            }
            member.restart();
        });
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("revisions go forward");
    }
}
