//! `etcdserverpb.Maintenance`.

use std::sync::atomic::Ordering;
use std::time::Instant;

use engine::command::Field;
use engine::event::ApplyEvent;
use engine::reply::Unserved;
use engine::request::Unshrunk;
use machine::member_change::is_learner;
use mvcc::RewriteError;
use proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeInfo,
    HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    StatusRequest, StatusResponse,
};
use proto::membershippb::Member;
use tokio::sync::oneshot;
use tonic::{Code, Status};

use super::Api;
use super::status::{of, read_failed};
use crate::auth::Caller;
use crate::grpc::reply::{Plain, Spliced};
use crate::version;

fn downgrade_info(target: Option<String>) -> DowngradeInfo {
    DowngradeInfo { enabled: target.is_some(), target_version: target.unwrap_or_default() }
}

impl Api {
    /// Lists, raises or disarms alarms; through the log, also to list them.
    pub(crate) async fn alarm(&self, caller: &Caller, request: AlarmRequest) -> Result<Spliced, Status> {
        let reply = self.propose(caller, Field::Alarm, &request).await?;
        Ok(self.spliced(reply))
    }

    /// What the member says of itself.
    pub(crate) async fn status(
        &self,
        _caller: &Caller,
        _request: StatusRequest,
    ) -> Result<Plain<StatusResponse>, Status> {
        let leader = self.leader_id();
        let alarms = self.status.alarms();
        let no_leader = (leader == 0).then(|| "etcdserver: no leader".to_owned());
        let errors = no_leader.into_iter().chain(alarms.iter().map(alarm_text)).collect();
        Ok(Plain(StatusResponse {
            header: Some(self.header_now().to_message()),
            version: version::ETCD.to_owned(),
            db_size: self.status.db_size() as i64,
            leader,
            raft_index: self.shared.committed.load(Ordering::Relaxed),
            raft_term: self.shared.term.load(Ordering::Relaxed),
            raft_applied_index: self.shared.applied.load(Ordering::Relaxed),
            errors,
            // Pages are reused and history is unlinked: there is no fragmentation to report.
            db_size_in_use: self.status.db_size() as i64,
            is_learner: self.status.is_learner(),
            storage_version: self.status.storage_version(),
            db_size_quota: self.settings.quota_bytes.unwrap_or(0) as i64,
            downgrade_info: Some(downgrade_info(self.status.downgrade_target())),
        }))
    }

    /// Gives back what the database does not use, beside everything else that the member does. The store uses free pages again,
    /// so nothing needs this but a file that is to be shorter.
    pub(crate) async fn defragment(
        &self,
        _caller: &Caller,
        _request: DefragmentRequest,
    ) -> Result<Plain<DefragmentResponse>, Status> {
        tracing::info!("starting defragmentation");
        // What was deleted is free when a checkpoint has it.
        self.checkpoint().await?;
        let (answer, answered) = oneshot::channel();
        let _ = self.apply.send(ApplyEvent::Defragment(answer));
        match answered.await.map_err(|_| of(&Unserved::Stopped))? {
            Ok(_) => Ok(Plain(DefragmentResponse { header: None })),
            Err(error) => Err(undefragmented(&error)),
        }
    }

    /// A hash of everything that is replicated.
    pub(crate) async fn hash(
        &self,
        _caller: &Caller,
        _request: HashRequest,
    ) -> Result<Plain<HashResponse>, Status> {
        let started = Instant::now();
        let state = self.ask(|machine| machine.store().state_hash()).await?;
        self.metrics.mvcc.hash_duration.observe(started.elapsed());
        let hash = (0..4).fold(0, |hash, part| hash ^ (state >> (32 * part)) as u32);
        Ok(Plain(HashResponse { header: Some(self.header_now().to_message()), hash }))
    }

    /// A hash of the keys and their history, as etcd computes it.
    pub(crate) async fn hash_kv(
        &self,
        caller: &Caller,
        request: HashKvRequest,
    ) -> Result<Plain<HashKvResponse>, Status> {
        let view = self.view();
        let at = (request.revision > 0).then_some(request.revision);
        let started = Instant::now();
        // It reads all keys and all history.
        let hashed = self.read_at_leisure(caller, move |_| view.hash_kv(at)).await?.map_err(read_failed)?;
        self.metrics.mvcc.hash_rev_duration.observe(started.elapsed());
        Ok(Plain(HashKvResponse {
            header: Some(self.header_now().to_message()),
            hash: hashed.hash,
            compact_revision: hashed.compact_revision,
            hash_revision: hashed.hash_revision,
        }))
    }

    /// Hands leadership over, and returns when the other member leads. Where etcd waits for as long as its caller does, this
    /// ends after the time that any request may take.
    pub(crate) async fn move_leader(
        &self,
        _caller: &Caller,
        request: MoveLeaderRequest,
    ) -> Result<Plain<MoveLeaderResponse>, Status> {
        let leader = || self.leader_id();
        if leader() != self.member_id {
            return Err(Status::failed_precondition("etcdserver: not leader"));
        }
        let target = request.target_id;
        let is_voter = |member: &Member| member.id == target && !is_learner(member);
        if !self.status.members().iter().any(is_voter) {
            return Err(Status::failed_precondition("etcdserver: bad leader transferee"));
        }
        let (from, to) = (format!("{:x}", self.member_id), format!("{target:x}"));
        tracing::info!(
            "current-leader-member-id" = from,
            "transferee-member-id" = to,
            "leadership transfer starting"
        );
        let started = Instant::now();
        self.worker.hand_over(raft::NodeId(target));
        while leader() != target {
            if started.elapsed() > self.shared.request_timeout {
                return Err(Status::unknown("etcdserver: request timed out, leader transfer took too long"));
            }
            tokio::time::sleep(self.settings.heartbeat_interval).await;
        }
        tracing::info!(
            "old-leader-member-id" = from,
            "new-leader-member-id" = to,
            took = ?started.elapsed(),
            "leadership transfer finished"
        );
        Ok(Plain(MoveLeaderResponse { header: None }))
    }
}

/// The status of a defragmentation that was not made.
fn undefragmented(error: &Unshrunk) -> Status {
    let code = match error {
        Unshrunk::Failed(RewriteError::Store(error)) if error.is_of_one_value() => Code::DataLoss,
        Unshrunk::Failed(RewriteError::Store(mvcc::Error::NoSpace(_))) => Code::ResourceExhausted,
        Unshrunk::Failed(RewriteError::Store(error)) if !error.is_retryable() => Code::Internal,
        Unshrunk::Busy | Unshrunk::Failed(_) => Code::Unavailable,
    };
    Status::new(code, format!("etcdserver: {error}"))
}

/// An alarm in protobuf's text form, as etcd shows it.
fn alarm_text(alarm: &AlarmMember) -> String {
    let kind = AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", |kind| kind.as_str_name());
    format!("memberID:{} alarm:{kind}", alarm.member_id)
}
