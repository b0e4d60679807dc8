//! The dispatcher: one command in, its outcome out.

use std::sync::Arc;

use bytes::Bytes;
use mvcc::{KeyRange, LeaseId, Store, View};
use proto::etcdserverpb::{AlarmMember, AlarmType, InternalRaftRequest, RangeRequest};
use proto::membershippb::Member;

use crate::alarm::Alarms;
use crate::auth::{self, AuthState, Identity, Policy};
use crate::command::Command;
use crate::follow::Follow;
use crate::lease::{Lease, Leases};
use crate::member::Cluster;
use crate::outcome::Reading;
use crate::source::Failure;
use crate::tables::{self, CLUSTER_VERSION, DOWNGRADE, Malformed};
use crate::{Body, Outcome, Rejection, Reply};

pub use mvcc::Applied;

/// The state machine. One owner, the apply thread; readers use [`Machine::view`].
///
/// Everything it keeps besides the store is derived from the store when it is opened, and then kept up with it.
pub struct Machine {
    pub(crate) store: Store,
    pub(crate) leases: Leases,
    pub(crate) alarms: Alarms,
    pub(crate) auth: Arc<AuthState>,
    pub(crate) cluster: Cluster,
    pub(crate) follow: Option<Follow>,
    /// What was here before the load that is under way.
    pub(crate) replaced: Option<mvcc::BegunAnew>,
}

/// Why a store cannot be opened as a state machine.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] mvcc::Error),
    /// A side table holds what no version known here writes.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A key is attached to a lease that does not exist.
    #[error("key {key:?} is attached to lease {lease:x}, which does not exist")]
    StrayKey {
        /// The key.
        key: Bytes,
        /// Id of the lease.
        lease: i64,
    },
}

impl Machine {
    /// Takes over a store: at boot, after a crash, after receiving a snapshot. The only constructor, so what is kept
    /// in memory cannot depend on how the state got here (A3).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(store: Store) -> Result<Self, OpenError> {
        let mut leases = Leases::new(tables::leases(&store)?);
        attach_keys(&store, &mut leases)?;
        let cluster = Cluster {
            id: tables::cluster_id(&store)?,
            members: tables::members(&store)?.into_iter().map(|member| (member.id, member)).collect(),
            removed: tables::removed_members(&store)?.into_iter().collect(),
            version: tables::cluster_text(&store, CLUSTER_VERSION)?,
            downgrade: tables::cluster_text(&store, DOWNGRADE)?,
        };
        let auth = Arc::new(auth::tables::read(&store)?);
        let follow = Follow::read(&store)?;
        let alarms = Alarms::new(tables::alarms(&store)?);
        Ok(Self { alarms, leases, auth, cluster, follow, replaced: None, store })
    }

    /// Applies one committed command. Pure and total (A1): the same state and command give the same state and
    /// outcome, on every member, in every life; there is no command that it cannot answer.
    ///
    /// # Errors
    /// The store could not be read: an operating fault of this member. State in memory may be ahead of other members'
    /// from here on; the process must stop.
    ///
    /// # Panics
    /// If `applied` does not lie behind what was applied before: a bug of the caller.
    pub fn apply(&mut self, applied: Applied, entry: &InternalRaftRequest) -> Result<Outcome, mvcc::Error> {
        self.apply_for(Reading::Now, applied, entry)
    }

    /// Applies one committed command, as [`apply`](Self::apply). `reading` says when that is read which only the reply needs.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn apply_for(
        &mut self,
        reading: Reading,
        applied: Applied,
        entry: &InternalRaftRequest,
    ) -> Result<Outcome, mvcc::Error> {
        let outcome = match Command::of(entry) {
            Some(command) => self.dispatch(reading, applied, Identity::of(entry), command),
            None => Err(Rejection::UnknownCommand.into()),
        };
        self.skip(applied);
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Rejected(rejection)) => Ok(Outcome::refused(rejection)),
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::GivenUp) => unreachable!("a command has no pace"),
        }
    }

    /// Notes an entry without a command as applied.
    ///
    /// # Panics
    /// As [`apply`](Self::apply).
    pub fn skip(&mut self, applied: Applied) {
        let before = self.store.applied();
        assert!(applied.index > before.index, "entry {applied:?} applied after {before:?}");
        self.store.set_applied(applied);
    }

    /// Returns whether alarms and permissions let the command through. What clients can tell is etcd's order: whoever
    /// needs to be `root` is refused first, then alarms stop what they stop, then keys are looked at.
    fn admit(&self, identity: Identity<'_>, command: Command<'_>) -> Result<(), Rejection> {
        let stopped = || match self.alarms.stops(command.needs_sound_data(), || command.needs_space()) {
            Some(rejection) => Err(rejection),
            None => Ok(()),
        };
        if !self.auth.is_enabled() {
            return stopped();
        }
        let access = command.access();
        if access.policy() == Policy::ByRange {
            stopped()?;
            self.authorise(identity, access)
        } else {
            self.authorise(identity, access)?;
            stopped()
        }
    }

    fn dispatch(
        &mut self,
        reading: Reading,
        applied: Applied,
        identity: Identity<'_>,
        command: Command<'_>,
    ) -> Result<Outcome, Failure> {
        self.admit(identity, command)?;
        if self.is_following() && command.is_write() {
            return Err(Rejection::Following.into());
        }
        match command {
            Command::Put(request) => self.put(request, reading),
            Command::Txn(request) => self.txn(request, reading),
            Command::DeleteRange(request) => Ok(self.delete_range(request, reading)),
            Command::Range(_) if reading == Reading::Never => Ok(self.nothing_done()),
            Command::Range(request) => self.range(request),
            Command::Compact(request) => self.compact(request),
            Command::LeaseGrant(request) => self.lease_grant(applied, request),
            Command::LeaseRevoke(request) => self.lease_revoke(request),
            Command::LeaseCheckpoint(request) => self.lease_checkpoint(applied, request),
            Command::LeaseExpire(request) => self.lease_expire(applied, request),
            Command::Alarm(request) => self.alarm(request),
            Command::Auth(command) => self.apply_auth(applied, command),
            Command::Bootstrap(request) => self.bootstrap(request),
            Command::MemberChange(change) => self.change_member(change),
            Command::MembersReset(request) => self.reset_members(request),
            Command::MemberAttributes(request) => self.set_member_attributes(request),
            Command::ClusterVersion(request) => self.set_cluster_version(request),
            Command::DowngradeInfo(request) => self.set_downgrade(request),
            Command::FollowBegin(request) => self.follow_begin(applied, request),
            Command::FollowRevisions(request) => self.follow_revisions(applied, request),
            Command::FollowLeases(request) => self.follow_leases(applied, request),
            Command::FollowAuth(request) => self.follow_auth(request),
            Command::FollowCompaction(request) => self.follow_compaction(request),
            Command::FollowTurn(request) => self.follow_turn(request),
            Command::DowngradeVersionTest | Command::StateHash => Ok(self.nothing_done()),
        }
    }

    /// A range through the log: no server of ours proposes one, but logs may hold them.
    fn range(&mut self, request: &RangeRequest) -> Result<Outcome, Failure> {
        let found = crate::range::range(&self.store.txn(), request)?;
        Ok(Outcome::replied(Reply { revision: found.revision, body: found.into_body() }))
    }

    pub(crate) fn nothing_done(&self) -> Outcome {
        Outcome::replied(Reply { revision: self.store.revision(), body: Body::empty() })
    }
}

/// Finds the keys of each lease.
fn attach_keys(store: &Store, leases: &mut Leases) -> Result<(), OpenError> {
    let mut stray = None;
    store.for_each_meta(&KeyRange::all(), |key, meta| {
        if meta.lease != LeaseId(0) && !leases.attach(meta.lease, key) && stray.is_none() {
            stray = Some(OpenError::StrayKey { key: Bytes::copy_from_slice(key), lease: meta.lease.0 });
        }
    });
    stray.map_or(Ok(()), Err)
}

/// What the shell may ask of it between two commands.
impl Machine {
    /// A view of the keys as they are now, for reads in other threads.
    #[must_use]
    pub fn view(&self) -> View {
        self.store.view()
    }

    /// The store: for sizes and hashes.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The store: for checkpoints. Whoever changes its content other than by [`apply`](Self::apply) breaks A1.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// One lease.
    #[must_use]
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// All leases by id: what a lease clock starts with.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = (LeaseId, &Lease)> {
        self.leases.iter()
    }

    /// Active alarms, by type and then by member.
    pub fn alarms(&self) -> impl Iterator<Item = AlarmMember> {
        self.alarms.of_type(AlarmType::None as i32)
    }

    /// Id of the cluster; `None` before it is bootstrapped.
    #[must_use]
    pub fn cluster_id(&self) -> Option<u64> {
        self.cluster.id
    }

    /// Members by id, ascending.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.cluster.members.values()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: u64) -> Option<&Member> {
        self.cluster.members.get(&id)
    }

    /// Ids of members that were removed, ascending: never used again.
    pub fn removed_members(&self) -> impl ExactSizeIterator<Item = u64> {
        self.cluster.removed.iter().copied()
    }

    /// Cluster version, as `X.Y.Z`; `None` before the leader has set it.
    #[must_use]
    pub fn cluster_version(&self) -> Option<&str> {
        self.cluster.version.as_deref()
    }

    /// Target version of the downgrade that is under way.
    #[must_use]
    pub fn downgrade_target(&self) -> Option<&str> {
        self.cluster.downgrade.as_deref()
    }
}
