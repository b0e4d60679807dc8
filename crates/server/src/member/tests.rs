//! A member's services on an engine whose threads the test plays: consensus and apply do what it says, when it says so. And whole
//! members in this process, whose apply threads the test holds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use engine::event::{ApplyEvent, ConsensusEvent};
use engine::inbox::Inbox;
use engine::lessor::Lessor;
use engine::limits::READ_ATTEMPTS_MAX;
use engine::mailbox::{Delivery, Mailbox};
use engine::note::{Answer, Question, Refusal};
use engine::reply::Unserved;
use engine::request::ReadBatch;
use engine::shared::Shared;
use machine::Effect;
use machine::auth::Access;
use machine::lease_clock::RenewEpoch;
use mvcc::LeaseId;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::LeaseLeasesRequest;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::server::free_port;
use testkit::wait;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::auth::Caller;
use crate::config::Invocation;

const LEASE: LeaseId = LeaseId(7);
const TTL: i64 = 60;

/// A member that takes itself for the leader; nobody answers for consensus and apply but the test.
struct Staged {
    api: Arc<Api>,
    shared: Arc<Shared>,
    lessor: Arc<Lessor>,
    mailbox: Arc<Mailbox>,
    consensus: Inbox<ConsensusEvent>,
    apply: Inbox<ApplyEvent>,
    _opened: (Machine, DataDir),
    _directory: tempfile::TempDir,
}

impl Staged {
    /// A leader that knows one lease.
    fn leader() -> Staged {
        let directory = tempfile::tempdir().unwrap();
        let flag = format!("--data-dir={}", directory.path().join("data").display());
        let Ok(Invocation::Serve(config)) = Config::load(&[flag], &[]) else { panic!("good flags") };
        // It has a runtime of its own for a while.
        let open = || {
            Taken::take(&config, Arc::new(OsDisk), &Connector::for_tests()).unwrap().open(&config).unwrap()
        };
        let opened = std::thread::scope(|scope| scope.spawn(open).join().unwrap());
        let identity = opened.identity;
        let metrics = Arc::new(crate::metrics::of_server(config.metrics));
        let assembly = Assembly::new(&config, &opened, metrics, Connector::for_tests()).unwrap();
        let Opened { place, machine, log, node, data_dir, .. } = opened;
        let opened = assembly::Opened { log, node, machine, place };
        let follow = Arc::new(crate::follow::Handle::new(Vec::new()).0);
        let (owners, mut front) = assembly.assemble(&config, identity, opened, &follow);
        let api = front.apis.remove(0);
        let handles = front.handles;
        handles.shared.leader_is(Some(NodeId(identity.member.0)));
        handles.lessor.promote(1, config.raft.election_timeout);
        let granted = Effect::LeaseGranted { id: LEASE, ttl_seconds: TTL, epoch: RenewEpoch(1) };
        handles.lessor.follow(&granted);
        let (apply, machine) = owners.apply.into_parts();
        tokio::spawn(api.worker.clone().run_flush());
        tokio::spawn(api.worker.clone().run_pump());
        Staged {
            api,
            shared: handles.shared,
            lessor: handles.lessor,
            mailbox: handles.mailboxes[0].clone(),
            consensus: owners.consensus.into_inbox(),
            apply,
            _opened: (machine, data_dir),
            _directory: directory,
        }
    }

    /// Another member asks this one to renew a lease.
    fn renew(&self, id: LeaseId) -> JoinHandle<Answer> {
        let api = self.api.clone();
        tokio::spawn(async move { api.answer(Question::LeaseRenew { id: id.0 }).await })
    }

    /// What consensus is asked next.
    async fn asked(&self) -> ConsensusEvent {
        let mut events = Vec::new();
        while events.is_empty() {
            self.consensus.take(&mut events, Some(Instant::now())).unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    /// The callers that ask whether this member leads.
    async fn confirmation(&self) -> ReadBatch {
        match self.asked().await {
            ConsensusEvent::Confirm(batch) => batch,
            _ => panic!("leadership is confirmed, and nothing else is waited for"),
        }
    }

    fn answer(&self, batch: ReadBatch, result: Result<(), Unserved>) {
        self.mailbox.put(&mut vec![Delivery::Reads(batch.waiting, result)]);
    }

    fn asks_nothing_of_apply(&self) -> bool {
        let mut events = Vec::new();
        self.apply.take(&mut events, Some(Instant::now())).unwrap();
        events.is_empty()
    }
}

/// One command can take long to apply, and the client of another lease must not lose it for that.
#[tokio::test]
async fn a_lease_that_the_clock_knows_is_renewed_while_nothing_is_applied() {
    let staged = Staged::leader();
    for _ in 0..3 {
        let renewed = staged.renew(LEASE);
        let batch = staged.confirmation().await;
        staged.answer(batch, Ok(()));
        assert_eq!(renewed.await.unwrap(), Answer::LeaseRenewed { ttl: TTL });
    }
    assert!(staged.asks_nothing_of_apply());
}

/// The grant may have been acknowledged by another member, and not be applied here yet.
#[tokio::test]
async fn a_lease_that_the_clock_does_not_know_is_looked_for_when_everything_is_applied() {
    let staged = Staged::leader();
    let late = LeaseId(8);
    let renewed = staged.renew(late);
    let ConsensusEvent::Read(batch) = staged.asked().await else { panic!("a read comes first") };
    let granted = Effect::LeaseGranted { id: late, ttl_seconds: TTL, epoch: RenewEpoch(2) };
    staged.lessor.follow(&granted);
    staged.answer(batch, Ok(()));
    let batch = staged.confirmation().await;
    staged.answer(batch, Ok(()));
    assert_eq!(renewed.await.unwrap(), Answer::LeaseRenewed { ttl: TTL });

    let unknown = staged.renew(LeaseId(9));
    let ConsensusEvent::Read(batch) = staged.asked().await else { panic!("a read comes first") };
    staged.answer(batch, Ok(()));
    let rejected = Refusal::Rejected(machine::Rejection::LeaseNotFound);
    assert_eq!(unknown.await.unwrap(), Answer::Refused(rejected));
}

/// The old leader is paused after it has renewed; a successor was elected before that and counts from its own election on.
/// What the old leader would promise now, the successor has not given.
#[tokio::test]
async fn a_renewal_by_a_leader_that_was_deposed_before_promises_nothing() {
    let staged = Staged::leader();
    let renewed = staged.renew(LEASE);
    let batch = staged.confirmation().await;
    // Whatever was confirmed earlier: the round that counts begins after the renewal, and no quorum answers it.
    let left = staged.lessor.time_to_live(LEASE).and_then(|left| left.remaining_seconds);
    assert!(left.is_some(), "the renewal is made before it is confirmed");
    staged.lessor.demote();
    staged.answer(batch, Err(Unserved::Dropped));
    assert_eq!(renewed.await.unwrap(), Answer::Refused(Refusal::NotLeader));
}

/// As in etcd: who wants to know what is granted learns it without a quorum too.
#[tokio::test]
async fn leases_are_listed_without_asking_anybody() {
    let staged = Staged::leader();
    staged.shared.leader_is(None);
    let listed = staged.api.lease_leases(&Default::default(), LeaseLeasesRequest {}).await.unwrap();
    assert_eq!(listed.0.leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [LEASE.0]);
    assert!(staged.asks_nothing_of_apply());
}

/// Keys that were written after the change are not for those who lost a permission with it. So an answer counts only if the
/// same state was published before and after it was read.
#[tokio::test]
async fn a_read_during_which_users_change_is_made_again() {
    let staged = Staged::leader();
    let api = &staged.api;
    let reads = Arc::new(AtomicUsize::new(0));
    let disk = Arc::new(wal::SimDisk::new(1));
    let store = mvcc::Store::open(disk, std::path::Path::new("/store"), mvcc::Options::default()).unwrap();
    let machine = Arc::new(Machine::open(store).unwrap());
    let request = pb::RangeRequest { key: "k".into(), ..Default::default() };
    let read_with = async |changes: usize| {
        reads.store(0, Ordering::Relaxed);
        let (reads, auth, machine) = (reads.clone(), api.auth.clone(), machine.clone());
        let read = move |_: &mvcc::View, (): &(), _: &dyn mvcc::Pace| {
            let number = reads.fetch_add(1, Ordering::Relaxed) + 1;
            if number <= changes {
                auth.follow(&Effect::AuthChanged { revision: 2 }, &machine);
            }
            Ok(number)
        };
        api.read(&Caller::default(), Access::Range(&request), &(), read).await
    };
    for changes in 0..READ_ATTEMPTS_MAX {
        assert_eq!(read_with(changes).await.unwrap(), changes + 1);
    }
    let refused = read_with(usize::MAX).await.unwrap_err();
    assert_eq!(refused.message(), machine::Rejection::AuthOldRevision.text());
    assert_eq!(reads.load(Ordering::Relaxed), READ_ATTEMPTS_MAX);
}

/// What other members wait for before they end: once this member knows another leader, it sends nothing to the old one.
#[tokio::test]
async fn every_member_says_which_one_leads() {
    let staged = Staged::leader();
    for leader in [Some(NodeId(5)), None] {
        staged.shared.leader_is(leader);
        assert_eq!(staged.api.answer(Question::Leader).await, Answer::Leader(leader));
    }
}

/// Whole members in this process.
struct Cluster {
    members: Vec<Running>,
    urls: Vec<[String; 2]>,
    _directory: tempfile::TempDir,
}

impl Cluster {
    fn start(size: usize) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let urls: Vec<[String; 2]> =
            (0..size).map(|_| [(); 2].map(|()| format!("http://127.0.0.1:{}", free_port()))).collect();
        let founders: Vec<String> =
            urls.iter().enumerate().map(|(n, [_, peer])| format!("m{n}={peer}")).collect();
        let start = |(number, [client, peer]): (usize, &[String; 2])| {
            let flags = [
                format!("--name=m{number}"),
                format!("--data-dir={}", directory.path().join(number.to_string()).display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", founders.join(",")),
            ];
            let Ok(Invocation::Serve(config)) = Config::load(&flags, &[]) else { panic!("good flags") };
            super::start(&config).unwrap()
        };
        let members = urls.iter().enumerate().map(start).collect();
        Cluster { members, urls, _directory: directory }
    }

    /// A connection to each member.
    fn clients(&self) -> Vec<Channel> {
        let connect = |url: &String| Endpoint::from_shared(url.clone()).unwrap().connect_lazy();
        self.urls.iter().map(|[client, _]| connect(client)).collect()
    }

    /// Has every apply thread do nothing until the senders are dropped.
    fn hold_apply(&self) -> Vec<std::sync::mpsc::Sender<()>> {
        let hold = |member: &Running| {
            let (release, released) = channel::<()>();
            let _ = member.handles.apply.send(ApplyEvent::Ask(Box::new(move |_| {
                let _ = released.recv();
            })));
            release
        };
        self.members.iter().map(hold).collect()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(wait::DEADLINE, what).await.expect("an answer")
}

/// Repeats something until it succeeds.
async fn eventually<T, F: Future<Output = Option<T>>>(mut attempt: impl FnMut() -> F) -> T {
    within(async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// One client's command takes several lifetimes of another client's lease to apply. The lease is kept alive meanwhile, through
/// every member.
async fn is_kept_alive_while_apply_is_held(cluster: &Cluster) {
    const TTL: i64 = 2;
    let clients = cluster.clients();
    let first = clients[0].clone();
    let grant = || async {
        LeaseClient::new(first.clone()).lease_grant(pb::LeaseGrantRequest { id: 0, ttl: TTL }).await.ok()
    };
    let id = eventually(grant).await.into_inner().id;
    let put = pb::PutRequest { key: "lock".into(), lease: id, ..Default::default() };
    KvClient::new(first.clone()).put(put).await.unwrap();
    let range = pb::RangeRequest { key: "lock".into(), ..Default::default() };
    for client in &clients {
        let has_it = || async {
            Some(!KvClient::new(client.clone()).range(range.clone()).await.ok()?.into_inner().kvs.is_empty())
        };
        assert!(eventually(has_it).await);
    }
    let held = cluster.hold_apply();
    let end = Instant::now() + 3 * Duration::from_secs(TTL as u64);
    while Instant::now() < end {
        for client in &clients {
            let request = tokio_stream::once(pb::LeaseKeepAliveRequest { id });
            let mut replies = within(LeaseClient::new(client.clone()).lease_keep_alive(request))
                .await
                .unwrap()
                .into_inner();
            assert_eq!(within(replies.message()).await.unwrap().unwrap().ttl, TTL);
        }
    }
    drop(held);
    let found = within(KvClient::new(first).range(range)).await.unwrap().into_inner();
    assert_eq!(found.kvs.len(), 1, "the lease and its key are still there");
}

#[test]
fn a_lease_that_is_kept_alive_outlives_an_apply_thread_that_is_held() {
    for size in [1, 3] {
        let cluster = Cluster::start(size);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(is_kept_alive_while_apply_is_held(&cluster));
        cluster.members.into_iter().for_each(Running::stop);
    }
}
