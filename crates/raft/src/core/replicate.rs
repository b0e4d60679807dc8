//! Sending: what a leader owes its followers at the end of a batch of steps.

use super::entry::Entry;
use super::id::{EntryId, Index, NodeId};
use super::leader::{Leader, answer_reads};
use super::log::Slice;
use super::message::{Body, Message};
use super::progress::{Mode, Progress};
use super::ready::{Fetch, FetchPurpose, SnapshotWanted};
use super::state::State;

impl Leader {
    /// Sends appends, commits and heartbeats that are due, opens read rounds. Entries leave before the own disk has
    /// them; a leader's own vote is durable, so nothing here waits for the disk.
    pub(crate) fn flush(&mut self, state: &mut State) {
        self.open_reads(state);
        let heartbeat = std::mem::take(&mut self.heartbeat_due);
        let round = self.reads.newest();
        for (node, progress) in &mut self.progress {
            if heartbeat {
                let session = progress.session;
                let commit = state.log.commit().min(progress.matched);
                let commit_term = state.log.term_at(commit);
                state.send_now(*node, Body::Heartbeat { session, commit, commit_term, round });
            }
            send_appends(state, *node, progress);
            tell_commit(state, *node, progress);
        }
        self.tell_successor(state);
    }

    fn open_reads(&mut self, state: &mut State) {
        if self.reads.is_empty() || !self.is_established(state) {
            return;
        }
        if state.membership().is_lone_voter(state.id()) {
            // Also those whose round went to voters that have been removed since: their answers may never come.
            for confirmed in self.reads.take_all(state.log.commit()) {
                answer_reads(state, confirmed);
            }
        } else if self.reads.can_open(state.config.limits.read_rounds_max) {
            self.reads.open(state.log.commit());
            self.heartbeat_due = true;
        }
    }

    /// Once the target of a transfer has everything, it may campaign at once (Raft thesis, section 3.10).
    fn tell_successor(&mut self, state: &mut State) {
        let Some(transfer) = &mut self.transfer else { return };
        let last = state.log.last().index;
        if !transfer.told && self.progress.get(&transfer.to).is_some_and(|progress| progress.matched == last)
        {
            transfer.told = true;
            state.send_now(transfer.to, Body::CampaignNow);
        }
    }

    /// Entries for a follower were read from the durable log.
    pub(crate) fn fetched(&mut self, state: &mut State, fetch: &Fetch, entries: Vec<Entry>) {
        let FetchPurpose::Peer { node, session, term } = fetch.purpose else { return };
        let Some(progress) = self.progress.get_mut(&node) else { return };
        if term != state.term() || progress.session != session || !progress.fetching {
            return;
        }
        progress.fetching = false;
        let is_own = |entry: &Entry| state.log.base().index >= entry.index || state.log.holds(entry.id());
        assert!(entries.iter().all(is_own), "entries for {node} that are not those of this log");
        let is_next = entries.first().is_some_and(|entry| entry.index == progress.next);
        match entry_before(state, progress.next) {
            Some(previous) if is_next => {
                send_append(state, node, progress, previous, entries);
            }
            _ if entries.is_empty() => progress.wait_for_sign(),
            // The follower moved on meanwhile.
            _ => {}
        }
    }

    /// A transfer of a snapshot ended. Sessions begin anew with each leadership, so the report of an earlier one is told by
    /// its term.
    pub(crate) fn snapshot_sent(&mut self, state: &State, wanted: &SnapshotWanted, reached: Option<Index>) {
        if let Some(progress) = self.progress.get_mut(&wanted.to)
            && progress.session == wanted.session
            && wanted.envelope.term == state.term()
        {
            progress.snapshot_ended(wanted.first, reached);
        }
    }
}

fn send_appends(state: &mut State, node: NodeId, progress: &mut Progress) {
    let last = state.log.last().index;
    // A probe is worth sending without news: it asks a question.
    let mut asks = matches!(progress.mode, Mode::Probe { .. });
    let mut poke = std::mem::take(&mut progress.poke);
    while progress.may_send(&state.config.limits) && (progress.next <= last || asks) {
        let Some(previous) = entry_before(state, progress.next) else {
            return want_snapshot(state, node, progress);
        };
        let entries = if progress.next <= last {
            match state.log.slice(progress.next, last, state.config.limits.append_bytes_max) {
                Slice::Entries(entries) => entries,
                Slice::Fetch(through) => return want_entries(state, node, progress, through),
                Slice::Compacted => return want_snapshot(state, node, progress),
            }
        } else {
            Vec::new()
        };
        send_append(state, node, progress, previous, entries);
        (asks, poke) = (false, false);
    }
    // The window may be full of appends that were all lost: an append without entries, which needs no room in it, finds
    // out (etcd-io/etcd#14633 is what happens without).
    if poke && matches!(progress.mode, Mode::Replicate(_)) {
        match entry_before(state, progress.next) {
            Some(previous) => send_append(state, node, progress, previous, Vec::new()),
            // Lost, and compacted meanwhile.
            None => want_snapshot(state, node, progress),
        }
    }
}

fn entry_before(state: &State, next: Index) -> Option<EntryId> {
    let index = next.previous();
    state.log.term_at(index).map(|term| EntryId::new(index, term))
}

fn send_append(
    state: &mut State,
    node: NodeId,
    progress: &mut Progress,
    previous: EntryId,
    entries: Vec<Entry>,
) {
    let commit = state.log.commit();
    let end = previous.index.plus(entries.len());
    let bytes = entries.iter().map(Entry::weight).sum();
    state.send_now(node, Body::Append { session: progress.session, previous, entries, commit });
    progress.commit_told = progress.commit_told.max(commit.min(end));
    progress.sent(end, bytes);
}

/// Tells a follower what is committed of what it has been sent, if no append did.
fn tell_commit(state: &mut State, node: NodeId, progress: &mut Progress) {
    let commit = state.log.commit().min(progress.next.previous());
    if !matches!(progress.mode, Mode::Replicate(_)) || commit <= progress.commit_told {
        return;
    }
    if let Some(term) = state.log.term_at(commit) {
        progress.commit_told = commit;
        state.send_now(node, Body::Commit { entry: EntryId::new(commit, term) });
    }
}

fn want_entries(state: &mut State, node: NodeId, progress: &mut Progress, through: Index) {
    progress.fetching = true;
    let purpose = FetchPurpose::Peer { node, session: progress.session, term: state.term() };
    let bytes_max = state.config.limits.append_bytes_max;
    state.ready.fetches.push(Fetch { purpose, first: progress.next, last: through, bytes_max });
}

fn want_snapshot(state: &mut State, node: NodeId, progress: &mut Progress) {
    // Not worth it, only to tell somebody that it is no member any more.
    if progress.is_leaving() {
        return;
    }
    progress.snapshot_under_way(state.log.base().index);
    let envelope: Message = state.message(node, Body::LaterTerm);
    let first = state.log.base().index.next();
    let wanted = SnapshotWanted { to: node, first, session: progress.session, envelope };
    state.ready.snapshots.push(wanted);
}
