//! What proposals cost the core of a leader: `cargo run --release -p quorate-raft --example ready_cost`.
//!
//! One, three and five members; proposals of 256 bytes; each round is: propose a batch, carry out `ready`, acknowledge, until
//! nothing is left. Followers' answers are made up, with a disk that works at once. And once more with three members where
//! answers and the own disk come eight rounds late, so that 4,000 proposals are under way: that is what pipelining looks like.
//!
//! Time is that of the processor, not of the clock, where the system tells.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft::{Body, Config, Index, Membership, Message, Node, NodeId, Persisted, Ready, Restored};

fn main() {
    println!("members  batch  late  ns/proposal  appends/round  messages/round");
    for (members, batch, late) in [(1, 64, 0), (3, 1, 0), (3, 64, 0), (3, 500, 0), (3, 500, 8), (5, 64, 0)] {
        measure(members, batch, late);
    }
}

fn measure(members: u64, batch: usize, late: usize) {
    let rounds = 1_000_000 / batch;
    let mut leader = Leader::new(members, late);
    let command = Bytes::from(vec![7; 256]);
    let start = Clock::now();
    for _ in 0..rounds {
        for _ in 0..batch {
            leader.node.propose(command.clone()).expect("room for a proposal");
        }
        leader.round();
    }
    let nanoseconds = start.elapsed().as_nanos() as f64;
    println!(
        "{members:7}  {batch:5}  {late:4}  {:11.0}  {:13.2}  {:14.2}",
        nanoseconds / (rounds * batch) as f64,
        leader.appends as f64 / rounds as f64,
        leader.messages as f64 / rounds as f64,
    );
}

/// A leader, and everything around it that answers.
struct Leader {
    node: Node,
    late: usize,
    /// What followers and disk will say, a list for each round.
    answers: VecDeque<(Vec<Message>, Vec<Persisted>)>,
    appends: usize,
    messages: usize,
}

impl Leader {
    fn new(members: u64, late: usize) -> Leader {
        let membership = Membership::new((1..=members).map(NodeId), []);
        let node = Node::new(Config::new(NodeId(1), 1), Restored::fresh(membership));
        let mut leader = Leader { node, late: 0, answers: VecDeque::new(), appends: 0, messages: 0 };
        leader.node.campaign();
        leader.round();
        assert!(leader.node.is_established(), "elected");
        Leader { late, appends: 0, messages: 0, ..leader }
    }

    /// Carries out what the node wants, and gives it the answers that are due, until nothing is left.
    fn round(&mut self) {
        self.answers.push_back(Default::default());
        self.settle();
        while self.answers.len() > self.late {
            let (messages, acks) = self.answers.pop_front().expect("a round");
            let is_last = messages.is_empty() && acks.is_empty();
            if self.late == 0 && !is_last {
                self.answers.push_back(Default::default());
            }
            if let Some(ack) = acks.last() {
                self.node.persisted(*ack);
            }
            for message in messages {
                self.node.step(message).expect("a sound answer");
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        while let Some(ready) = self.node.ready() {
            self.take(ready);
        }
    }

    fn take(&mut self, ready: Ready) {
        if self.answers.is_empty() {
            self.answers.push_back(Default::default());
        }
        let now = self.answers.back_mut().expect("a round");
        let waiting = ready.persist.iter().flat_map(|persist| &persist.then_send);
        now.0.extend(ready.send.iter().chain(waiting).filter_map(answer));
        self.messages += ready.send.len();
        self.appends += ready.send.iter().filter(|message| message.body.name() == "Append").count();
        if let Some(persist) = ready.persist {
            now.1.push(persist.ack);
        }
        if let Some(last) = ready.committed.last() {
            self.node.applied(last.index);
            // A checkpoint now and then, so that memory stays as it is in production.
            if last.index.0 % 65_536 < ready.committed.len() as u64 {
                self.node.compact_to(Index(last.index.0.saturating_sub(10_000)));
            }
        }
    }
}

/// What a follower with an instant disk says.
fn answer(message: &Message) -> Option<Message> {
    let body = match &message.body {
        Body::PreVote { next_term, .. } => Body::PreVoteReply { next_term: *next_term, granted: true },
        Body::Vote { .. } => Body::VoteReply { granted: true },
        Body::Append { session, previous, entries, .. } => {
            Body::AppendReply { session: *session, matched: previous.index.plus(entries.len()) }
        }
        _ => return None,
    };
    let Message { from, to, incarnation, term, .. } = message;
    Some(Message { from: *to, to: *from, incarnation: *incarnation, term: *term, body })
}

/// Time of this thread on a processor; of the clock, where that is unknown.
struct Clock {
    wall: Instant,
    processor: Option<Duration>,
}

impl Clock {
    fn now() -> Clock {
        Clock { wall: Instant::now(), processor: processor_time() }
    }

    fn elapsed(&self) -> Duration {
        let processor = processor_time().zip(self.processor);
        processor.map_or_else(|| self.wall.elapsed(), |(now, then)| now - then)
    }
}

fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
