//! What a change of members means to consensus.
//!
//! A change is a command like any other ([`Field::MemberAdd`](super::command::Field) and its kin, encoded by the member
//! that was asked), but it takes a way of its own, because raft's configuration is in force as soon as the entry is
//! appended:
//!
//! ```text
//!  any member               leader: consensus                      leader: apply                    every member: apply
//!  ──────────               ─────────────────                      ─────────────                    ───────────────────
//!  Api::propose_change ──►  one at a time;         ──► established, everything ──► Node::propose_   the context is
//!  (forwarded if this       check_ready                applied: Machine::          change(step,     applied as the
//!  member does not lead)    refused ◄──────────────── check_change refuses         command)         command; its waiter
//!                                                                                  or propose       is answered
//! ```
//!
//! **One at a time** is also for [`MemberChange::Update`], which raft knows nothing of: two updates, or an update and an
//! addition, that were checked against the same state could give two members one URL. The next one is looked at when
//! the one before is applied *and* its joint configuration has ended; while it waits, its caller does.
//!
//! **A vote comes with the log.** A member that is added as a voter is a learner to raft until it is there and has caught
//! up; then the leader gives it its vote without being asked. So adding it neither waits for it nor costs the cluster its
//! quorum: in etcd a cluster of one stands still from the moment a second member is added until that one runs. To clients it
//! is a voter from the start.

use machine::{MemberChange, Rejection};
use raft::{FollowerStatus, Index, MembershipChange, NodeId, Status};

/// What share of the leader's log a learner must have before it is promoted, in percent (etcd: `readyPercentThreshold`).
const READY_PERCENT: u64 = 90;

/// What raft is told; `None` for a change that is not one of its configuration, and is proposed as a command.
pub fn step(change: MemberChange<'_>) -> Option<MembershipChange> {
    let id = NodeId(change.id());
    match change {
        MemberChange::Add(_) => Some(MembershipChange::AddLearner(id)),
        MemberChange::Remove(_) => Some(MembershipChange::Remove(id)),
        MemberChange::Promote(_) => Some(MembershipChange::AddVoter(id)),
        MemberChange::Update(_) => None,
    }
}

/// Whether the member that is to be promoted has caught up with this leader. Comes before the state machine's checks: what
/// is wrong first is what the caller is told.
///
/// # Errors
/// [`Rejection::MemberNotFound`], [`Rejection::LearnerNotReady`].
pub fn check_ready(change: MemberChange<'_>, leader: &Status) -> Result<(), Rejection> {
    let MemberChange::Promote(request) = change else { return Ok(()) };
    if request.id == leader.id.0 {
        return Ok(());
    }
    let learner = leader.followers.iter().find(|follower| follower.id.0 == request.id);
    let matched = learner.ok_or(Rejection::MemberNotFound)?.matched;
    if is_caught_up(matched, leader.last.index) { Ok(()) } else { Err(Rejection::LearnerNotReady) }
}

/// Entries that a member which waits for its vote may lack of what is committed: it has them within a moment.
const VOTE_GAP: u64 = 1000;

/// Whether a member that waits for its vote may have it.
pub fn is_ready_to_vote(member: &FollowerStatus, commit: Index) -> bool {
    member.is_active && member.matched > Index::ZERO && commit.since(member.matched) <= VOTE_GAP
}

fn is_caught_up(matched: Index, leaders: Index) -> bool {
    u128::from(matched.0) * 100 >= u128::from(leaders.0) * u128::from(READY_PERCENT)
}

#[cfg(test)]
mod tests {
    use proto::membershippb::{Member, RaftAttributes};
    use proto::quoratepb::{MemberAdd, MemberPromote, MemberRemove, MemberUpdate};

    use super::*;

    #[test]
    fn raft_is_told_who_has_a_vote() {
        let add = |is_learner| {
            let raft_attributes = Some(RaftAttributes { peer_urls: Vec::new(), is_learner });
            MemberAdd { member: Some(Member { id: 7, raft_attributes, member_attributes: None }) }
        };
        let node = NodeId(7);
        // The vote comes when it has caught up.
        assert_eq!(step(MemberChange::Add(&add(false))), Some(MembershipChange::AddLearner(node)));
        assert_eq!(step(MemberChange::Add(&add(true))), Some(MembershipChange::AddLearner(node)));
        let remove = MemberRemove { id: 7 };
        assert_eq!(step(MemberChange::Remove(&remove)), Some(MembershipChange::Remove(node)));
        let promote = MemberPromote { id: 7 };
        assert_eq!(step(MemberChange::Promote(&promote)), Some(MembershipChange::AddVoter(node)));
        let update = MemberUpdate { id: 7, peer_urls: Vec::new() };
        assert_eq!(step(MemberChange::Update(&update)), None);
    }

    #[test]
    fn a_learner_with_nine_tenths_of_the_log_has_caught_up() {
        assert!(is_caught_up(Index(90), Index(100)));
        assert!(!is_caught_up(Index(89), Index(100)));
        assert!(is_caught_up(Index(u64::MAX), Index(u64::MAX)));
        assert!(!is_caught_up(Index(0), Index(1)));
    }
}
