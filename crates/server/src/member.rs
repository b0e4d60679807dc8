//! A member: how it is put together, started and stopped.
//!
//! In the order of a start: it becomes clear who the member is ([`Taken`]), which for a new one may mean asking others;
//! sockets are bound ([`Listeners`]), so that a port in use is found before anything is written; what is on the disk is
//! opened ([`opened`]); the threads that own the state start ([`assembly`]); then those
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
use engine::assembly::{self, Owners, Services, assemble};
use engine::consensus::clock::Pace;
use engine::ending::Ending;
use engine::handles::{Handles, Inboxes};
use engine::inbound::EngineInbound;
use engine::peers::{Peer, Peers};
use engine::questions::Questions;
use engine::{apply, handles};
use machine::Machine;
use raft::NodeId;
use tokio::sync::Semaphore;
use wal::{Disk, OsDisk};

use self::listeners::Listeners;
use self::network::{Network, Workers};
use self::opened::{Opened, Taken};
use crate::api::observe::Observer;
use crate::api::{Api, Settings};
use crate::auth::passwords::Passwords;
use crate::auth::tokens::Tokens;
use crate::bootstrap::{How, KnownMember, Origin, known_member};
use crate::config::{Config, Quota, Url};
use crate::error::StartError;
use crate::ids::Identity;
use crate::limits::{GRPC_OVERHEAD_BYTES, LOG_KEPT_BYTES_MAX, SNAPSHOTS_MAX};
use crate::logging::messages;
use crate::metrics::Metrics;
use crate::metrics::memory::Share;
use crate::net::backlog::Backlog;
use crate::net::connection::Budgets;
use crate::net::serve::PeerPort;
use crate::random::random;
use crate::readers::Readers;
use crate::spans::Spans;
use crate::tls::{Connector, Setup};
use crate::transport::{self, Transport, TransportThread};
use crate::version;

/// A member that serves.
pub struct Running {
    handles: Handles,
    /// The threads that own the state: joined when the member stops.
    owners: Vec<JoinHandle<()>>,
    transport: Transport,
    transport_thread: JoinHandle<()>,
    workers: Workers,
    questions: Arc<Questions>,
    ready: Option<std::sync::mpsc::Receiver<()>>,
    is_ready: Arc<AtomicBool>,
    identity: Identity,
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
        let shared = self.handles.shared.clone();
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
        self.handles.shared.ending.known()
    }

    /// Stops, throws log and store away and starts again: the other members bring everything back.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub fn start_over(self, config: &Config) -> Result<Running, StartError> {
        let members = self.handles.status.members().iter().map(known_member).collect();
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
    let metrics = Arc::new(crate::metrics::of_server(config.metrics));
    let tls = Setup::new(config, &metrics)?;
    let taken = Taken::take(config, disk, &tls.connector)?;
    let listeners = Listeners::bind(config, &tls, &metrics)?;
    let opened = taken.open(config)?;
    Assembly::new(config, &opened, metrics, tls.connector)?.start(config, opened, listeners)
}

/// A member before its threads start.
struct Assembly {
    handles: Handles,
    inboxes: Inboxes,
    transport: Transport,
    connector: Arc<Connector>,
    passwords: Arc<Passwords>,
    readers: Arc<Readers>,
    tokens: Arc<Tokens>,
    spans: Option<Arc<Spans>>,
}

impl Assembly {
    fn new(
        config: &Config,
        opened: &Opened,
        metrics: Arc<Metrics>,
        connector: Arc<Connector>,
    ) -> Result<Self, StartError> {
        let member_id = opened.identity.member.0;
        let identity = handles::Identity {
            member_id,
            storage_version: version::ETCD_STORAGE,
            // 5 s and two election timeouts (contract: semantics, section 1).
            request_timeout: Duration::from_secs(5) + 2 * config.raft.election_timeout,
            first_request: random(),
            shares: opened.shares,
        };
        tracing::info!("memory-limit-bytes" = opened.shares.limit, "memory is divided");
        opened.shares.publish(&metrics.memory);
        metrics.server.id.set(format!("{member_id:x}"));
        metrics.server.quota_backend_bytes.set(quota(config).unwrap_or(0) as i64);
        metrics.server.feature_enabled.set(config.feature_gates.rows());
        let transport = Transport::default();
        let (handles, inboxes) = Handles::new(identity, worker_count(), Arc::new(transport.clone()), metrics);
        handles.status.refresh(&opened.machine);
        handles.lessor.load(&opened.machine);
        let passwords = Passwords::start(config.auth.bcrypt_cost)
            .map_err(|source| StartError::System { what: "cannot start a thread", source })?;
        let readers = Readers::start(opened.shares.one_read)
            .map_err(|source| StartError::System { what: "cannot start a thread", source })?;
        let tokens = Arc::new(Tokens::open(&config.auth.token, config.auth.token_ttl)?);
        let spans = config.distributed_tracing.as_ref().map(Spans::start).transpose()?;
        Ok(Self { handles, inboxes, transport, connector, passwords, readers, tokens, spans })
    }

    fn start(self, config: &Config, opened: Opened, listeners: Listeners) -> Result<Running, StartError> {
        let Opened { identity, shares: _, place, machine, log, node, bootstrap, known, data_dir } = opened;
        self.transport.set_peers(first_peers(&machine, known));
        let endpoints = config.follow.as_ref().map_or_else(Vec::new, |follow| follow.endpoints.clone());
        let (follow, orders) = crate::follow::Handle::new(endpoints);
        let opened = assembly::Opened { log, node, machine, place: place.clone() };
        let (owners, front) = self.assemble(config, identity, opened, &Arc::new(follow));
        let owners =
            owners.start().map_err(|source| StartError::System { what: "cannot start a thread", source })?;
        let peer_port = Arc::new(PeerPort::new(front.apis[0].clone(), config));
        let inbound = EngineInbound::new(&front.handles, front.questions.clone(), place);
        let transport_thread = front.start_transport(config, identity, inbound, listeners.peer, peer_port)?;
        let budgets = Budgets::within(&front.handles.shares, &front.handles.metrics);
        let network =
            Network::new(config, front.apis, listeners.clients, bootstrap, front.asked, orders, budgets);
        let (workers, ready) = network.start()?;
        Ok(Running {
            handles: front.handles,
            owners,
            transport: front.transport,
            transport_thread,
            workers,
            questions: front.questions,
            ready: Some(ready),
            is_ready: Arc::default(),
            identity,
            data_dir,
        })
    }

    /// Puts the values together that own the state, and the services as each worker has them.
    fn assemble(
        self,
        config: &Config,
        identity: Identity,
        opened: assembly::Opened,
        follow: &Arc<crate::follow::Handle>,
    ) -> (Owners, Front) {
        let settings = settings(config);
        let engine_settings = assembly::Settings {
            cluster_id: identity.cluster.0,
            pace: pace(config),
            change_rules: change_rules(config),
            promotes_learners: config.cluster.auto_promote_learners,
            slow_apply: config.warnings.apply,
            fragment_bytes: settings.receive_bytes_max,
            first_question: random(),
        };
        let Self { handles, inboxes, transport, connector, passwords, readers, tokens, spans } = self;
        let (owners, services) = assemble(&engine_settings, opened, tokens.clone(), &handles, inboxes);
        let Services { views, auth, workers, questions, asked } = services;
        let snapshots = Arc::new(Semaphore::new(SNAPSHOTS_MAX));
        let unfinished =
            Backlog::within(Share::UnfinishedMessages, handles.shares.unfinished_messages, &handles.metrics);
        let api = |worker| {
            Arc::new(Api {
                worker,
                shared: handles.shared.clone(),
                views: views.clone(),
                auth: auth.clone(),
                tokens: tokens.clone(),
                passwords: passwords.clone(),
                readers: readers.clone(),
                status: handles.status.clone(),
                lessor: handles.lessor.clone(),
                questions: questions.clone(),
                apply: handles.apply.clone(),
                transport: transport.clone(),
                connector: connector.clone(),
                observer: Observer::new(handles.metrics.clone()),
                follow: follow.clone(),
                metrics: handles.metrics.clone(),
                cluster_id: identity.cluster.0,
                member_id: identity.member.0,
                snapshots: snapshots.clone(),
                settings: settings.clone(),
                unfinished: unfinished.clone(),
                spans: spans.clone(),
            })
        };
        let apis = workers.into_iter().map(api).collect();
        (owners, Front { handles, transport, connector, apis, questions, asked })
    }
}

/// What talks to clients and members, before its threads start.
struct Front {
    handles: Handles,
    transport: Transport,
    connector: Arc<Connector>,
    /// The services of each network worker.
    apis: Vec<Arc<Api>>,
    questions: Arc<Questions>,
    /// Questions of other members.
    asked: tokio::sync::mpsc::Receiver<engine::questions::Asked>,
}

impl Front {
    /// Starts the thread that talks to other members.
    fn start_transport(
        &self,
        config: &Config,
        identity: Identity,
        inbound: EngineInbound,
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
        let (handle, metrics) = (self.transport.clone(), self.handles.metrics.clone());
        let thread = TransportThread::new(handle, settings, listeners, http, Arc::new(inbound), metrics)
            .map_err(|source| StartError::System { what: "cannot start the transport", source })?;
        start_thread("transport", move || thread.run())
    }
}

/// Where to reach the others: as the state machine says, or before it knows, as the member was told.
fn first_peers(machine: &Machine, known: Vec<KnownMember>) -> Vec<Peer> {
    if machine.members().len() > 0 {
        return apply::peers_of(machine);
    }
    known.into_iter().map(|member| Peer { id: NodeId(member.id.0), urls: member.peer_urls }).collect()
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    engine::spawn::thread(name, run)
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
