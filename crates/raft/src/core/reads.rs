//! Linearizable reads without a log entry: the rounds of ReadIndex (Raft thesis, section 6.4).
//!
//! A leader may have been deposed without knowing it, so before it answers a read it asks a quorum whether it still
//! leads. All reads that wait share one question, a *round*; several rounds are in flight at once. The rules that
//! keep a read from being stale:
//!
//! - R1 no round opens before the leader has committed an entry of its own term;
//! - R2 a round's number is new, never a retry's or an earlier one's. Heartbeats carry the newest number at
//!   the time they are sent, so an answer that carries a number was asked after that round opened;
//! - R3 hence it counts for that round and all before it, and for none after;
//! - R4 the rounds live in the leader's state of one term and go with it.

use std::collections::VecDeque;

use super::id::{Boot, Index, NodeId, ReadToken, Term};

/// Names a round of one leader. Never used twice: a node leads a term at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round {
    /// The leader's term.
    pub term: Term,
    /// Counts the rounds of the term from 1; 0 before the first.
    pub number: u64,
}

/// Names a follower's question to its leader. Never used twice: the boot tells the starts of a node apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadRequestId {
    /// The start of the node that asks.
    pub boot: Boot,
    /// Counts its questions since that start.
    pub number: u64,
}

/// Who waits for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    Local(ReadToken),
    Peer { node: NodeId, request: ReadRequestId },
}

/// Reads whose round is confirmed, and the index they must wait for (rule R5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Confirmed {
    pub(crate) index: Index,
    pub(crate) readers: Vec<Reader>,
}

#[derive(Clone, Debug, Hash)]
struct OpenRound {
    number: u64,
    index: Index,
    readers: Vec<Reader>,
}

/// The reads of one leader in one term.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ReadRounds {
    term: Term,
    waiting: Vec<Reader>,
    open: VecDeque<OpenRound>,
    opened: u64,
}

impl ReadRounds {
    pub(crate) fn new(term: Term) -> ReadRounds {
        ReadRounds { term, waiting: Vec::new(), open: VecDeque::new(), opened: 0 }
    }

    /// How many reads wait or are in a round.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.open.iter().map(|round| round.readers.len()).sum::<usize>()
    }

    /// Returns whether no read waits or is in a round.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.open.is_empty()
    }

    pub(crate) fn add(&mut self, reader: Reader) {
        self.waiting.push(reader);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The newest round: what a heartbeat sent now must carry.
    pub(crate) fn newest(&self) -> Round {
        Round { term: self.term, number: self.opened }
    }

    /// Whether a heartbeat may serve a read, and so must be sent at once.
    pub(crate) fn can_open(&self, rounds_max: usize) -> bool {
        self.is_waiting() && self.open.len() < rounds_max
    }

    /// Opens a round for everybody who waits, at the commit index of this moment.
    pub(crate) fn open(&mut self, commit: Index) {
        self.opened += 1;
        let readers = std::mem::take(&mut self.waiting);
        self.open.push_back(OpenRound { number: self.opened, index: commit, readers });
    }

    /// Takes the rounds that are confirmed; `confirms` tells whether a quorum answered a heartbeat of this round or a
    /// later one.
    pub(crate) fn confirm(&mut self, confirms: impl Fn(u64) -> bool) -> Vec<Confirmed> {
        let mut confirmed = Vec::new();
        while self.open.front().is_some_and(|round| confirms(round.number)) {
            let round = self.open.pop_front().expect("a round is open");
            confirmed.push(Confirmed { index: round.index, readers: round.readers });
        }
        confirmed
    }

    /// Takes the reads that wait, and those in rounds that are open, for a leader that alone is a quorum.
    pub(crate) fn take_all(&mut self, commit: Index) -> Vec<Confirmed> {
        let mut confirmed = self.confirm(|_| true);
        let readers = std::mem::take(&mut self.waiting);
        confirmed.extend((!readers.is_empty()).then_some(Confirmed { index: commit, readers }));
        confirmed
    }

    /// The reads of this node that will not be answered, when leadership ends.
    pub(crate) fn abandon(self) -> Vec<ReadToken> {
        let open = self.open.into_iter().flat_map(|round| round.readers);
        open.chain(self.waiting)
            .filter_map(|reader| match reader {
                Reader::Local(token) => Some(token),
                Reader::Peer { .. } => None,
            })
            .collect()
    }
}

/// A follower's reads, asked of its leader. They live and die with the follower's bond to that leader.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct ForwardedReads {
    waiting: Vec<ReadToken>,
    asked: VecDeque<Question>,
}

#[derive(Clone, Debug, Hash)]
struct Question {
    request: ReadRequestId,
    tokens: Vec<ReadToken>,
    age_ticks: u32,
}

impl ForwardedReads {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.asked.iter().map(|question| question.tokens.len()).sum::<usize>()
    }

    pub(crate) fn add(&mut self, token: ReadToken) {
        self.waiting.push(token);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Asks one question for everybody who waits.
    pub(crate) fn ask(&mut self, request: ReadRequestId) {
        let tokens = std::mem::take(&mut self.waiting);
        self.asked.push_back(Question { request, tokens, age_ticks: 0 });
    }

    /// Those whom this answer is for. A question is answered once.
    pub(crate) fn answered(&mut self, request: ReadRequestId) -> Vec<ReadToken> {
        let place = self.asked.iter().position(|question| question.request == request);
        place.and_then(|place| self.asked.remove(place)).map_or_else(Vec::new, |question| question.tokens)
    }

    /// Lets time pass; gives up those who have waited this long: question or answer was lost.
    pub(crate) fn tick(&mut self, age_ticks_max: u32) -> Vec<ReadToken> {
        let mut lost = Vec::new();
        for question in &mut self.asked {
            question.age_ticks += 1;
        }
        while self.asked.front().is_some_and(|question| question.age_ticks >= age_ticks_max) {
            lost.extend(self.asked.pop_front().map(|question| question.tokens).unwrap_or_default());
        }
        lost
    }

    /// Everybody who waits or has asked.
    pub(crate) fn abandon(&mut self) -> Vec<ReadToken> {
        let asked = std::mem::take(&mut self.asked);
        let waiting = std::mem::take(&mut self.waiting);
        asked.into_iter().flat_map(|question| question.tokens).chain(waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(token: u64) -> Reader {
        Reader::Local(ReadToken(token))
    }

    #[test]
    fn reads_share_a_round_and_an_answer_never_counts_for_a_later_one() {
        let mut reads = ReadRounds::new(Term(3));
        reads.add(local(1));
        reads.add(local(2));
        reads.open(Index(7));
        reads.add(local(3));
        reads.open(Index(9));
        assert_eq!(reads.newest(), Round { term: Term(3), number: 2 });
        let confirmed = reads.confirm(|round| round <= 1);
        assert_eq!(confirmed, [Confirmed { index: Index(7), readers: vec![local(1), local(2)] }]);
        assert_eq!(reads.len(), 1);
        assert_eq!(reads.confirm(|round| round <= 1), []);
        assert_eq!(reads.confirm(|round| round <= 2).len(), 1);
    }

    #[test]
    fn the_number_of_rounds_in_flight_is_bounded() {
        let mut reads = ReadRounds::new(Term(1));
        reads.add(local(1));
        reads.open(Index(1));
        reads.add(local(2));
        assert!(!reads.can_open(1) && reads.can_open(2));
    }

    #[test]
    fn a_forwarded_read_is_answered_once_or_given_up() {
        let request = |number| ReadRequestId { boot: Boot(1), number };
        let mut reads = ForwardedReads::default();
        reads.add(ReadToken(1));
        reads.ask(request(1));
        reads.add(ReadToken(2));
        reads.ask(request(2));
        assert_eq!(reads.answered(request(1)), [ReadToken(1)]);
        assert_eq!(reads.answered(request(1)), []);
        assert_eq!(
            reads.answered(ReadRequestId { boot: Boot(0), number: 2 }),
            [],
            "asked before the restart"
        );
        assert_eq!((reads.tick(2), reads.tick(2)), (vec![], vec![ReadToken(2)]));
    }
}
