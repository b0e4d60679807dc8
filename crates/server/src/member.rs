//! A member: how it is put together, started and stopped.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use machine::Machine;
use proto::membershippb::{Member, RaftAttributes};
use proto::quoratepb::ClusterBootstrap;
use raft::{Membership, Node, NodeId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::api::observe::Observer;
use crate::api::{Api, Settings};
use crate::config::{Config, Quota, Url};
use crate::data_dir::DataDir;
use crate::engine::apply::ApplyThread;
use crate::engine::checkpointer::Checkpointer;
use crate::engine::consensus::{ConsensusEvent, ConsensusThread, Pace};
use crate::engine::inbox::{Sender, inbox};
use crate::engine::lessor::Lessor;
use crate::engine::log_writer::LogWriter;
use crate::engine::mailbox::Mailbox;
use crate::engine::shared::Shared;
use crate::engine::status::EngineStatus;
use crate::engine::waiters::Waiters;
use crate::engine::worker::Worker;
use crate::error::StartError;
use crate::grpc::reply::Header;
use crate::http::Surface;
use crate::ids::Identity;
use crate::limits::{GRPC_OVERHEAD_BYTES, WAL_SEGMENT_BYTES};
use crate::metrics::Metrics;
use crate::net::accept::accept;
use crate::net::connection::{self, Http2Settings};
use crate::net::listen::{SocketOptions, listen};
use crate::net::serve::{ClientPort, PeerPort};
use crate::tasks;
use crate::watch::catch_up::catch_up;
use crate::watch::hub::Hub;

/// A member that serves.
pub struct Running {
    stop: watch::Sender<bool>,
    consensus: Sender<ConsensusEvent>,
    shared: Arc<Shared>,
    /// Consensus, log writer and apply: joined when the member stops.
    owners: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    ready: std::sync::mpsc::Receiver<()>,
    // Unlocked last.
    _data_dir: DataDir,
}

/// How long a stopping member waits for requests in flight.
const STOP_GRACE: Duration = Duration::from_secs(5);

impl Running {
    /// Waits until the member has introduced itself to its cluster and answers clients.
    pub fn wait_until_ready(&self) {
        // An error means that the workers are gone, and then there is nothing to wait for.
        let _ = self.ready.recv();
    }

    /// Stops: takes nothing new, finishes what is in flight, writes a last checkpoint, closes.
    pub fn stop(self) {
        let deadline = Instant::now() + STOP_GRACE;
        while self.shared.waiters.len() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.shared.stopping.store(true, Ordering::Relaxed);
        let _ = self.stop.send(true);
        for worker in self.workers {
            let _ = worker.join();
        }
        let _ = self.consensus.send(ConsensusEvent::Stop);
        for owner in self.owners {
            let _ = owner.join();
        }
    }
}

/// Starts a member.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub fn start(config: &Config) -> Result<Running, StartError> {
    let listeners = Listeners::bind(config)?;
    let opened = Opened::open(config)?;
    Assembly::new(config, opened).start(config, listeners)
}

/// Sockets that are bound; nobody is answered yet.
struct Listeners {
    client: Vec<TcpListener>,
    http: Vec<TcpListener>,
    metrics: Vec<TcpListener>,
    peer: Vec<TcpListener>,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, StartError> {
        let options = SocketOptions { reuse_port: config.listen.reuse_port };
        let bind = |urls: &[Url]| -> Result<Vec<TcpListener>, StartError> {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for url in urls {
                let address = url.bind_address().ok_or_else(|| StartError::Url(url.to_string()))?;
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            let listen =
                |address| listen(address, options).map_err(|source| StartError::Listen { address, source });
            addresses.into_iter().map(listen).collect()
        };
        Ok(Self {
            peer: bind(&config.listen.peer)?,
            client: bind(&config.listen.client)?,
            http: bind(&config.listen.client_http)?,
            metrics: bind(&config.listen.metrics)?,
        })
    }
}

/// What is on the disk, opened.
struct Opened {
    identity: Identity,
    machine: Machine,
    log: raft::durable::Log,
    node: Node,
    bootstrap: Option<ClusterBootstrap>,
    data_dir: DataDir,
}

impl Opened {
    fn open(config: &Config) -> Result<Self, StartError> {
        let data_dir = DataDir::take(&config.data_dir)?;
        let known = data_dir.identity()?;
        let identity = match known {
            Some(identity) => identity,
            None => Identity::founding(&config.name, &config.cluster)?,
        };
        let store_dir = data_dir.store_dir();
        let machine = open_machine(&data_dir, identity)
            .map_err(|source| StartError::Store { path: store_dir, source })?;
        let wal_dir = config.wal_dir.clone().unwrap_or_else(|| data_dir.wal_dir());
        let (log, node) = open_raft(config, &data_dir, &wal_dir, identity, &machine)
            .map_err(|source| StartError::Log { path: wal_dir, source })?;
        if known.is_none() {
            data_dir.found(&identity)?;
        }
        // Until the founding command is applied, it is proposed at each start.
        let bootstrap = machine.cluster_id().is_none().then(|| founding(config, identity));
        Ok(Self { identity, machine, log, node, bootstrap, data_dir })
    }
}

fn open_machine(data_dir: &DataDir, identity: Identity) -> Result<Machine, machine::OpenError> {
    let options = mvcc::Options { identity: [identity.cluster.0, identity.member.0], ..Default::default() };
    let store = mvcc::Store::open(data_dir.disk(), &data_dir.store_dir(), options)?;
    Machine::open(store)
}

fn open_raft(
    config: &Config,
    data_dir: &DataDir,
    wal_dir: &Path,
    identity: Identity,
    machine: &Machine,
) -> Result<(raft::durable::Log, Node), raft::durable::Error> {
    let options = raft::durable::Options {
        identity: [identity.cluster.0, identity.member.0],
        segment_bytes: WAL_SEGMENT_BYTES,
        tail_bytes_max: raft::Limits::default().tail_bytes_max,
        membership: Membership::new([NodeId(identity.member.0)], []),
        incarnation: raft::Incarnation(1),
    };
    let mut log = raft::durable::Log::open(data_dir.disk(), wal_dir, options)?.log;
    let restored = log.restore(raft::Index(machine.store().applied().index))?;
    let node_config = raft::Config {
        election_ticks: config.raft.election_timeout_ticks(),
        ..raft::Config::new(NodeId(identity.member.0), seed())
    };
    let mut node = Node::new(node_config, restored);
    if node.membership().is_lone_voter(NodeId(identity.member.0)) {
        // Nobody else could lead: there is nothing to wait for.
        node.campaign();
    }
    Ok((log, node))
}

/// For election timeouts, which must differ between members and need no secrecy.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// The cluster as its founders know it.
fn founding(config: &Config, identity: Identity) -> ClusterBootstrap {
    let member = |(_, urls): (&String, &Vec<Url>)| Member {
        id: crate::ids::member_id(urls, &config.cluster.token).0,
        raft_attributes: Some(RaftAttributes {
            peer_urls: urls.iter().map(Url::to_string).collect(),
            is_learner: false,
        }),
        member_attributes: None,
    };
    ClusterBootstrap {
        cluster_id: identity.cluster.0,
        members: config.cluster.initial.iter().map(member).collect(),
    }
}

/// The threads' ends of their inboxes, and what they share, before they start.
struct Assembly {
    opened: Opened,
    shared: Arc<Shared>,
    status: Arc<EngineStatus>,
    lessor: Arc<Lessor>,
    metrics: Arc<Metrics>,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Assembly {
    fn new(config: &Config, opened: Opened) -> Self {
        let member_id = opened.identity.member.0;
        // 5 s and two election timeouts (contract: semantics, section 1).
        let request_timeout = Duration::from_secs(5) + 2 * config.raft.election_timeout;
        let shared = Arc::new(Shared::new(Waiters::new(member_id, unix_millis()), request_timeout));
        let status = Arc::new(EngineStatus::default());
        status.refresh(&opened.machine);
        let metrics = Arc::new(Metrics::new(config.metrics));
        let lessor = Arc::new(Lessor::new(metrics.clone()));
        for (id, lease) in opened.machine.leases() {
            lessor.restored(id, lease.ttl_seconds, lease.remaining_seconds, lease.epoch);
        }
        metrics.server.id.set(format!("{member_id:x}"));
        metrics.server.quota_backend_bytes.set(quota(config).unwrap_or(0) as i64);
        metrics.server.feature_enabled.set(config.feature_gates.rows());
        let mailboxes = (0..worker_count()).map(|_| Mailbox::new()).collect();
        Self { opened, shared, status, lessor, metrics, mailboxes }
    }

    fn start(self, config: &Config, listeners: Listeners) -> Result<Running, StartError> {
        let Self { opened, shared, status, lessor, metrics, mailboxes } = self;
        let Opened { identity, machine, log, node, bootstrap, data_dir } = opened;
        let (consensus, consensus_inbox) = inbox();
        let (log_sender, log_inbox) = inbox();
        let (apply, apply_inbox) = inbox();
        let view = machine.view();
        let revision = machine.store().revision();
        let (catch_up, catch_up_thread) = catch_up(view.clone(), mailboxes.clone());

        let pace = Pace {
            tick: config.raft.heartbeat_interval,
            election_timeout: config.raft.election_timeout,
            catch_up_entries: config.raft.snapshot_catchup_entries,
        };
        let consensus_thread = ConsensusThread {
            node,
            inbox: consensus_inbox,
            log: log_sender,
            apply: apply.clone(),
            mailboxes: mailboxes.clone(),
            shared: shared.clone(),
            lessor: lessor.clone(),
            metrics: metrics.clone(),
            pace,
            pending: Default::default(),
        };
        let log_writer = LogWriter {
            log,
            inbox: log_inbox,
            consensus: consensus.clone(),
            shared: shared.clone(),
            metrics: metrics.clone(),
        };
        let apply_thread = ApplyThread {
            machine,
            inbox: apply_inbox,
            consensus: consensus.clone(),
            checkpointer: Checkpointer::new(apply.clone()),
            mailboxes: mailboxes.clone(),
            shared: shared.clone(),
            status: status.clone(),
            lessor: lessor.clone(),
            metrics: metrics.clone(),
            slow_apply: config.warnings.apply,
            batch: Default::default(),
        };
        let owners = vec![
            spawn("consensus", move || consensus_thread.run())?,
            spawn("log writer", move || log_writer.run())?,
            spawn("apply", move || apply_thread.run())?,
        ];
        // Ends with the process: it owns nothing.
        spawn("watch catch-up", move || catch_up_thread.run())?;

        let header =
            Header { cluster_id: identity.cluster.0, member_id: identity.member.0, ..Header::default() };
        let settings = settings(config);
        let fragment_bytes = settings.receive_bytes_max;
        let apis: Vec<Arc<Api>> = mailboxes
            .iter()
            .enumerate()
            .map(|(index, mailbox)| {
                let hub = Hub::new(header, revision, fragment_bytes);
                let worker = Worker::new(
                    index,
                    shared.clone(),
                    consensus.clone(),
                    mailbox.clone(),
                    hub,
                    catch_up.clone(),
                );
                Arc::new(Api {
                    worker,
                    shared: shared.clone(),
                    view: view.clone(),
                    status: status.clone(),
                    lessor: lessor.clone(),
                    apply: apply.clone(),
                    observer: Observer::new(metrics.clone()),
                    metrics: metrics.clone(),
                    cluster_id: identity.cluster.0,
                    member_id: identity.member.0,
                    settings: settings.clone(),
                })
            })
            .collect();
        let network = Network::new(config, apis, listeners, bootstrap);
        let (stop, ready, workers) = network.start()?;
        Ok(Running { stop, consensus, shared, owners, workers, ready, _data_dir: data_dir })
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    // A thread that panics takes the process with it: half a member would neither serve nor fail.
    let guarded = {
        let name = name.to_owned();
        move || {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                crate::engine::fatal::stop_process(&name, &"panicked");
            }
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map_err(|source| StartError::System { what: "cannot start a thread", source })
}

fn unix_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Network threads: one for each core beyond the two that the state's threads keep busy, but at least one and not so
/// many that a batch falls apart.
fn worker_count() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(2).clamp(1, 8)
}

fn quota(config: &Config) -> Option<u64> {
    match config.limits.quota {
        Quota::None => None,
        Quota::Bytes(bytes) => Some(bytes),
    }
}

fn settings(config: &Config) -> Settings {
    let election = config.raft.election_timeout;
    Settings {
        limits: machine::limits::Limits { txn_operations_max: config.limits.txn_ops_max },
        max_request_bytes: config.limits.request_bytes_max,
        receive_bytes_max: config.limits.request_bytes_max + GRPC_OVERHEAD_BYTES,
        quota_bytes: quota(config),
        progress_interval: config.watch_progress_notify_interval,
        slow_request: config.warnings.unary_request,
        // One and a half election timeouts, in whole seconds, rounded up.
        min_lease_ttl: (3 * election.as_millis() as i64).div_euclid(2).saturating_add(999) / 1000,
    }
}

/// The workers before they start.
struct Network {
    apis: Vec<Arc<Api>>,
    listeners: Listeners,
    http2: Http2Settings,
    introduction: tasks::publish::Introduction,
    auto_compaction: crate::config::AutoCompaction,
    config: Arc<Config>,
}

type Started = (watch::Sender<bool>, std::sync::mpsc::Receiver<()>, Vec<JoinHandle<()>>);

impl Network {
    fn new(
        config: &Config,
        apis: Vec<Arc<Api>>,
        listeners: Listeners,
        bootstrap: Option<ClusterBootstrap>,
    ) -> Self {
        Self {
            apis,
            listeners,
            http2: Http2Settings {
                max_concurrent_streams: config.limits.concurrent_streams_max,
                keepalive_interval: config.keepalive.interval,
                keepalive_timeout: config.keepalive.timeout.unwrap_or(Duration::from_secs(20)),
            },
            introduction: tasks::publish::Introduction {
                bootstrap,
                name: config.name.clone(),
                client_urls: config.cluster.advertise_client.iter().map(Url::to_string).collect(),
            },
            auto_compaction: config.auto_compaction,
            config: Arc::new(config.clone()),
        }
    }

    /// Starts the workers; the first one also accepts, once the member has introduced itself, and runs the tasks.
    fn start(self) -> Result<Started, StartError> {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let mut threads = Vec::new();
        let mut client_doors = Vec::new();
        let mut doors = Vec::new();
        for api in &self.apis {
            let (send, receive) = unbounded_channel();
            client_doors.push(send);
            doors.push((api.clone(), receive));
        }
        let first = self.apis[0].clone();
        let mut lead = Some(First {
            api: first,
            listeners: self.listeners,
            client_doors,
            introduction: self.introduction,
            auto_compaction: self.auto_compaction,
            ready,
            http2: self.http2,
            config: self.config.clone(),
        });
        for (index, (api, connections)) in doors.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| StartError::System { what: "cannot start a network worker", source })?;
            let worker = NetworkWorker {
                port: Arc::new(ClientPort::new(api.clone(), &self.config)),
                api,
                connections,
                stopped: stopped.clone(),
                http2: self.http2,
                first: lead.take(),
            };
            threads.push(spawn(&format!("network {index}"), move || runtime.block_on(worker.run()))?);
        }
        Ok((stop, is_ready, threads))
    }
}

/// What the first worker does besides.
struct First {
    api: Arc<Api>,
    listeners: Listeners,
    client_doors: Vec<UnboundedSender<std::net::TcpStream>>,
    introduction: tasks::publish::Introduction,
    auto_compaction: crate::config::AutoCompaction,
    ready: std::sync::mpsc::Sender<()>,
    http2: Http2Settings,
    config: Arc<Config>,
}

impl First {
    async fn run(self, stopped: watch::Receiver<bool>) {
        tasks::publish::run(&self.api, self.introduction).await;
        tokio::spawn(tasks::expiry::run(self.api.clone()));
        tokio::spawn(tasks::auto_compaction::run(self.api.clone(), self.auto_compaction));
        for listener in self.listeners.client {
            tokio::spawn(accept(listener, self.client_doors.clone()));
        }
        let http = Arc::new(ClientPort::new(self.api.clone(), &self.config));
        let peer = Arc::new(PeerPort::new(self.api.clone(), &self.config));
        let door = |listeners: Vec<TcpListener>| {
            let (send, receive) = unbounded_channel();
            for listener in listeners {
                tokio::spawn(accept(listener, vec![send.clone()]));
            }
            receive
        };
        for (listeners, surface) in
            [(self.listeners.http, Surface::Client), (self.listeners.metrics, Surface::Metrics)]
        {
            let port = http.clone();
            let respond = move |request| port.clone().respond_http(surface, request);
            tokio::spawn(serve_all(door(listeners), Arc::new(respond), self.http2, stopped.clone()));
        }
        let respond = move |request| peer.clone().respond(request);
        tokio::spawn(serve_all(door(self.listeners.peer), Arc::new(respond), self.http2, stopped));
        let _ = self.ready.send(());
    }
}

/// One network thread.
struct NetworkWorker {
    port: Arc<ClientPort>,
    api: Arc<Api>,
    connections: UnboundedReceiver<std::net::TcpStream>,
    stopped: watch::Receiver<bool>,
    http2: Http2Settings,
    first: Option<First>,
}

impl NetworkWorker {
    async fn run(self) {
        let worker = self.api.worker.clone();
        tokio::spawn(worker.clone().run_flush());
        tokio::spawn(worker.clone().run_pump());
        if let Some(first) = self.first {
            tokio::spawn(first.run(self.stopped.clone()));
        }
        let port = self.port;
        let respond = move |request| port.clone().respond(request);
        let mut stopped = self.stopped.clone();
        let closing = async {
            connection::stopped(&mut stopped).await;
            // Watch streams end only when they are told to.
            worker.with_hub(Hub::wake_all);
        };
        tokio::join!(serve_all(self.connections, Arc::new(respond), self.http2, self.stopped), closing);
    }
}

/// Serves connections as they come, until the member stops and the last of them has ended.
async fn serve_all<S, F>(
    mut connections: UnboundedReceiver<std::net::TcpStream>,
    respond: Arc<S>,
    http2: Http2Settings,
    mut stopped: watch::Receiver<bool>,
) where
    S: Fn(http::Request<hyper::body::Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = http::Response<crate::grpc::body::ResponseBody>> + Send + 'static,
{
    let builder = connection::builder(http2);
    let mut open = tokio::task::JoinSet::new();
    let is_stopped = stopped.clone();
    loop {
        let stream = tokio::select! {
            stream = connections.recv() => stream,
            Some(_) = open.join_next() => continue,
            () = connection::stopped(&mut stopped) => break,
        };
        let Some(stream) = stream else { break };
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { continue };
        open.spawn(connection::serve(stream, builder.clone(), respond.clone(), is_stopped.clone()));
    }
    let _ = tokio::time::timeout(STOP_GRACE, async { while open.join_next().await.is_some() {} }).await;
}
