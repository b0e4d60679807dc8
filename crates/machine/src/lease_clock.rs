//! The lease clock: which leases have run out, according to whoever is asked the time.
//!
//! The replicated state says which leases exist and how long they live; it has no clock (rule A1). *When* one runs
//! out is known to the leader alone, in memory: it counts from the grant or the last renewal that it has seen. The
//! lease clock is that memory, as a plain data structure: time comes in as [`Millis`] of a monotonic clock, what is
//! due comes out of [`LeaseClock::scan`] as commands to propose.
//!
//! ```text
//!            outcomes of apply                       keepalive
//!  machine ──────────────────► granted, revoked,        │
//!                              checkpointed         ┌───▼───┐   scan(now)    expired: propose LeaseExpire
//!  raft: role changed ───────► promoted, demoted ──►│ clock │───────────────►
//!                                                   └───────┘                checkpoints: propose LeaseCheckpoint
//! ```
//!
//! * **Never early.** A new leader does not know about the old one's renewals, so it gives every lease its full time
//!   again (or the rest last checkpointed), plus an extension of an election timeout.
//! * **A renewal and an expiry do not cross** (L1). Once a lease has been handed out as expired, renewing it is
//!   refused with [`RenewError::Expiring`] until the revocation is applied or the leadership is lost; and the command
//!   names the term and the lease's epoch, so that applying it after either has moved does nothing.
//! * **A renewal outlives every checkpoint that was taken before it** (L3). A renewal asks for a reset of the checkpoint
//!   ([`Renewed::reset`]) if one is in the state, and also if one is on its way there: until that reset is applied
//!   ([`LeaseClock::reset_applied`]), nobody knows how much a later leader would give the lease. The log must have the
//!   reset after the checkpoint, so the caller of [`LeaseClock::scan`] proposes the checkpoints before it lets anybody
//!   renew. A new leader does not know which checkpoints the leader before it left in the log, so until all of that is
//!   applied ([`LeaseClock::applied`]), every renewal of a long lease asks for a reset.
//! * **Expiries are spread** after a leader change, so that a thousand leases do not fill the log in the same second.
//! * Granting, renewing and revoking take O(log n), [`LeaseClock::scan`] O(log n) for each lease it returns.

mod bridge;

use std::collections::{BTreeMap, BTreeSet};

use mvcc::LeaseId;

use crate::limits::{LEASE_CHECKPOINTS_PER_COMMAND_MAX, LEASE_EXPIRED_PER_SCAN_MAX};

/// Milliseconds of a monotonic clock, from an origin of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// This many milliseconds later, at most the end of time.
    #[must_use]
    pub const fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// From `earlier` to this, in milliseconds; negative when `earlier` is later.
    fn since(self, earlier: Self) -> i64 {
        let (later, earlier) = (i128::from(self.0), i128::from(earlier.0));
        i64::try_from(later - earlier).unwrap_or(if later < earlier { i64::MIN } else { i64::MAX })
    }
}

/// Which renewal of a lease: the raft index of the command that last granted it or reset its checkpoint. Unique for
/// the life of the cluster, so also a lease granted anew under an old id is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RenewEpoch(pub u64);

/// Settings of the clock. Local to the member: nothing replicated depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseClockOptions {
    /// When an expired lease is handed out again if its revocation has not been applied (etcd: 3 s).
    pub retry_after_ms: u64,
    /// How often the rest of a long lease is written to the log, so that it survives a leader change (L3; etcd: 5
    /// min). It must be the same on all members: leases that are not longer than this have no checkpoints anywhere.
    pub checkpoint_every_ms: u64,
    /// With this many leases or more, a new leader spreads their expiries (etcd: 1000).
    pub spread_from_leases: usize,
    /// Leases that may expire in one second when spread (etcd: three quarters of 1000).
    pub spread_per_second: u64,
}

impl Default for LeaseClockOptions {
    fn default() -> Self {
        Self {
            retry_after_ms: 3000,
            checkpoint_every_ms: 300_000,
            spread_from_leases: 1000,
            spread_per_second: 750,
        }
    }
}

/// The times of all leases. See the [module](self).
///
/// Invariants: while primary, the expiry queue has exactly one entry for each lease, at its `due`; the checkpoint
/// queue at most one, at its `checkpoint`.
#[derive(Debug)]
pub struct LeaseClock {
    options: LeaseClockOptions,
    leases: BTreeMap<LeaseId, Lease>,
    role: Role,
}

/// What the replicated state says about a lease, as far as time is concerned.
#[derive(Debug, Clone, Copy)]
struct Lease {
    ttl_seconds: i64,
    /// The rest at the last checkpoint, if there was one since the last renewal.
    remaining_seconds: Option<i64>,
    epoch: RenewEpoch,
}

impl Lease {
    /// Returns what a leader that knows of no renewal gives the lease, in milliseconds.
    fn recorded_ms(&self) -> u64 {
        millis(self.remaining_seconds.unwrap_or(self.ttl_seconds))
    }

    /// Returns what a renewal gives it, in milliseconds.
    fn full_ms(&self) -> u64 {
        millis(self.ttl_seconds)
    }
}

fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}

#[derive(Debug)]
enum Role {
    /// Another member counts. Leases do not run out here.
    Follower,
    Primary(Primary),
}

/// Counts the checkpoints that a primary hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct CheckpointNumber(u64);

#[derive(Debug, Default)]
struct Primary {
    term: u64,
    /// An entry of this term was applied, and with it everything that earlier leaders left in the log.
    knows_earlier_terms: bool,
    last_checkpoint: CheckpointNumber,
    running: BTreeMap<LeaseId, Running>,
    /// By when a lease is next to be looked at: at its expiry, or once handed out, when to do so again.
    due: BTreeSet<(Millis, LeaseId)>,
    checkpoints: BTreeSet<(Millis, LeaseId)>,
}

/// A lease that the primary counts down.
#[derive(Debug, Clone, Copy)]
struct Running {
    expiry: Millis,
    due: Millis,
    /// Handed out as expired: a renewal must wait until the revocation is applied.
    expiring: bool,
    /// When the next checkpoint is due.
    checkpoint: Option<Millis>,
    /// The last checkpoint that was handed out, unless a reset that was asked for after it has been applied.
    checkpoint_under_way: Option<CheckpointNumber>,
}

/// A lease that has run out: propose [`Expired::command`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Which lease.
    pub id: LeaseId,
    /// The leader's term. The proposal must be made in this term and not be forwarded.
    pub term: u64,
    /// The renewal that ran out.
    pub epoch: RenewEpoch,
}

/// The rest of a lease, to be written to the log: propose [`Checkpoint::command`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which lease.
    pub id: LeaseId,
    /// What is left, in seconds, rounded up.
    pub remaining_seconds: i64,
}

/// What is due: commands to propose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// At most [`LEASE_EXPIRED_PER_SCAN_MAX`], longest expired first.
    pub expired: Vec<Expired>,
    /// At most [`LEASE_CHECKPOINTS_PER_COMMAND_MAX`]: one command.
    pub checkpoints: Vec<Checkpoint>,
}

/// A renewal that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The full time to live that starts now, in seconds.
    pub ttl_seconds: i64,
    /// The lease has, or may soon have, a checkpoint that is now too short: propose [`Reset::checkpoint`]. When that is
    /// applied, report it ([`LeaseClock::reset_applied`]) and promise the time to live.
    pub reset: Option<Reset>,
}

/// A reset of a lease's checkpoint, which a renewal asks for. The log may have other resets of the same lease, of an
/// earlier leader, and they may lie before a checkpoint that this one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    id: LeaseId,
    term: u64,
    /// The checkpoint that it follows in the log, if one was under way.
    after: Option<CheckpointNumber>,
}

/// Why a lease was not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenewError {
    /// This member is not the leader: ask it.
    #[error("not a primary lessor")]
    NotPrimary,
    /// No such lease: answer a time to live of 0.
    #[error("requested lease not found")]
    NotFound,
    /// It ran out, and whether it is revoked is being decided: ask again when the revocation is applied (then it is
    /// not found) or the leadership is lost.
    #[error("lease is expiring")]
    Expiring,
}

/// What is left of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeToLive {
    /// As granted, in seconds.
    pub granted_seconds: i64,
    /// Left, in seconds, truncated towards zero; zero or negative once it has run out. `None` where nobody counts:
    /// this member is not the leader.
    pub remaining_seconds: Option<i64>,
}

impl LeaseClock {
    /// A clock without leases, at a member that does not lead.
    #[must_use]
    pub const fn new(options: LeaseClockOptions) -> Self {
        Self { options, leases: BTreeMap::new(), role: Role::Follower }
    }

    /// A lease was granted, or found in the store at the start. It starts to run if this member leads.
    pub fn granted(
        &mut self,
        id: LeaseId,
        ttl_seconds: i64,
        remaining_seconds: Option<i64>,
        epoch: RenewEpoch,
        now: Millis,
    ) {
        let lease = Lease { ttl_seconds, remaining_seconds, epoch };
        self.revoked(id);
        self.leases.insert(id, lease);
        if let Role::Primary(primary) = &mut self.role {
            primary.start(id, &lease, now.after(lease.recorded_ms()), now, &self.options);
        }
    }

    /// A lease is gone: revoked or expired.
    pub fn revoked(&mut self, id: LeaseId) {
        self.leases.remove(&id);
        if let Role::Primary(primary) = &mut self.role {
            primary.stop(id);
        }
    }

    /// A checkpoint was applied: what a later leader starts from. This leader knows better what is left, except of what
    /// earlier leaders left in the log: a reset among it says that one of them promised the full time again, at some
    /// moment before now.
    pub fn checkpointed(
        &mut self,
        id: LeaseId,
        remaining_seconds: Option<i64>,
        epoch: RenewEpoch,
        now: Millis,
    ) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.remaining_seconds = remaining_seconds;
        lease.epoch = epoch;
        if let Role::Primary(primary) = &mut self.role {
            if remaining_seconds.is_none() && !primary.knows_earlier_terms {
                primary.prolong(id, now.after(lease.full_ms()));
            }
            primary.schedule_checkpoint(id, lease, now, &self.options);
        }
    }

    /// This reset was applied, and so was or never will be what the log has before it.
    pub fn reset_applied(&mut self, reset: Reset) {
        if let Role::Primary(primary) = &mut self.role {
            primary.reset_applied(reset);
        }
    }

    /// This member leads now, in `term`: every lease starts again, `extension_ms` (an election timeout) longer, as
    /// clients could not renew while nobody led.
    pub fn promoted(&mut self, term: u64, extension_ms: u64, now: Millis) {
        let mut by_expiry: Vec<(Millis, LeaseId)> =
            self.leases.iter().map(|(&id, lease)| (now.after(lease.recorded_ms()), id)).collect();
        by_expiry.sort_unstable();
        if by_expiry.len() >= self.options.spread_from_leases {
            spread(&mut by_expiry, self.options.spread_per_second);
        }
        let mut primary = Primary { term, ..Primary::default() };
        for (expiry, id) in by_expiry {
            let lease = self.leases.get(&id).expect("the ids were taken from this map");
            primary.start(id, lease, expiry.after(extension_ms), now, &self.options);
        }
        self.role = Role::Primary(primary);
    }

    /// An entry of this term was applied, and its effects have been reported.
    pub fn applied(&mut self, term: u64) {
        if let Role::Primary(primary) = &mut self.role {
            primary.knows_earlier_terms |= term == primary.term;
        }
    }

    /// This member does not lead any more: nothing runs out here.
    pub fn demoted(&mut self) {
        self.role = Role::Follower;
    }

    /// A client keeps its lease alive. The caller has made sure that this member still leads (L2).
    ///
    /// # Errors
    /// See [`RenewError`].
    pub fn renew(&mut self, id: LeaseId, now: Millis) -> Result<Renewed, RenewError> {
        let Role::Primary(primary) = &mut self.role else { return Err(RenewError::NotPrimary) };
        let lease = self.leases.get(&id).ok_or(RenewError::NotFound)?;
        let running = primary.running.get(&id).expect("a primary runs every lease");
        // One that has run out and has not been handed out lives on: who is to say that it ran out first.
        if running.expiring {
            return Err(RenewError::Expiring);
        }
        // Until the reset is applied, every renewal asks for it: the one that was proposed before may be lost.
        let after = running.checkpoint_under_way;
        let may_have_been_left =
            !primary.knows_earlier_terms && lease.full_ms() > self.options.checkpoint_every_ms;
        let needs_reset = lease.remaining_seconds.is_some() || after.is_some() || may_have_been_left;
        let reset = needs_reset.then_some(Reset { id, term: primary.term, after });
        primary.restart(id, now.after(lease.full_ms()));
        Ok(Renewed { ttl_seconds: lease.ttl_seconds, reset })
    }

    /// What is left of a lease; `None` if there is no such lease.
    #[must_use]
    pub fn time_to_live(&self, id: LeaseId, now: Millis) -> Option<TimeToLive> {
        let lease = self.leases.get(&id)?;
        let remaining_seconds = match &self.role {
            Role::Follower => None,
            Role::Primary(primary) => {
                primary.running.get(&id).map(|running| running.expiry.since(now) / 1000)
            }
        };
        Some(TimeToLive { granted_seconds: lease.ttl_seconds, remaining_seconds })
    }

    /// All leases: by expiry where it is known, else by id.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseId> {
        match &self.role {
            Role::Follower => self.leases.keys().copied().collect(),
            Role::Primary(primary) => {
                let mut by_expiry: Vec<_> =
                    primary.running.iter().map(|(&id, running)| (running.expiry, id)).collect();
                by_expiry.sort_unstable();
                by_expiry.into_iter().map(|(_, id)| id).collect()
            }
        }
    }

    /// How many leases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is no lease.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Whether this member leads, and counts.
    #[must_use]
    pub const fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary(_))
    }

    /// The term in which this member leads; `None` if it does not.
    #[must_use]
    pub const fn term(&self) -> Option<u64> {
        match &self.role {
            Role::Primary(primary) => Some(primary.term),
            Role::Follower => None,
        }
    }

    /// What has come due by `now`. An expired lease is handed out again after a while if it is still there.
    pub fn scan(&mut self, now: Millis) -> Due {
        let Role::Primary(primary) = &mut self.role else { return Due::default() };
        Due {
            expired: primary.take_expired(&self.leases, now, self.options.retry_after_ms),
            checkpoints: primary.take_checkpoints(&self.leases, now, self.options.checkpoint_every_ms),
        }
    }

    /// When [`scan`](Self::scan) next has something to return; `None`: not before something else happens.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        let Role::Primary(primary) = &self.role else { return None };
        let (due, checkpoint) = (primary.due.first(), primary.checkpoints.first());
        due.into_iter().chain(checkpoint).map(|&(at, _)| at).min()
    }

    /// Checks the invariants of the type. For tests and the simulator: O(n log n).
    ///
    /// # Panics
    /// If one does not hold.
    pub fn check_invariants(&self) {
        let Role::Primary(primary) = &self.role else { return };
        assert!(
            self.leases.keys().eq(primary.running.keys()),
            "a primary runs exactly the leases that exist"
        );
        assert_eq!(primary.due.len(), primary.running.len(), "one place in the expiry queue for each lease");
        let checkpoints = primary.running.values().filter(|running| running.checkpoint.is_some()).count();
        assert_eq!(primary.checkpoints.len(), checkpoints, "checkpoint queue without strays");
        for (&id, running) in &primary.running {
            assert!(primary.due.contains(&(running.due, id)), "queued for its due time");
            assert!(
                running.checkpoint.is_none_or(|at| primary.checkpoints.contains(&(at, id))),
                "queued for its checkpoint"
            );
            assert!(
                running.expiring || running.due == running.expiry,
                "not handed out yet: due when it expires"
            );
        }
    }
}

impl Primary {
    fn start(
        &mut self,
        id: LeaseId,
        lease: &Lease,
        expiry: Millis,
        now: Millis,
        options: &LeaseClockOptions,
    ) {
        let running =
            Running { expiry, due: expiry, expiring: false, checkpoint: None, checkpoint_under_way: None };
        self.running.insert(id, running);
        self.due.insert((expiry, id));
        self.schedule_checkpoint(id, lease, now, options);
    }

    fn stop(&mut self, id: LeaseId) {
        let Some(running) = self.running.remove(&id) else { return };
        self.due.remove(&(running.due, id));
        if let Some(at) = running.checkpoint {
            self.checkpoints.remove(&(at, id));
        }
    }

    fn restart(&mut self, id: LeaseId, expiry: Millis) {
        let running = self.running.get_mut(&id).expect("renewed leases run");
        self.due.remove(&(running.due, id));
        running.expiry = expiry;
        running.due = expiry;
        self.due.insert((expiry, id));
    }

    /// Lets a lease live until then at least, because a reset was applied. Should it have been handed out as expired, then
    /// with an epoch that the reset has moved: that expiry is void (L1).
    fn prolong(&mut self, id: LeaseId, expiry: Millis) {
        let running = self.running.get_mut(&id).expect("prolonged leases run");
        if running.expiry < expiry {
            running.expiring = false;
            self.restart(id, expiry);
        }
    }

    /// A reset was applied. It comes after the checkpoint that was under way when it was asked for: if that has not been
    /// applied by now, it is lost.
    fn reset_applied(&mut self, Reset { id, term, after }: Reset) {
        if let Some(running) = self.running.get_mut(&id)
            && term == self.term
            && running.checkpoint_under_way == after
        {
            running.checkpoint_under_way = None;
        }
    }

    /// Plans the next checkpoint if the lease lives longer than the time between two of them.
    fn schedule_checkpoint(&mut self, id: LeaseId, lease: &Lease, now: Millis, options: &LeaseClockOptions) {
        let running = self.running.get_mut(&id).expect("checkpointed leases run");
        if let Some(at) = running.checkpoint.take() {
            self.checkpoints.remove(&(at, id));
        }
        if lease.recorded_ms() > options.checkpoint_every_ms {
            let at = now.after(options.checkpoint_every_ms);
            running.checkpoint = Some(at);
            self.checkpoints.insert((at, id));
        }
    }

    fn take_expired(
        &mut self,
        leases: &BTreeMap<LeaseId, Lease>,
        now: Millis,
        retry_after_ms: u64,
    ) -> Vec<Expired> {
        let mut expired = Vec::new();
        while expired.len() < LEASE_EXPIRED_PER_SCAN_MAX
            && let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let running = self.running.get_mut(&id).expect("queued leases run");
            running.expiring = true;
            running.due = now.after(retry_after_ms.max(1));
            self.due.insert((running.due, id));
            expired.push(Expired { id, term: self.term, epoch: leases[&id].epoch });
        }
        expired
    }

    /// Takes what is left of leases. The next time is planned here as well as when the checkpoint is applied: it may be lost,
    /// and there is none of a lease that was renewed just now.
    fn take_checkpoints(
        &mut self,
        leases: &BTreeMap<LeaseId, Lease>,
        now: Millis,
        every_ms: u64,
    ) -> Vec<Checkpoint> {
        let mut checkpoints = Vec::new();
        while checkpoints.len() < LEASE_CHECKPOINTS_PER_COMMAND_MAX
            && let Some(&(at, id)) = self.checkpoints.first()
            && at <= now
        {
            self.checkpoints.pop_first();
            let running = self.running.get_mut(&id).expect("queued leases run");
            let next = now.after(every_ms.max(1));
            running.checkpoint = (running.expiry > next).then_some(next);
            self.checkpoints.extend(running.checkpoint.map(|at| (at, id)));
            let left_ms = running.expiry.since(now);
            let remaining_seconds = left_ms.saturating_add(999) / 1000;
            if left_ms > 0 && remaining_seconds < leases[&id].ttl_seconds {
                self.last_checkpoint.0 += 1;
                running.checkpoint_under_way = Some(self.last_checkpoint);
                checkpoints.push(Checkpoint { id, remaining_seconds });
            }
        }
        checkpoints
    }
}

/// Moves expiries later so that at most `per_second` fall into any one second, keeping their order.
fn spread(by_expiry: &mut [(Millis, LeaseId)], per_second: u64) {
    let per_second = usize::try_from(per_second.max(1)).unwrap_or(usize::MAX);
    for place in per_second..by_expiry.len() {
        let earliest = by_expiry[place - per_second].0.after(1000);
        let expiry = &mut by_expiry[place].0;
        *expiry = (*expiry).max(earliest);
    }
}

#[cfg(test)]
mod tests;
