//! A member: how it is put together, started and stopped.
//!
//! In the order of a start: it becomes clear who the member is ([`Taken`]), which for a new one may mean asking others;
//! sockets are bound ([`Listeners`]), so that a port in use is found before anything is written; what is on the disk is
//! opened ([`opened`]); the threads that own the state start ([`Engine`]); then those
//! that talk to clients ([`network`]). Nobody is answered before all of it has succeeded.

mod listeners;
mod network;
mod opened;
mod stopping;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use datadir::DataDir;
use machine::Machine;
use raft::{Node, NodeId};
use tokio::sync::{Semaphore, mpsc};
use wal::{Disk, OsDisk};

use crate::api::observe::Observer;
use crate::api::{Api, Settings};
use crate::auth::Auth;
use crate::auth::passwords::Passwords;
use crate::auth::tokens::Tokens;
use crate::bootstrap::{How, KnownMember, Origin, known_member};
use crate::config::{Config, Quota, Url};
use crate::engine::apply::{ApplyEvent, ApplyThread, peers_of};
use crate::engine::checkpointer::Checkpointer;
use crate::engine::compaction_hash::CompactionHasher;
use crate::engine::comparison::Comparison;
use crate::engine::consensus::changes::Changes;
use crate::engine::consensus::{ConsensusEvent, ConsensusThread, Pace};
use crate::engine::ending::Ending;
use crate::engine::inbound::EngineInbound;
use crate::engine::inbox::{Inbox, Sender, inbox};
use crate::engine::lessor::Lessor;
use crate::engine::log_preparer::LogPreparer;
use crate::engine::log_reader::LogReader;
use crate::engine::log_writer::{LogEvent, LogWriter};
use crate::engine::mailbox::Mailbox;
use crate::engine::questions::{Asked, Questions};
use crate::engine::shared::Shared;
use crate::engine::snapshots::{Receiver, StorePlace};
use crate::engine::status::EngineStatus;
use crate::engine::views::Views;
use crate::engine::waiters::Waiters;
use crate::engine::worker::Worker;
use crate::error::StartError;
use crate::grpc::reply::Header;
use crate::ids::Identity;
use crate::limits::{
    GRPC_OVERHEAD_BYTES, LOG_KEPT_BYTES_MAX, SNAPSHOTS_MAX, UNFINISHED_MESSAGES_BYTES_MAX, UNSTORED_BYTES_MAX,
};
use crate::logging::messages;
use crate::metrics::Metrics;
use crate::net::backlog::Backlog;
use crate::net::serve::PeerPort;
use crate::random::random;
use crate::readers::Readers;
use crate::tls::{Connector, Setup};
use crate::transport::{self, Peer, Transport, TransportThread};
use crate::watch::bounds::Bounds;
use crate::watch::catch_up::{CatchUp, catch_up};
use crate::watch::hub::Hub;
use listeners::Listeners;
use network::{Network, Workers};
use opened::{Opened, Taken};

/// A member that serves.
pub struct Running {
    consensus: Sender<ConsensusEvent>,
    shared: Arc<Shared>,
    /// Consensus, log writer and apply: joined when the member stops.
    owners: Vec<JoinHandle<()>>,
    peers: Transport,
    transport: JoinHandle<()>,
    workers: Workers,
    questions: Arc<Questions>,
    ready: Option<std::sync::mpsc::Receiver<()>>,
    is_ready: Arc<AtomicBool>,
    identity: Identity,
    status: Arc<EngineStatus>,
    #[cfg(test)]
    apply: Sender<ApplyEvent>,
    // Unlocked last.
    data_dir: DataDir,
}

impl Running {
    /// Has this done once the member has introduced itself to its cluster and answers clients, which may take until
    /// others are there. To be called once.
    ///
    /// # Errors
    /// If there is no thread to be had to wait for it.
    pub fn when_ready(&mut self, announce: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let (ready, is_ready) = (self.ready.take(), self.is_ready.clone());
        let wait = move || {
            // An error means that the member was stopped before: then there is nothing to announce.
            if ready.is_some_and(|ready| ready.recv().is_ok()) {
                is_ready.store(true, Ordering::Relaxed);
                announce();
            }
        };
        start_thread("ready", wait).map(drop)
    }

    /// Whether clients are served.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// Has this done if the member has to end by itself: [`ending`](Self::ending) says why. To be called once.
    ///
    /// # Errors
    /// If there is no thread to be had to wait for it.
    pub fn when_it_ends(&mut self, end: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let shared = self.shared.clone();
        let wait = move || match shared.ending.wait() {
            Ending::Removed => {
                messages::log_removed();
                end();
            }
            Ending::StartsOver => end(),
            Ending::Stopped => {}
        };
        start_thread("ending", wait).map(drop)
    }

    /// Why the member ends, if it does so by itself.
    pub fn ending(&self) -> Option<Ending> {
        self.shared.ending.known()
    }

    /// Stops, throws log and store away and starts again: the other members bring everything back.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub fn start_over(self, config: &Config) -> Result<Running, StartError> {
        let members = self.status.members().iter().map(known_member).collect();
        // What is in the log is of no use here; everything else is asked of the others.
        let origin = Origin { identity: self.identity, how: How::Joined, members };
        let data_dir = self.stop_and_keep();
        data_dir.start_over(&origin)?;
        let disk = data_dir.disk();
        drop(data_dir);
        start_on(disk, config)
    }

    /// Stops: tells its clients to go elsewhere, finishes what is in flight, hands leadership over, writes a last checkpoint,
    /// closes. In this order no request fails: not those of its own clients, who have other members by then, nor those that
    /// clients of the others have sent through this leader.
    pub fn stop(self) {
        drop(self.stop_and_keep());
    }
}

/// Starts a member.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub fn start(config: &Config) -> Result<Running, StartError> {
    start_on(Arc::new(OsDisk), config)
}

/// Starts a member on a disk of the caller's choice, with the failures that a test needs.
///
/// # Errors
/// See [`StartError`]; nothing is left running.
pub fn start_on(disk: Arc<dyn Disk>, config: &Config) -> Result<Running, StartError> {
    // Before the sockets: members that start together ask each other, and a port that nobody listens on answers at once.
    let metrics = Arc::new(Metrics::new(config.metrics));
    let tls = Setup::new(config, &metrics)?;
    let taken = Taken::take(config, disk, &tls.connector)?;
    let listeners = Listeners::bind(config, &tls, &metrics)?;
    let opened = taken.open(config)?;
    let tokens = Tokens::open(&config.auth.token, config.auth.token_ttl)?;
    Assembly::new(config, &opened, metrics, tls.connector)?.start(config, opened, tokens, listeners)
}

/// What the threads of a member share, before they start.
struct Assembly {
    shared: Arc<Shared>,
    status: Arc<EngineStatus>,
    lessor: Arc<Lessor>,
    metrics: Arc<Metrics>,
    mailboxes: Vec<Arc<Mailbox>>,
    transport: Transport,
    connector: Arc<Connector>,
    passwords: Arc<Passwords>,
    readers: Arc<Readers>,
}

/// The threads that own the state, running, and what the workers need of them.
struct Engine {
    consensus: Sender<ConsensusEvent>,
    apply: Sender<ApplyEvent>,
    views: Arc<Views>,
    auth: Arc<Auth>,
    /// Where watches begin that name no revision.
    revision: i64,
    catch_up: CatchUp,
    questions: Arc<Questions>,
    /// Questions of other members.
    asked: mpsc::Receiver<Asked>,
    owners: Vec<JoinHandle<()>>,
}

impl Assembly {
    fn new(
        config: &Config,
        opened: &Opened,
        metrics: Arc<Metrics>,
        connector: Arc<Connector>,
    ) -> Result<Self, StartError> {
        let member_id = opened.identity.member.0;
        // 5 s and two election timeouts (contract: semantics, section 1).
        let request_timeout = Duration::from_secs(5) + 2 * config.raft.election_timeout;
        let shared = Arc::new(Shared::new(Waiters::new(member_id, random()), request_timeout));
        let status = Arc::new(EngineStatus::of(member_id));
        status.refresh(&opened.machine);
        let lessor = Arc::new(Lessor::new(metrics.clone()));
        lessor.load(&opened.machine);
        metrics.server.id.set(format!("{member_id:x}"));
        metrics.server.quota_backend_bytes.set(quota(config).unwrap_or(0) as i64);
        metrics.server.feature_enabled.set(config.feature_gates.rows());
        let mailboxes = (0..worker_count()).map(|_| Mailbox::new()).collect();
        let passwords = Passwords::start(config.auth.bcrypt_cost)
            .map_err(|source| StartError::System { what: "cannot start a thread", source })?;
        let readers = Readers::start()
            .map_err(|source| StartError::System { what: "cannot start a thread", source })?;
        let transport = Transport::default();
        Ok(Self { shared, status, lessor, metrics, mailboxes, transport, connector, passwords, readers })
    }

    fn start(
        self,
        config: &Config,
        opened: Opened,
        tokens: Tokens,
        listeners: Listeners,
    ) -> Result<Running, StartError> {
        let Opened { identity, place, machine, log, node, bootstrap, known, data_dir } = opened;
        self.transport.set_peers(first_peers(&machine, known));
        let auth = Auth::new(&machine, tokens);
        let engine = self.start_engine(config, (place.clone(), machine, auth), log, node)?;
        let endpoints = config.follow.as_ref().map_or_else(Vec::new, |follow| follow.endpoints.clone());
        let (follow, orders) = crate::follow::Handle::new(endpoints);
        let apis = self.apis(config, identity, &engine, &Arc::new(follow));
        let peer_port = Arc::new(PeerPort::new(apis[0].clone(), config));
        let transport = self.start_transport(config, identity, place, &engine, listeners.peer, peer_port)?;
        #[cfg(test)]
        let apply = engine.apply.clone();
        let Engine { consensus, owners, asked, questions, .. } = engine;
        let network = Network::new(config, apis, listeners.clients, bootstrap, asked, orders);
        let (workers, ready) = network.start()?;
        let (shared, peers) = (self.shared, self.transport);
        Ok(Running {
            consensus,
            shared,
            owners,
            peers,
            transport,
            workers,
            questions,
            ready: Some(ready),
            is_ready: Arc::default(),
            identity,
            status: self.status,
            #[cfg(test)]
            apply,
            data_dir,
        })
    }

    /// Starts the thread that talks to other members.
    fn start_transport(
        &self,
        config: &Config,
        identity: Identity,
        place: StorePlace,
        engine: &Engine,
        listeners: transport::Listeners,
        port: Arc<PeerPort>,
    ) -> Result<JoinHandle<()>, StartError> {
        let settings = transport::Settings {
            identity,
            advertised: config.cluster.advertise_peer.iter().map(Url::to_string).collect(),
            read_timeout: config.raft.read_timeout,
            write_timeout: config.raft.write_timeout,
            connector: self.connector.clone(),
        };
        let http: transport::PeerHttp = Arc::new(move |request| Box::pin(port.clone().respond(request)));
        let snapshots = Receiver::new(place, engine.consensus.clone());
        let inbound = EngineInbound {
            consensus: engine.consensus.clone(),
            questions: engine.questions.clone(),
            snapshots,
            shared: self.shared.clone(),
        };
        let (handle, metrics) = (self.transport.clone(), self.metrics.clone());
        let thread = TransportThread::new(handle, settings, listeners, http, Arc::new(inbound), metrics)
            .map_err(|source| StartError::System { what: "cannot start the transport", source })?;
        start_thread("transport", move || thread.run())
    }

    /// Starts the threads that own the state.
    fn start_engine(
        &self,
        config: &Config,
        (place, machine, auth): (StorePlace, Machine, Arc<Auth>),
        log: raft::durable::Log,
        node: Node,
    ) -> Result<Engine, StartError> {
        let Self { shared, status, lessor, metrics, mailboxes, transport, .. } = self;
        let (consensus, consensus_inbox) = inbox();
        let (log_sender, log_inbox) = inbox();
        let (apply, apply_inbox) = inbox();
        let views = Arc::new(Views::new(machine.view()));
        let revision = shown_revision(&machine);
        let (catch_up, catch_up_thread) = catch_up(views.clone(), mailboxes.clone());
        let consensus_thread = ConsensusThread {
            node,
            inbox: consensus_inbox,
            own: consensus.clone(),
            log: log_sender.clone(),
            apply: apply.clone(),
            transport: transport.clone(),
            mailboxes: mailboxes.clone(),
            shared: shared.clone(),
            status: status.clone(),
            lessor: lessor.clone(),
            metrics: metrics.clone(),
            pace: pace(config),
            pending: Default::default(),
            changes: Changes::new(change_rules(config), config.cluster.auto_promote_learners),
            received: None,
            disk: Default::default(),
            checkpoint: raft::Index::ZERO,
            log_sizes: Default::default(),
            contradictions: Default::default(),
        };
        let apply_thread = ApplyThread {
            machine,
            place,
            views: views.clone(),
            auth: auth.clone(),
            inbox: apply_inbox,
            consensus: consensus.clone(),
            checkpointer: Checkpointer::new(apply.clone()),
            comparison: Comparison::new(status.own_id(), consensus.clone(), shared.clone()),
            hasher: CompactionHasher::default(),
            mailboxes: mailboxes.clone(),
            shared: shared.clone(),
            status: status.clone(),
            transport: transport.clone(),
            lessor: lessor.clone(),
            metrics: metrics.clone(),
            slow_apply: config.warnings.apply,
            batch: Default::default(),
            held: Default::default(),
            unstored_bytes_max: UNSTORED_BYTES_MAX,
            early_reads: Default::default(),
            snapshots_wanted: Default::default(),
            retired: None,
        };
        let mut owners = vec![
            start_thread("consensus", move || consensus_thread.run())?,
            start_thread("apply", move || apply_thread.run())?,
        ];
        owners.extend(self.start_log(log, log_inbox, &consensus, &log_sender)?);
        // Ends when the last worker is gone.
        start_thread("watch catch-up", move || catch_up_thread.run())?;
        let (questions, asked) = Questions::new(transport.clone(), random());
        let questions = Arc::new(questions);
        Ok(Engine { consensus, apply, views, auth, revision, catch_up, questions, asked, owners })
    }

    /// Starts the threads that write and read the raft log.
    fn start_log(
        &self,
        log: raft::durable::Log,
        inbox: Inbox<LogEvent>,
        consensus: &Sender<ConsensusEvent>,
        events: &Sender<LogEvent>,
    ) -> Result<[JoinHandle<()>; 3], StartError> {
        let (reader, reader_inbox) = crate::engine::inbox::inbox();
        let (preparer, preparer_inbox) = crate::engine::inbox::inbox();
        let log_preparer =
            LogPreparer { preparer: log.preparer(), inbox: preparer_inbox, log: events.clone() };
        let writer = LogWriter {
            log,
            inbox,
            consensus: consensus.clone(),
            reader,
            preparer,
            transport: self.transport.clone(),
            shared: self.shared.clone(),
            metrics: self.metrics.clone(),
            waiting: Default::default(),
        };
        let reader = LogReader { inbox: reader_inbox, consensus: consensus.clone() };
        Ok([
            start_thread("log writer", move || writer.run())?,
            start_thread("log reader", move || reader.run())?,
            start_thread("log preparer", move || log_preparer.run())?,
        ])
    }

    /// The services as each worker has them.
    fn apis(
        &self,
        config: &Config,
        identity: Identity,
        engine: &Engine,
        follow: &Arc<crate::follow::Handle>,
    ) -> Vec<Arc<Api>> {
        let Self { shared, status, lessor, metrics, mailboxes, .. } = self;
        let Engine { consensus, apply, views, auth, catch_up, questions, .. } = engine;
        let revision = engine.revision;
        let header =
            Header { cluster_id: identity.cluster.0, member_id: identity.member.0, ..Header::default() };
        let settings = settings(config);
        let snapshots = Arc::new(Semaphore::new(SNAPSHOTS_MAX));
        let bounds = Bounds::new(settings.receive_bytes_max);
        let unfinished = Backlog::new(UNFINISHED_MESSAGES_BYTES_MAX);
        mailboxes
            .iter()
            .enumerate()
            .map(|(index, mailbox)| {
                let hub = Hub::new(header, revision, bounds);
                let worker = Worker::new(
                    index,
                    shared.clone(),
                    consensus.clone(),
                    mailbox.clone(),
                    hub,
                    catch_up.clone(),
                    auth.clone(),
                );
                Arc::new(Api {
                    worker,
                    shared: shared.clone(),
                    views: views.clone(),
                    auth: auth.clone(),
                    passwords: self.passwords.clone(),
                    readers: self.readers.clone(),
                    status: status.clone(),
                    lessor: lessor.clone(),
                    questions: questions.clone(),
                    apply: apply.clone(),
                    transport: self.transport.clone(),
                    connector: self.connector.clone(),
                    observer: Observer::new(metrics.clone()),
                    follow: follow.clone(),
                    metrics: metrics.clone(),
                    cluster_id: identity.cluster.0,
                    member_id: identity.member.0,
                    snapshots: snapshots.clone(),
                    settings: settings.clone(),
                    unfinished: unfinished.clone(),
                })
            })
            .collect()
    }
}

/// The revision that clients are shown. Half of another cluster's keys is no state that anybody is shown.
fn shown_revision(machine: &Machine) -> i64 {
    match machine.follow() {
        Some(follow) if !follow.is_readable() => follow.shown,
        _ => machine.store().revision(),
    }
}

/// Where to reach the others: as the state machine says, or before it knows, as the member was told.
fn first_peers(machine: &Machine, known: Vec<KnownMember>) -> Vec<Peer> {
    if machine.members().len() > 0 {
        return peers_of(machine);
    }
    known.into_iter().map(|member| Peer { id: NodeId(member.id.0), urls: member.peer_urls }).collect()
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    crate::spawn::thread(name, run)
        .map_err(|source| StartError::System { what: "cannot start a thread", source })
}

/// Network threads: one for each core beyond the two that the state's threads keep busy, but at least one and not so
/// many that a batch falls apart.
fn worker_count() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_sub(2).clamp(1, 8)
}

fn pace(config: &Config) -> Pace {
    Pace {
        tick: config.raft.heartbeat_interval,
        election_timeout: config.raft.election_timeout,
        catch_up_entries: config.raft.snapshot_catchup_entries,
        catch_up_bytes: LOG_KEPT_BYTES_MAX,
    }
}

fn change_rules(config: &Config) -> machine::ChangeRules {
    machine::ChangeRules {
        learners_max: config.cluster.learners_max,
        strict: config.cluster.strict_reconfig_check,
    }
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
        change_rules: change_rules(config),
        heartbeat_interval: config.raft.heartbeat_interval,
        receive_bytes_max: config.limits.request_bytes_max + GRPC_OVERHEAD_BYTES,
        quota_bytes: quota(config),
        progress_interval: config.watch_progress_notify_interval,
        slow_request: config.warnings.unary_request,
        election_timeout: election,
        spool_dir: datadir::Layout::of(&config.data_dir).member(),
        // One and a half election timeouts, in whole seconds, rounded up.
        min_lease_ttl: (3 * election.as_millis() as i64).div_euclid(2).saturating_add(999) / 1000,
    }
}
