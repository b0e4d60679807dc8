//! What a leader knows of one follower, and how much it may send it.
//!
//! ```text
//!            agreement found                  a gap or a refusal
//!   Probe ───────────────────────> Replicate ────────────────────> Probe
//!     │ one message, then wait         messages in flight up to the window
//!     └── needs compacted entries ──> Snapshot ── installed ──> Probe
//! ```

use std::collections::VecDeque;

use super::id::{EntryId, Incarnation, Index, NodeId, Session};
use super::limits::Limits;
use super::ready::FollowerStatus;

/// Invariant: `matched < next`.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Progress {
    /// The follower's log agrees with ours up to here, durably.
    pub(crate) matched: Index,
    /// The next entry to send.
    pub(crate) next: Index,
    pub(crate) mode: Mode,
    /// This relation's name; answers that carry another are late and void (rule M2).
    pub(crate) session: Session,
    /// The follower's incarnation, once it spoke.
    pub(crate) incarnation: Option<Incarnation>,
    /// Whether it spoke since the last check of the quorum.
    pub(crate) active: bool,
    /// Whether it had spoken at that check.
    was_active: bool,
    /// The newest read round that it answered.
    pub(crate) round_confirmed: u64,
    /// The commit index it was told.
    pub(crate) commit_told: Index,
    /// An append is due even if there is nothing new, to find out where the follower stands.
    pub(crate) poke: bool,
    /// A heartbeat of a tick went out, and no answer has come since: the next one lets a lost append be repeated.
    may_repeat: bool,
    /// Entries for it are being read from the durable log.
    pub(crate) fetching: bool,
    /// Ticks in which it lacked entries and took none. Those of a snapshot's transfer do not count.
    stalled_ticks: u32,
    /// It is no member any more: so long it is still sent what tells it so.
    leaving_ticks: Option<u32>,
}

#[derive(Clone, Debug, Hash)]
pub(crate) enum Mode {
    /// Looking for the place where the logs agree, one message at a time.
    Probe { asked: bool },
    /// Sending entries as they come.
    Replicate(Window),
    /// It needs entries that are compacted away: a snapshot is under way, which contains this entry at least.
    Snapshot { contains: Index },
}

impl Progress {
    pub(crate) fn new(next: Index, session: Session) -> Progress {
        Progress {
            matched: Index::ZERO,
            next,
            mode: Mode::Probe { asked: false },
            session,
            incarnation: None,
            active: true,
            was_active: false,
            round_confirmed: 0,
            commit_told: Index::ZERO,
            poke: false,
            may_repeat: false,
            fetching: false,
            stalled_ticks: 0,
            leaving_ticks: None,
        }
    }

    /// It is no member from now on, and gets entries for this long, its own removal among them. Nothing that it says counts.
    pub(crate) fn leave(&mut self, ticks: u32) {
        self.leaving_ticks.get_or_insert(ticks);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving_ticks.is_some()
    }

    /// Lets a tick pass, at the end of which the log ends at `last`; whether it is still of interest.
    pub(crate) fn tick(&mut self, last: Index) -> bool {
        match &self.mode {
            _ if self.matched >= last => self.stalled_ticks = 0,
            Mode::Snapshot { .. } => {}
            Mode::Probe { .. } | Mode::Replicate(_) => {
                self.stalled_ticks = self.stalled_ticks.saturating_add(1);
            }
        }
        if let Some(ticks) = &mut self.leaving_ticks {
            *ticks = ticks.saturating_sub(1);
        }
        self.leaving_ticks != Some(0)
    }

    /// Whether an append may go out now.
    pub(crate) fn may_send(&self, limits: &Limits) -> bool {
        !self.fetching
            && match &self.mode {
                Mode::Probe { asked } => !asked,
                Mode::Replicate(window) => window.has_room(limits),
                Mode::Snapshot { .. } => false,
            }
    }

    /// Notes that an append with `bytes` of entries up to `last` went out.
    pub(crate) fn sent(&mut self, last: Index, bytes: usize) {
        match &mut self.mode {
            Mode::Probe { asked } => *asked = true,
            Mode::Replicate(window) if last >= self.next => {
                window.add(last, bytes);
                self.next = last.next();
            }
            Mode::Replicate(_) | Mode::Snapshot { .. } => {}
        }
    }

    /// The follower agrees durably up to `matched`. Whether that is news. `first` is the first entry that our log
    /// still has: from there on, a follower that was to get a snapshot can be served from the log again.
    pub(crate) fn acknowledged(&mut self, matched: Index, first: Index) -> bool {
        let news = matched > self.matched;
        if news {
            self.stalled_ticks = 0;
        }
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        match &mut self.mode {
            // Any agreement ends a probe; the snapshot's end too (etcd-io/raft#10308: at the leader's last index).
            Mode::Probe { .. } => self.replicate(),
            Mode::Replicate(window) => window.free_to(matched),
            Mode::Snapshot { .. } if self.matched.next() >= first => self.replicate(),
            Mode::Snapshot { .. } => {}
        }
        news
    }

    fn replicate(&mut self) {
        self.next = self.matched.next();
        self.mode = Mode::Replicate(Window::default());
    }

    /// The follower has no entry `refused`; our logs agree at `agreement` at most. Whether that is news.
    pub(crate) fn refused(&mut self, refused: Index, agreement: EntryId) -> bool {
        let stale = match &self.mode {
            Mode::Probe { .. } => self.next.previous() != refused,
            Mode::Replicate(_) => refused <= self.matched,
            Mode::Snapshot { .. } => true,
        };
        if stale {
            return false;
        }
        self.probe_after(agreement.index.min(refused.previous()));
        true
    }

    /// Whether the follower, which has no entry `refused`, has lost what it acknowledged: asked about the last entry that it
    /// acknowledged, it does not have it. Its disk came back as an older copy, and no heartbeat shows that as long as the
    /// lost entries are not committed (rule M5). It may also be a late answer to an earlier question about the same entry;
    /// that costs a question.
    pub(crate) fn is_loss(&self, refused: Index) -> bool {
        let is_asked = matches!(self.mode, Mode::Probe { .. }) && self.next.previous() == refused;
        is_asked && refused == self.matched && refused > Index::ZERO
    }

    fn probe_after(&mut self, agreement: Index) {
        self.next = agreement.max(self.matched).next();
        self.mode = Mode::Probe { asked: false };
        self.fetching = false;
    }

    /// The follower lost what it had acknowledged (rule M5): nothing is taken for granted any more. With a new session, for an
    /// answer from before may still be on its way, and would be taken for one that counts.
    pub(crate) fn lost(&mut self, last: Index, session: Session) {
        self.matched = Index::ZERO;
        self.session = session;
        self.probe_after(last);
    }

    /// Notes that a heartbeat goes out because a tick has passed. Those that serve reads do not count: there may be
    /// thousands of them in a second.
    pub(crate) fn heartbeat_of_tick(&mut self) {
        self.may_repeat = true;
    }

    /// A heartbeat came back: messages get through, so a probe that was lost can be repeated; once for each tick's heartbeat,
    /// or a follower with a slow disk would be sent the same entries for each read.
    pub(crate) fn alive(&mut self, last: Index) {
        self.active = true;
        if !std::mem::take(&mut self.may_repeat) {
            return;
        }
        if let Mode::Probe { asked } = &mut self.mode {
            *asked = false;
        }
        self.poke |= self.matched < last && !matches!(self.mode, Mode::Snapshot { .. });
    }

    /// Entries for it could not be read. Try again when it is heard, not in a loop.
    pub(crate) fn wait_for_sign(&mut self) {
        self.probe_after(self.matched);
        self.mode = Mode::Probe { asked: true };
    }

    /// A snapshot is wanted, of `contains` or later.
    pub(crate) fn snapshot_under_way(&mut self, contains: Index) {
        self.mode = Mode::Snapshot { contains };
    }

    /// The transfer of the snapshot after which the log begins at `first` ended; the end of another one says nothing. Wait for the follower to speak before trying anything: had it been
    /// reachable it would have answered.
    pub(crate) fn snapshot_ended(&mut self, first: Index, reached: Option<Index>) {
        if matches!(self.mode, Mode::Snapshot { contains } if contains.next() == first) {
            self.next = self.next.max(reached.unwrap_or_default().next());
            self.mode = Mode::Probe { asked: true };
        }
    }

    /// Begins the time until the next check of the quorum; whether it spoke in the one that ends.
    pub(crate) fn begin_check(&mut self) {
        self.was_active = std::mem::take(&mut self.active);
    }

    /// Whether it spoke within the last election timeout, or little more. Right after a check nobody has spoken yet.
    pub(crate) fn was_heard(&self) -> bool {
        self.active || self.was_active
    }

    /// Whether it is there and takes what it lacks, within this many ticks.
    pub(crate) fn is_catching_up(&self, ticks_max: u32) -> bool {
        self.was_heard() && !self.is_leaving() && self.stalled_ticks <= ticks_max
    }

    /// The entry after which it still needs the log.
    pub(crate) fn needs_after(&self) -> Index {
        match &self.mode {
            Mode::Probe { .. } => self.next.previous(),
            Mode::Replicate(_) => self.matched,
            Mode::Snapshot { contains } => *contains,
        }
    }

    pub(crate) fn status(&self, id: NodeId) -> FollowerStatus {
        FollowerStatus {
            id,
            matched: self.matched,
            next: self.next,
            mode: self.mode_name(),
            is_active: self.was_heard(),
        }
    }

    pub(crate) fn mode_name(&self) -> &'static str {
        match self.mode {
            Mode::Probe { .. } => "probe",
            Mode::Replicate(_) => "replicate",
            Mode::Snapshot { .. } => "snapshot",
        }
    }
}

/// The appends in flight to one follower.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Window {
    /// (last index, bytes) of each, in order.
    appends: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Window {
    fn has_room(&self, limits: &Limits) -> bool {
        self.appends.len() < limits.window_messages_max && self.bytes < limits.window_bytes_max
    }

    fn add(&mut self, last: Index, bytes: usize) {
        self.appends.push_back((last, bytes));
        self.bytes += bytes;
    }

    fn free_to(&mut self, matched: Index) {
        while let Some((last, bytes)) = self.appends.front().copied() {
            if last > matched {
                return;
            }
            self.bytes -= bytes;
            self.appends.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::Term;
    use super::*;

    fn replicating(matched: u64) -> Progress {
        let mut progress = Progress::new(Index(matched + 1), Session(1));
        progress.acknowledged(Index(matched), Index(1));
        progress
    }

    fn agreement(index: u64) -> EntryId {
        EntryId::new(Index(index), Term(1))
    }

    #[test]
    fn a_probe_asks_once_until_something_is_heard() {
        let limits = Limits::default();
        let mut progress = Progress::new(Index(10), Session(1));
        assert!(progress.may_send(&limits));
        progress.sent(Index(12), 100);
        assert!(!progress.may_send(&limits));
        assert_eq!(progress.next, Index(10), "nothing is assumed while probing");
        progress.alive(Index(12));
        assert!(!progress.may_send(&limits), "the answer to a heartbeat that served a read");
        progress.heartbeat_of_tick();
        progress.alive(Index(12));
        assert!(progress.may_send(&limits));
    }

    #[test]
    fn a_window_closes_by_count_and_by_bytes_and_opens_with_acknowledgements() {
        let limits = Limits { window_messages_max: 2, window_bytes_max: 100, ..Limits::default() };
        let mut progress = replicating(3);
        progress.sent(Index(4), 10);
        assert!(progress.may_send(&limits));
        progress.sent(Index(5), 10);
        assert!(!progress.may_send(&limits), "two messages");
        progress.acknowledged(Index(4), Index(1));
        assert!(progress.may_send(&limits));
        progress.sent(Index(6), 90);
        progress.acknowledged(Index(5), Index(1));
        assert!(progress.may_send(&limits), "one message of 90 bytes");
        progress.sent(Index(7), 10);
        assert!(!progress.may_send(&limits), "100 bytes");
    }

    #[test]
    fn a_refusal_goes_back_to_the_agreement_but_never_behind_what_matched() {
        let mut progress = replicating(3);
        progress.sent(Index(9), 10);
        assert!(progress.refused(Index(9), agreement(6)));
        assert_eq!((progress.next, progress.mode_name()), (Index(7), "probe"));
        assert!(!progress.refused(Index(9), agreement(1)), "the answer to an older question");
        assert!(progress.refused(Index(6), agreement(1)));
        assert_eq!(progress.next, Index(4));
    }

    #[test]
    fn a_refusal_of_what_matched_is_late_and_void() {
        let mut progress = replicating(5);
        assert!(!progress.refused(Index(4), agreement(1)));
        assert_eq!(progress.mode_name(), "replicate");
    }

    #[test]
    fn a_refusal_of_the_last_acknowledged_entry_is_a_loss_if_it_was_asked_about() {
        let mut progress = replicating(5);
        assert!(!progress.is_loss(Index(5)), "nothing was asked");
        progress.wait_for_sign();
        assert!(!progress.is_loss(Index(4)));
        assert!(progress.is_loss(Index(5)));
        progress.lost(Index(3), Session(2));
        assert_eq!((progress.matched, progress.next, progress.session), (Index(0), Index(4), Session(2)));
        // Nothing was ever acknowledged.
        assert!(!Progress::new(Index(1), Session(1)).is_loss(Index(0)));
    }

    #[test]
    fn a_follower_that_takes_nothing_does_not_catch_up_however_often_it_is_heard() {
        let mut progress = replicating(3);
        let pass = |progress: &mut Progress, ticks: u32| {
            for _ in 0..ticks {
                assert!(progress.tick(Index(9)));
                progress.alive(Index(9));
            }
        };
        pass(&mut progress, 50);
        assert!(progress.is_catching_up(50));
        pass(&mut progress, 1);
        assert!(!progress.is_catching_up(50));
        progress.acknowledged(Index(4), Index(1));
        assert!(progress.is_catching_up(50), "it has taken something");
        // The transfer of a snapshot takes as long as it takes.
        progress.snapshot_under_way(Index(7));
        pass(&mut progress, 1000);
        assert!(progress.is_catching_up(50));
        progress.acknowledged(Index(9), Index(8));
        pass(&mut progress, 1000);
        assert!(progress.is_catching_up(50), "it has everything");
    }

    #[test]
    fn a_snapshot_ends_when_the_log_can_serve_again() {
        let mut progress = Progress::new(Index(1), Session(1));
        progress.snapshot_under_way(Index(7));
        progress.acknowledged(Index(4), Index(11));
        assert_eq!(progress.mode_name(), "snapshot");
        progress.acknowledged(Index(10), Index(11));
        assert_eq!((progress.mode_name(), progress.next), ("replicate", Index(11)));
    }
}
