//! What is no part of the source's history, and is asked for every so often.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use engine::command::Field;
use machine::limits::LEASE_TTL_SECONDS_MAX;
use proto::quoratepb::{FollowAuth, FollowCompaction};

use super::Fault;
use super::load::{LEASES_PER_COMMAND, users_of};
use super::session::Session;
use super::source::AuthStatus;

/// How often the source's revision is asked for.
const REVISION_INTERVAL: Duration = Duration::from_millis(250);

/// How often its leases are.
const LEASE_INTERVAL: Duration = Duration::from_secs(1);

/// How often its users are.
const USERS_INTERVAL: Duration = Duration::from_secs(2);

/// How often its compaction is.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is looked whether it has a fence.
const FENCE_INTERVAL: Duration = Duration::from_secs(2);

/// Leases whose remaining time is asked for in turn: those of a thousand in ten seconds.
const LEASES_PER_ROUND: usize = 100;

/// A lease that is here.
struct OwnLease {
    id: i64,
    /// Nothing is known of it but that keys name it.
    is_provided: bool,
    has_keys: bool,
}

/// Returns the leases that are to go: they are not at the source, and no key here is attached to them.
fn gone(ours: &[OwnLease], theirs: &BTreeSet<i64>) -> Vec<i64> {
    ours.iter().filter(|own| !own.has_keys && !theirs.contains(&own.id)).map(|own| own.id).collect()
}

impl Session {
    /// Keeps it known how far behind this cluster is.
    pub(super) async fn poll_revision(&self) -> Result<Infallible, Fault> {
        loop {
            let asked_at = Instant::now();
            let before = self.api.view().revision();
            let theirs = self.source.revision().await?;
            if theirs < before {
                return Err(Fault::Source(format!(
                    "it is at revision {theirs}, and this cluster at {before}"
                )));
            }
            self.api.follow.saw(theirs, asked_at, self.api.view().revision() >= theirs);
            tokio::time::sleep(REVISION_INTERVAL).await;
        }
    }

    /// Keeps the leases like those of the source.
    pub(super) async fn poll_leases(&self) -> Result<Infallible, Fault> {
        let mut turn = i64::MIN;
        loop {
            let theirs: BTreeSet<i64> = self.source.leases().await?.into_iter().collect();
            let ours = self.own_leases().await?;
            let known: BTreeSet<i64> = ours.iter().filter(|own| !own.is_provided).map(|own| own.id).collect();
            let mut asked: Vec<i64> = theirs.iter().copied().filter(|id| !known.contains(id)).collect();
            let in_turn: Vec<i64> = theirs.range(turn..).copied().take(LEASES_PER_ROUND).collect();
            turn = in_turn.last().map_or(i64::MIN, |last| last.saturating_add(1));
            asked.extend(in_turn);
            asked.sort_unstable();
            asked.dedup();
            self.refresh_leases(&asked, gone(&ours, &theirs)).await?;
            tokio::time::sleep(LEASE_INTERVAL).await;
        }
    }

    /// Takes over what is left of all leases.
    pub(super) async fn refresh_all_leases(&self) -> Result<(), Fault> {
        let theirs: BTreeSet<i64> = self.source.leases().await?.into_iter().collect();
        let ours = self.own_leases().await?;
        let asked: Vec<i64> = theirs.iter().copied().collect();
        self.refresh_leases(&asked, gone(&ours, &theirs)).await
    }

    async fn refresh_leases(&self, asked: &[i64], gone: Vec<i64>) -> Result<(), Fault> {
        let found = self.source.times(asked).await?;
        let mut gone = gone;
        for leases in found.chunks(LEASES_PER_COMMAND) {
            self.propose_leases(leases.to_vec(), std::mem::take(&mut gone)).await?;
        }
        if gone.is_empty() { Ok(()) } else { self.propose_leases(Vec::new(), gone).await }
    }

    async fn own_leases(&self) -> Result<Vec<OwnLease>, Fault> {
        let all = |machine: &machine::Machine| {
            let lease = |(id, lease): (mvcc::LeaseId, &machine::lease::Lease)| OwnLease {
                id: id.0,
                is_provided: lease.ttl_seconds == LEASE_TTL_SECONDS_MAX,
                has_keys: lease.keys().len() > 0,
            };
            machine.leases().map(lease).collect()
        };
        self.api.ask(all).await.map_err(|_| Fault::NotLeading)
    }

    /// Keeps users and roles like those of the source.
    pub(super) async fn poll_users(&self) -> Result<Infallible, Fault> {
        let mut print = None;
        loop {
            match self.source.auth_status().await? {
                Some(theirs) if theirs != self.own_auth_status().await? => self.refresh_users().await?,
                Some(_) => {}
                // Nothing says that they have changed: they are compared, as far as they can be seen.
                None => {
                    let now = self.source.users_print().await?;
                    if print.as_ref().is_some_and(|before| *before != now) {
                        self.refresh_users().await?;
                    }
                    print = Some(now);
                }
            }
            tokio::time::sleep(USERS_INTERVAL).await;
        }
    }

    /// Takes over users and roles if they are others than here, or may be.
    pub(super) async fn refresh_users_if_changed(&self) -> Result<(), Fault> {
        let is_same = match self.source.auth_status().await? {
            Some(theirs) => theirs == self.own_auth_status().await?,
            // Passwords cannot be seen.
            None => self.source.users_print().await?.is_empty(),
        };
        if is_same { Ok(()) } else { self.refresh_users().await }
    }

    async fn refresh_users(&self) -> Result<(), Fault> {
        let content = super::snapshot::fetch(&self.source, &self.api.settings.spool_dir).await?;
        let users = users_of(&content)?;
        self.propose(Field::FollowAuth, &FollowAuth { load: self.load_number(), ..users }).await
    }

    async fn own_auth_status(&self) -> Result<AuthStatus, Fault> {
        let status = |machine: &machine::Machine| {
            let auth = machine.auth();
            AuthStatus { is_enabled: auth.is_enabled(), revision: auth.revision() }
        };
        self.api.ask(status).await.map_err(|_| Fault::NotLeading)
    }

    /// Compacts as the source does.
    pub(super) async fn poll_compaction(&self) -> Result<Infallible, Fault> {
        loop {
            tokio::time::sleep(COMPACTION_INTERVAL).await;
            self.refresh_compaction().await?;
        }
    }

    /// Compacts to where the source is compacted. Returns whether the two are equal now.
    pub(super) async fn refresh_compaction(&self) -> Result<bool, Fault> {
        let own = self.api.view().compact_revision();
        let Some(theirs) = self.source.compacted_above(own).await? else { return Ok(true) };
        if theirs > self.api.view().revision() {
            // The watch has yet to come there, or will say that it cannot.
            return Ok(false);
        }
        let command = FollowCompaction { load: self.load_number(), revision: theirs };
        self.propose(Field::FollowCompaction, &command).await?;
        Ok(true)
    }

    /// Disarms a fence that a cut-over has left behind. One that is called off disarms its own, but a source that did not answer
    /// for a while may get that order before the one to raise it.
    pub(super) async fn poll_fence(&self) -> Result<Infallible, Fault> {
        loop {
            tokio::time::sleep(FENCE_INTERVAL).await;
            if self.source.is_fenced(self.fence_id()).await {
                // It may be that of a cut-over that is under way: what is there after it was left behind.
                let _fencing = self.fencing.lock().await;
                self.lift_old_fence().await?;
            }
        }
    }
}
