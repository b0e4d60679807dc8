//! Strict reconfiguration: whether a change of members would leave a cluster that cannot agree on anything.
//!
//! A change can be committed by a quorum that it then dissolves. What etcd looks at, on the member that is asked: whether enough
//! members have ever started, and whether enough of them have been connected with this one for a while. The rules are etcd's
//! to the member.

use std::time::{Duration, Instant};

use machine::member_change::{is_learner, may_add_voter, may_remove_voter};
use proto::membershippb::Member;

/// How long another member must have been connected to count as being there (etcd: `HealthInterval`).
const HEALTHY_AFTER: Duration = Duration::from_secs(5);

/// Why a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Endangered {
    /// Fewer members than a quorum would have started.
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    /// Fewer members than a quorum are connected with this one.
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
}

/// A member and those around it.
pub(super) struct Neighbours<'a> {
    pub(super) own_id: u64,
    pub(super) members: &'a [Member],
    /// Since when another member has been connected; `None` if it is not.
    pub(super) active_since: &'a dyn Fn(u64) -> Option<Instant>,
}

impl Neighbours<'_> {
    /// Whether a member may join. It counts as not there: it has yet to start.
    pub(super) fn may_add(&self, as_learner: bool) -> Result<(), Endangered> {
        if !as_learner && !may_add_voter(self.members) {
            return Err(Endangered::NotEnoughStarted);
        }
        let voters = self.voters().count();
        if voters == 1 || self.connected() >= quorum(voters + 1) {
            Ok(())
        } else {
            Err(Endangered::Unhealthy)
        }
    }

    /// Whether a member may leave.
    pub(super) fn may_remove(&self, id: u64) -> Result<(), Endangered> {
        if self.members.iter().any(|member| member.id == id && is_learner(member)) {
            return Ok(());
        }
        if !may_remove_voter(self.members, id) {
            return Err(Endangered::NotEnoughStarted);
        }
        // One that is not there takes nothing away when it leaves.
        if id != self.own_id && (self.active_since)(id).is_none() {
            return Ok(());
        }
        let left = self.voters().count().saturating_sub(1);
        if self.connected().saturating_sub(1) >= quorum(left) { Ok(()) } else { Err(Endangered::Unhealthy) }
    }

    fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !is_learner(member))
    }

    /// The voters that have been there for a while, this one included.
    fn connected(&self) -> usize {
        let is_there = |id| {
            id == self.own_id || (self.active_since)(id).is_some_and(|since| since.elapsed() > HEALTHY_AFTER)
        };
        self.voters().filter(|member| is_there(member.id)).count()
    }
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use proto::membershippb::{Attributes, RaftAttributes};

    use super::*;

    /// A cluster as letters, member 1 being the one that is asked: `S` started and connected for long, `s` connected just now,
    /// `d` started and not connected, `u` never started, `l` a learner.
    fn ask<T>(letters: &str, question: impl FnOnce(&Neighbours<'_>) -> T) -> T {
        let member = |(id, letter)| Member {
            id,
            raft_attributes: Some(RaftAttributes { peer_urls: Vec::new(), is_learner: letter == 'l' }),
            member_attributes: "Ssdl"
                .contains(letter)
                .then(|| Attributes { name: "n".into(), client_urls: Vec::new() }),
        };
        let members: Vec<Member> = (1..).zip(letters.chars()).map(member).collect();
        let now = Instant::now();
        let long_ago = now.checked_sub(HEALTHY_AFTER * 2).expect("the machine has been up for a while");
        let active_since = |id: u64| match letters.chars().nth(usize::try_from(id).ok()? - 1)? {
            'S' | 'l' => Some(long_ago),
            's' => Some(now),
            _ => None,
        };
        question(&Neighbours { own_id: 1, members: &members, active_since: &active_since })
    }

    #[test]
    fn who_joins_counts_as_not_there() {
        use Endangered::{NotEnoughStarted, Unhealthy};
        let cases = [
            ("S", Ok(()), Ok(())),
            ("SS", Ok(()), Ok(())),
            ("Ss", Err(Unhealthy), Err(Unhealthy)),
            ("Sd", Err(Unhealthy), Err(Unhealthy)),
            ("Su", Err(NotEnoughStarted), Err(Unhealthy)),
            ("SSS", Ok(()), Ok(())),
            ("SSd", Err(Unhealthy), Err(Unhealthy)),
            ("SSu", Err(NotEnoughStarted), Err(Unhealthy)),
            ("SSSd", Ok(()), Ok(())),
            ("Sl", Ok(()), Ok(())),
            ("SSSll", Ok(()), Ok(())),
        ];
        for (cluster, voter, learner) in cases {
            assert_eq!(
                ask(cluster, |neighbours| neighbours.may_add(false)),
                voter,
                "a voter next to {cluster}"
            );
            assert_eq!(
                ask(cluster, |neighbours| neighbours.may_add(true)),
                learner,
                "a learner next to {cluster}"
            );
        }
    }

    #[test]
    fn who_leaves_must_leave_a_quorum() {
        use Endangered::{NotEnoughStarted, Unhealthy};
        let cases = [
            ("S", 1, Err(NotEnoughStarted)),
            ("SS", 1, Ok(())),
            ("SS", 2, Ok(())),
            ("Sd", 2, Ok(())),
            ("Sd", 1, Err(Unhealthy)),
            ("SSS", 3, Ok(())),
            ("SSd", 3, Ok(())),
            ("SSd", 2, Err(Unhealthy)),
            ("SSd", 1, Err(Unhealthy)),
            ("Sdd", 2, Ok(())),
            ("SSs", 3, Err(Unhealthy)),
            ("Suu", 2, Err(NotEnoughStarted)),
            ("SSl", 3, Ok(())),
            ("Sul", 3, Ok(())),
            // Nobody: the state machine says so.
            ("SSS", 9, Ok(())),
        ];
        for (cluster, id, expected) in cases {
            let found = ask(cluster, |neighbours| neighbours.may_remove(id));
            assert_eq!(found, expected, "member {id} leaves {cluster}");
        }
    }
}
