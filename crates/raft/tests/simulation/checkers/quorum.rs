//! CommittedIsDurable: when an entry is committed, the disks of a quorum have it.
//!
//! The disks are asked, not the nodes: each is copied, crashes, loses what no sync covered, and is
//! opened. That is dear, so the history draws the commits that are looked up.

use std::collections::BTreeMap;

use raft::{EntryId, Node, NodeId};

use crate::server::Server;

/// Asserts that the last entry that this leader has committed would survive a crash of all
/// machines.
pub(crate) fn check_durable(servers: &BTreeMap<NodeId, Server>, leader: &Node) {
    let commit = leader.commit();
    let entry = EntryId::new(commit, leader.term_at(commit).expect("the committed entry's term"));
    let has = |id: NodeId| servers.get(&id).is_some_and(|server| holds(server, entry));
    // Decided by the configuration at the commit, or by a later one that is in the leader's log
    // already.
    let (then, now) = (leader.membership_at(commit), leader.membership());
    assert!(
        then.is_quorum(has) || now.is_quorum(has),
        "{entry} is committed by {}, but not durable on a quorum of {then} or {now}",
        leader.id()
    );
}

/// Returns whether a member would have the entry after a crash, in its log or state; or would know
/// that it may have had it: then it helps nobody to lead without it.
fn holds(server: &Server, entry: EntryId) -> bool {
    let (restored, state) = server.survives();
    entry.index <= restored.terms.base().index
        || entry.index <= state.last.index
        || restored.terms.holds(entry)
        || restored.loss.is_some_and(|loss| entry.index <= loss.until && entry.term <= loss.term)
}
