//! What a node shows of itself. Nothing here changes it.

use super::Node;
use crate::core::id::{EntryId, Index, NodeId, Term};
use crate::core::loss::Loss;
use crate::core::membership::Membership;
use crate::core::ready::{FollowerStatus, RoleName, Status};
use crate::core::role::Role;

impl Node {
    /// The node at a glance.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = &self.state;
        let (followers, transfer_to, is_established) = match &self.role {
            Role::Leader(leader) => (
                leader.followers().collect(),
                leader.transfer.as_ref().map(|transfer| transfer.to),
                leader.is_established(state),
            ),
            _ => (Vec::new(), None, false),
        };
        Status {
            id: state.id(),
            role: self.role.name(),
            term: state.term(),
            vote: state.hard_state.vote,
            leader: self.role.leader(state.id()),
            base: state.log.base(),
            last: state.log.last(),
            stable: state.log.stable(),
            commit: state.log.commit(),
            applied: state.log.applied(),
            is_established,
            followers,
            transfer_to,
        }
    }

    /// Its role: [`Status::role`] without the rest. This and the following cost nothing, so a shell may ask in every round.
    #[must_use]
    pub fn role(&self) -> RoleName {
        self.role.name()
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.state.term()
    }

    /// The leader of the term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.role.leader(self.state.id())
    }

    /// The place before the first entry of the log: [`Status::base`] without the rest.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.state.log.base()
    }

    /// The last entry of the log.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.state.log.last()
    }

    /// The last entry that is durable here.
    #[must_use]
    pub fn stable(&self) -> Index {
        self.state.log.stable()
    }

    /// The last entry known to be applied.
    #[must_use]
    pub fn applied_index(&self) -> Index {
        self.state.log.applied()
    }

    /// What this node has lost and not got back (rule M5): while there is something, it neither votes nor campaigns.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.state.loss
    }

    /// One follower as this leader sees it: whether a learner is ready to vote, whether a member is there at all. `None` if
    /// this node does not lead, or has no such follower.
    #[must_use]
    pub fn follower(&self, id: NodeId) -> Option<FollowerStatus> {
        let Role::Leader(leader) = &self.role else { return None };
        leader.progress.get(&id).filter(|progress| !progress.is_leaving()).map(|progress| progress.status(id))
    }

    /// All followers of this leader, by id; none if it does not lead.
    pub fn followers(&self) -> impl Iterator<Item = FollowerStatus> + '_ {
        let leader = match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        };
        leader.into_iter().flat_map(|leader| leader.followers())
    }

    /// As a leader: the entry after which some follower still needs the log, as it catches up or will when the snapshot that
    /// is on its way to it has arrived. One that is there and takes nothing does not catch up
    /// ([`CATCH_UP_STALL_ELECTIONS`](crate::CATCH_UP_STALL_ELECTIONS)). A shell that compacts beyond it makes another snapshot necessary, and
    /// with many writes yet another one: it should wait, as long as there is room. `None` if nobody needs anything.
    #[must_use]
    pub fn log_needed_after(&self) -> Option<Index> {
        match &self.role {
            Role::Leader(leader) => leader.log_needed_after(&self.state),
            _ => None,
        }
    }

    /// The last entry known to be committed: [`Status::commit`] without the rest.
    #[must_use]
    pub fn commit(&self) -> Index {
        self.state.log.commit()
    }

    /// To whom this leader is handing leadership over: [`Status::transfer_to`] without the rest.
    #[must_use]
    pub fn transfer_target(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.transfer.as_ref().map(|transfer| transfer.to),
            _ => None,
        }
    }

    /// The node's name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.state.id()
    }

    /// Whether this node leads and has committed an entry of its own term: [`Status::is_established`] without the rest.
    #[must_use]
    pub fn is_established(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.is_established(&self.state))
    }

    /// How many entries of the log are in memory; all others are read from the durable log when they are needed.
    #[must_use]
    pub fn entries_in_memory(&self) -> usize {
        self.state.log.entries_in_memory()
    }

    /// The configuration in force here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.state.membership()
    }

    /// The entry that put the configuration in force here; 0 for the one that the node was started with.
    #[must_use]
    pub fn membership_index(&self) -> Index {
        self.state.memberships.current_index()
    }

    /// The configuration that was in force at `index`; what a snapshot that ends there must carry.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> &Membership {
        self.state.memberships.at(index)
    }

    /// The term of the entry at `index`, if the log reaches there.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.state.log.term_at(index)
    }

    /// Checks what must hold between any two calls, for simulators and tests.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check_invariants(&self) {
        self.state.log.check_invariants();
        assert!(self.state.memberships.current_index() <= self.state.log.last().index);
        if let Role::Leader(leader) = &self.role {
            assert_eq!(self.state.hard_state.vote, Some(self.state.id()), "a leader voted for itself");
            assert!(self.state.loss.is_none(), "a leader that lost entries (rule M5)");
            for (node, progress) in &leader.progress {
                assert!(progress.matched < progress.next, "{node}: {progress:?}");
                assert!(progress.matched <= self.state.log.last().index, "{node}: {progress:?}");
            }
        }
    }
}
