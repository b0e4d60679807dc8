//! The gRPC services, one file each. A method validates, makes one call, and converts.

pub(crate) mod auth;
mod authorise;
pub(crate) mod cluster;
pub(crate) mod downgrade;
pub(crate) mod election;
pub(crate) mod follow;
pub(crate) mod health;
pub(crate) mod kv;
pub(crate) mod leader;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod maintenance;
pub(crate) mod method;
pub(crate) mod observe;
pub(crate) mod quota;
pub(crate) mod range_stream;
mod recipe;
pub(crate) mod router;
pub(crate) mod snapshot;
pub(crate) mod status;
pub(crate) mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use engine::auth::Auth;
use engine::author::Author;
use engine::command::{Field, command_len, encode_command};
use engine::event::ApplyEvent;
use engine::inbox::Sender;
use engine::lessor::Lessor;
use engine::operation;
use engine::peers::Peers;
use engine::questions::Questions;
use engine::reply::{Answer, Unserved};
use engine::shared::Shared;
use engine::status::EngineStatus;
use engine::timing::Timing;
use engine::views::Views;
use engine::wire::Header;
use engine::worker::{Proposer, Worker};
use machine::limits::Limits;
use machine::{ChangeRules, Machine, Reply};
use prost::Message;
use raft::NodeId;
use tokio::sync::{Semaphore, oneshot};
use tonic::Status;

use self::observe::Observer;
use crate::auth::Caller;
use crate::auth::passwords::Passwords;
use crate::auth::tokens::Tokens;
use crate::grpc::reply::Spliced;
use crate::metrics::{Metrics, Operation, Success};
use crate::net::backlog::Backlog;
use crate::readers::Readers;
use crate::spans::{self, Spans};
use crate::tls::Connector;
use crate::transport::Transport;

/// What the services of one network worker work with.
pub(crate) struct Api {
    pub(crate) worker: Arc<Worker>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) views: Arc<Views>,
    pub(crate) auth: Arc<Auth>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) status: Arc<EngineStatus>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) questions: Arc<Questions>,
    pub(crate) apply: Sender<ApplyEvent>,
    pub(crate) transport: Transport,
    /// Asks other members over TLS.
    pub(crate) connector: Arc<Connector>,
    pub(crate) observer: Observer,
    /// Following another cluster.
    pub(crate) follow: Arc<crate::follow::Handle>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    /// Backups that may be under way beside those that are.
    pub(crate) snapshots: Arc<Semaphore>,
    pub(crate) settings: Settings,
    /// `None`: calls are not traced.
    pub(crate) spans: Option<Arc<Spans>>,
    /// Request messages of all clients of the member that have come in part.
    pub(crate) unfinished: Arc<Backlog>,
}

/// The flags that services look at.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `--max-txn-ops`.
    pub(crate) limits: Limits,
    /// `--max-request-bytes`.
    pub(crate) max_request_bytes: usize,
    /// `--max-learners` and `--strict-reconfig-check`.
    pub(crate) change_rules: ChangeRules,
    /// `--heartbeat-interval`.
    pub(crate) heartbeat_interval: std::time::Duration,
    /// Longest gRPC message taken.
    pub(crate) receive_bytes_max: usize,
    /// `--quota-backend-bytes`, resolved; `None`: no quota.
    pub(crate) quota_bytes: Option<u64>,
    /// `--watch-progress-notify-interval`.
    pub(crate) progress_interval: std::time::Duration,
    /// `--warning-unary-request-duration`.
    pub(crate) slow_request: std::time::Duration,
    /// `--election-timeout`.
    pub(crate) election_timeout: std::time::Duration,
    /// Where a backup may have a file without a name.
    pub(crate) spool_dir: std::path::PathBuf,
    /// Shortest lease: one and a half election timeouts, in seconds.
    pub(crate) min_lease_ttl: i64,
}

impl Api {
    /// The keys as of now.
    pub(crate) fn view(&self) -> mvcc::View {
        self.views.get()
    }

    /// Returns whether this member leads.
    pub(crate) fn leads(&self) -> bool {
        self.shared.is_led_by(self.member_id)
    }

    /// Returns who leads, as messages say it: 0 for nobody.
    pub(crate) fn leader_id(&self) -> u64 {
        self.shared.leader().map_or(0, |leader| leader.0)
    }

    /// A response header at `revision`.
    pub(crate) fn header(&self, revision: i64) -> Header {
        Header {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision,
            raft_term: self.shared.term.load(Ordering::Relaxed),
        }
    }

    /// A response header at the store's revision of this moment.
    pub(crate) fn header_now(&self) -> Header {
        self.header(self.view().revision())
    }

    /// Waits until a read of the local state is linearizable.
    pub(crate) async fn read_barrier(&self) -> Result<(), Status> {
        let _stage = spans::stage("read barrier");
        self.worker.read_barrier().await.map_err(|unserved| status::of(&unserved))
    }

    /// Proposes a caller's command and waits until it is applied here. Whether the caller may do it
    /// is decided in apply.
    pub(crate) async fn propose<M: Message>(
        &self,
        caller: &Caller,
        field: Field,
        request: &M,
    ) -> Result<Reply, Status> {
        match self.shared.unstored.room_within(self.shared.request_timeout).await {
            Ok(()) => {}
            // What is no put must be possible on a full disk: to look at alarms, to delete, to compact. The quota has refused
            // transactions that put.
            Err(Unserved::Rejected(_)) if !matches!(field, Field::Put | Field::LeaseGrant) => {}
            Err(unserved) => return Err(status::of(&unserved)),
        }
        let author = self.author(caller).await?;
        let Answer { mut reply, unread } =
            self.propose_by(Proposer::Anybody, &author, field, request).await?;
        if let Some(unread) = unread {
            let read = self.read_at_leisure(caller, move |pace| unread.read(pace)).await?;
            reply.body = read.map_err(status::failed)?;
        }
        Ok(reply)
    }

    /// Proposes what no client asked for, and waits until it is applied here.
    pub(crate) async fn propose_as_member<M: Message>(
        &self,
        field: Field,
        request: &M,
    ) -> Result<Reply, Status> {
        Ok(self.propose_by(Proposer::Anybody, &Author::Member, field, request).await?.reply)
    }

    /// Proposes what everybody may do, whoever the caller is.
    pub(crate) async fn propose_for_nobody<M: Message>(
        &self,
        field: Field,
        request: &M,
    ) -> Result<Reply, Status> {
        Ok(self.propose_by(Proposer::Anybody, &Author::Nobody, field, request).await?.reply)
    }

    /// Proposes what this member saw as the leader, and waits until it is applied here.
    pub(crate) async fn propose_as_leader<M: Message>(
        &self,
        field: Field,
        request: &M,
    ) -> Result<Reply, Status> {
        Ok(self.propose_by(Proposer::OnlyThisLeader, &Author::Member, field, request).await?.reply)
    }

    /// Proposes what the leader has found out of the cluster that is followed, however long it is: a revision of it is not torn
    /// apart.
    pub(crate) async fn propose_followed<M: Message>(
        &self,
        field: Field,
        request: &M,
    ) -> Result<Reply, Status> {
        let answer =
            self.propose_of_any_length(Proposer::OnlyThisLeader, &Author::Member, field, request).await?;
        Ok(answer.reply)
    }

    /// Since when another member has been connected; `None` if it is not.
    pub(crate) fn active_since(&self, member: u64) -> Option<Instant> {
        self.transport.active_since(NodeId(member))
    }

    /// Proposes a change of members: the leader checks it, permission included, and this returns
    /// when it is applied here.
    pub(crate) async fn propose_change<M: Message>(
        &self,
        caller: &Caller,
        field: Field,
        request: &M,
    ) -> Result<Reply, Status> {
        let author = self.author(caller).await?;
        let reply = self.propose_by(Proposer::LeaderAfterChecks, &author, field, request).await?.reply;
        let own = format!("{:x}", self.member_id);
        tracing::info!(
            "local-member-id" = own,
            "raft-conf-change" = ?field,
            "applied a configuration change through raft"
        );
        Ok(reply)
    }

    async fn propose_by<M: Message>(
        &self,
        proposer: Proposer,
        author: &Author,
        field: Field,
        request: &M,
    ) -> Result<Answer, Status> {
        if command_len(author, field, request) > self.settings.max_request_bytes {
            return Err(status::too_large());
        }
        self.propose_of_any_length(proposer, author, field, request).await
    }

    async fn propose_of_any_length<M: Message>(
        &self,
        proposer: Proposer,
        author: &Author,
        field: Field,
        request: &M,
    ) -> Result<Answer, Status> {
        let started = Instant::now();
        let timing: Option<Arc<Timing>> = spans::is_wanted().then(Arc::default);
        let build = |id| encode_command(id, author, field, request);
        let outcome = self.worker.propose(proposer, timing.clone(), build).await;
        if let Some(timing) = timing {
            spans::command_stages(started, &timing);
        }
        self.observe(operation::of_field(field), started, Success::of(&outcome));
        outcome.map_err(|unserved| {
            if !matches!(unserved, Unserved::Rejected(_)) {
                self.metrics.server.proposals_failed.inc();
            }
            status::of(&unserved)
        })
    }

    /// Asks the state machine something that no view shows.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Machine) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let (answer, answered) = oneshot::channel();
        let ask = Box::new(move |machine: &Machine| drop(answer.send(question(machine))));
        let _ = self.apply.send(ApplyEvent::Ask(ask));
        answered.await.map_err(|_| status::of(&Unserved::Stopped))
    }

    /// Notes how long a request took.
    pub(crate) fn observe(&self, operation: Operation, started: Instant, success: Success) {
        self.metrics.server.request_duration.of(operation, success).observe(started.elapsed());
    }

    /// Returns when a checkpoint that holds everything applied so far is on the disk, and what it freed is gone.
    pub(crate) async fn checkpoint(&self) -> Result<(), Status> {
        let (answer, answered) = oneshot::channel();
        let _ = self.apply.send(ApplyEvent::AwaitCheckpoint(answer));
        answered.await.map_err(|_| status::of(&Unserved::Stopped))
    }

    /// A reply of the state machine with this member's header.
    pub(crate) fn spliced(&self, reply: Reply) -> Spliced {
        Spliced { header: self.header(reply.revision), body: reply.body }
    }
}
