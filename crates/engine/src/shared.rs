//! What every thread of the member may look at: numbers that others publish.
//!
//! No state is changed through here; each field has one writer.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use raft::{Index, NodeId};
use tokio::sync::watch;

use crate::ending::Word;
use crate::unstored::Unstored;
use crate::waiters::Waiters;

/// No member's id is this.
const NO_LEADER: u64 = 0;

fn of_raw(leader: u64) -> Option<NodeId> {
    Some(NodeId(leader)).filter(|leader| leader.0 != NO_LEADER)
}

/// Published numbers and the table of waiting callers.
pub struct Shared {
    /// Callers that wait for commands.
    pub waiters: Waiters,
    /// Seconds since the process started; written by the consensus thread as it ticks.
    pub second: AtomicU32,
    /// Milliseconds since the process started, as of the last tick; written by the consensus thread.
    pub millis: AtomicU64,
    /// How long a request may take: 5 s and two election timeouts, as in etcd.
    pub request_timeout: Duration,
    /// Current term; written by the consensus thread.
    pub term: AtomicU64,
    /// Leader's id, [`NO_LEADER`] for none; written by the consensus thread.
    leader: AtomicU64,
    /// The same, for those who wait for it to change.
    leadership: watch::Sender<Option<NodeId>>,
    /// How far the own disk has the log, for the apply thread.
    pub stable: StableMark,
    /// Commit index; written by the consensus thread before anything that depends on it leaves.
    pub committed: AtomicU64,
    /// Whether this node alone is the quorum of the configuration in effect, is leader and has committed an entry of
    /// its term; written by the consensus thread, withdrawn before a configuration that says otherwise is sent.
    pub sole_voter: AtomicBool,
    /// Applied index; written by the apply thread after the state shows it.
    pub applied: AtomicU64,
    /// Whether there is too much in memory that no checkpoint has; written by the apply thread.
    pub unstored: Unstored,
    /// The member is stopping: nothing new is taken.
    stopping: AtomicBool,
    /// The disk cannot take more log; written by the log writer.
    pub disk_full: AtomicBool,
    /// The NOSPACE alarm of this member is one that it raised by itself.
    pub raised_no_space: AtomicBool,
    /// Whether this member has to end by itself.
    pub ending: Word,
    /// What may be wrong, so that nobody is served from it (rules A6, X3).
    in_doubt: watch::Sender<Doubts>,
}

/// What of a member may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Its state: it is not the leader's. Written by the apply thread.
    State,
    /// Its log: it contradicts a leader's. Written by the consensus thread.
    Log,
}

#[derive(Debug, Clone, Copy, Default)]
struct Doubts {
    state: bool,
    log: bool,
}

impl Doubts {
    fn is_any(self) -> bool {
        self.state || self.log
    }
}

impl Shared {
    /// Nothing published yet.
    pub fn new(waiters: Waiters, request_timeout: Duration) -> Self {
        Self {
            waiters,
            second: AtomicU32::new(0),
            millis: AtomicU64::new(0),
            request_timeout,
            term: AtomicU64::new(0),
            leader: AtomicU64::new(NO_LEADER),
            leadership: watch::Sender::new(None),
            stable: StableMark::default(),
            committed: AtomicU64::new(0),
            sole_voter: AtomicBool::new(false),
            applied: AtomicU64::new(0),
            unstored: Unstored::default(),
            stopping: AtomicBool::new(false),
            disk_full: AtomicBool::new(false),
            raised_no_space: AtomicBool::new(false),
            ending: Word::default(),
            in_doubt: watch::Sender::new(Doubts::default()),
        }
    }

    /// A read barrier without a round: a node that is the whole quorum confirms its leadership to itself, and its
    /// commit index covers everything acknowledged, because an acknowledgement follows its publication (R1, R5).
    /// False when the state has yet to catch up, or there are other voters: then consensus must be asked.
    pub fn sole_voter_is_caught_up(&self) -> bool {
        self.sole_voter.load(Ordering::Acquire)
            && self.applied.load(Ordering::Acquire) >= self.committed.load(Ordering::Acquire)
    }

    /// Returns how many entries are committed and not applied here.
    pub fn apply_lag(&self) -> u64 {
        let applied = self.applied.load(Ordering::Acquire);
        self.committed.load(Ordering::Acquire).saturating_sub(applied)
    }

    /// Returns who leads.
    pub fn leader(&self) -> Option<NodeId> {
        of_raw(self.leader.load(Ordering::Acquire))
    }

    /// Returns whether the member with this id leads.
    pub fn is_led_by(&self, member_id: u64) -> bool {
        self.leader() == Some(NodeId(member_id))
    }

    /// Publishes who leads, and returns who did before.
    pub fn leader_is(&self, leader: Option<NodeId>) -> Option<NodeId> {
        self.leadership.send_replace(leader);
        of_raw(self.leader.swap(leader.map_or(NO_LEADER, |leader| leader.0), Ordering::AcqRel))
    }

    /// Publishes how long the process has run.
    pub fn uptime_is(&self, uptime: Duration) {
        self.millis.store(uptime.as_millis() as u64, Ordering::Relaxed);
        self.second.store(uptime.as_secs() as u32, Ordering::Relaxed);
    }

    /// Returns when nobody has led for so long.
    pub async fn leaderless_for(&self, patience: Duration) {
        let mut leadership = self.leadership.subscribe();
        loop {
            // Both waits end with an error only when the sender is gone, and it lives in here.
            let _ = leadership.wait_for(Option::is_none).await;
            let found = leadership.wait_for(Option::is_some);
            if tokio::time::timeout(patience, found).await.is_err() {
                return;
            }
        }
    }

    /// Publishes whether something may be wrong.
    pub fn set_in_doubt(&self, what: Doubt, is_in_doubt: bool) {
        self.in_doubt.send_modify(|doubts| match what {
            Doubt::State => doubts.state = is_in_doubt,
            Doubt::Log => doubts.log = is_in_doubt,
        });
    }

    /// Whether state or log may be wrong.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt.borrow().is_any()
    }

    /// Returns when state or log may be wrong.
    pub async fn doubted(&self) {
        // Ends with an error only when the sender is gone, and it lives in here.
        let _ = self.in_doubt.subscribe().wait_for(|doubts| doubts.is_any()).await;
    }

    /// From now on nothing new is taken.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the member is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The last second in which a request that starts now waits: it gives up in the one after, when its time has passed
    /// however much of this second has.
    pub fn deadline_second(&self) -> u32 {
        self.second.load(Ordering::Relaxed) + self.request_timeout.as_millis().div_ceil(1000) as u32
    }
}

/// How far the own disk has the log, and how far somebody waits for it.
///
/// A follower applies entries that its own disk may not have yet. A checkpoint that holds them must not be durable
/// before they are: after a crash the state would be ahead of the log.
#[derive(Default)]
pub struct StableMark {
    stable: AtomicU64,
    wanted: AtomicU64,
}

impl StableMark {
    /// Nobody waits.
    const NOBODY: u64 = 0;

    /// The consensus thread: the disk has everything up to here. Whether somebody waited for that.
    pub fn reached(&self, index: Index) -> bool {
        // Sequentially consistent, both here and in `wait_for`: of two threads that each write their own and then read
        // the other's, one sees what the other wrote.
        self.stable.store(index.0, Ordering::SeqCst);
        let wanted = self.wanted.load(Ordering::SeqCst);
        wanted != Self::NOBODY
            && wanted <= index.0
            && self.wanted.swap(Self::NOBODY, Ordering::SeqCst) != Self::NOBODY
    }

    /// The apply thread: whether the disk has everything up to here. If not, `reached` will say when it does.
    pub fn wait_for(&self, index: Index) -> bool {
        self.wanted.store(index.0, Ordering::SeqCst);
        let is_stable = self.has(index);
        if is_stable {
            self.wanted.store(Self::NOBODY, Ordering::SeqCst);
        }
        is_stable
    }

    /// Whether the disk has everything up to here.
    pub fn has(&self, index: Index) -> bool {
        self.stable.load(Ordering::SeqCst) >= index.0
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::super::waiters::Waiter;
    use super::*;

    #[test]
    fn a_request_gives_up_in_the_second_after_its_time() {
        for (millis, last_second) in [(7000, 17), (7001, 18), (7500, 18)] {
            let shared = Shared::new(Waiters::new(1, 0, usize::MAX), Duration::from_millis(millis));
            shared.second.store(10, Ordering::Relaxed);
            let (reply, _answer) = oneshot::channel();
            let deadline_second = shared.deadline_second();
            let waiter = Waiter { worker: 0, reply, started_millis: 10_000, deadline_second, timing: None };
            shared.waiters.register(waiter).unwrap();
            assert!(shared.waiters.expire(last_second).is_empty(), "{millis} ms may not have passed");
            assert_eq!(shared.waiters.expire(last_second + 1).len(), 1, "{millis} ms");
        }
    }

    #[test]
    fn one_doubt_that_is_settled_leaves_the_other() {
        let shared = Shared::new(Waiters::new(1, 0, usize::MAX), Duration::from_secs(7));
        shared.set_in_doubt(Doubt::State, true);
        shared.set_in_doubt(Doubt::Log, true);
        shared.set_in_doubt(Doubt::State, false);
        assert!(shared.is_in_doubt());
        shared.set_in_doubt(Doubt::Log, false);
        assert!(!shared.is_in_doubt());
    }

    #[test]
    fn who_waits_for_the_disk_is_told_once() {
        let mark = StableMark::default();
        assert!(!mark.reached(Index(5)), "nobody waits");
        assert!(mark.wait_for(Index(5)));
        assert!(!mark.wait_for(Index(8)));
        assert!(!mark.reached(Index(7)));
        assert!(mark.reached(Index(9)));
        assert!(!mark.reached(Index(10)));
    }
}
