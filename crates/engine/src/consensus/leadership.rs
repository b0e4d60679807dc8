//! Lines about who leads, as the raft library of etcd writes them: operators search for them after an election.

use raft::{NodeId, RoleChange, RoleName};

/// Returns what there is to say about a change of roles of this node, given the leader before.
pub(super) fn lines(own: NodeId, before: Option<NodeId>, change: &RoleChange) -> Vec<String> {
    let was_leading = before == Some(own);
    let (own, term) = (own.0, change.term.0);
    let mut lines = Vec::new();
    if change.role == RoleName::Leader && !was_leading {
        lines.push(format!("{own:x} became leader at term {term}"));
    }
    match (before, change.leader) {
        (before, after) if before == after => {}
        (None, Some(leader)) => {
            lines.push(format!("raft.node: {own:x} elected leader {:x} at term {term}", leader.0));
        }
        (Some(old), Some(leader)) => lines.push(format!(
            "raft.node: {own:x} changed leader from {:x} to {:x} at term {term}",
            old.0, leader.0
        )),
        (Some(old), None) => lines.push(format!("raft.node: {own:x} lost leader {:x} at term {term}", old.0)),
        (None, None) => {}
    }
    lines
}

#[cfg(test)]
mod tests {
    use raft::Term;

    use super::*;

    #[test]
    fn an_election_is_told_in_the_words_of_etcd() {
        let own = NodeId(0x8e9e_05c5_2164_694d);
        let told = |before: Option<u64>, role, leader: Option<u64>| {
            let change = RoleChange { role, term: Term(7), leader: leader.map(NodeId) };
            lines(own, before.map(NodeId), &change)
        };
        let own_id = Some(own.0);
        assert_eq!(
            told(None, RoleName::Leader, own_id),
            [
                "8e9e05c52164694d became leader at term 7",
                "raft.node: 8e9e05c52164694d elected leader 8e9e05c52164694d at term 7"
            ]
        );
        assert_eq!(
            told(Some(0xa), RoleName::Follower, Some(0xb)),
            ["raft.node: 8e9e05c52164694d changed leader from a to b at term 7"]
        );
        assert_eq!(
            told(Some(0xa), RoleName::Follower, None),
            ["raft.node: 8e9e05c52164694d lost leader a at term 7"]
        );
        assert!(told(own_id, RoleName::Leader, own_id).is_empty());
        assert!(told(None, RoleName::Candidate, None).is_empty());
    }
}
