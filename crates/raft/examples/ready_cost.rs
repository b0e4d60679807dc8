//! What one batch of proposals costs the core: `cargo run --release -p quorate-raft --example ready_cost`.
//!
//! One member, batches of 64 proposals of 256 bytes: propose, `ready`, acknowledge, `ready` (commit), `applied`. And the
//! same as a leader of three, with the followers' answers made up.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::time::Instant;

use bytes::Bytes;
use raft::{Body, Config, Index, Membership, Message, Node, NodeId, Ready, Restored};

const BATCH: usize = 64;
const ROUNDS: usize = 20_000;

fn main() {
    for members in [1, 3] {
        let mut node = leader(members);
        let command = Bytes::from(vec![7; 256]);
        let start = Instant::now();
        let mut committed = 0;
        for _ in 0..ROUNDS {
            for _ in 0..BATCH {
                node.propose(command.clone()).expect("a leader");
            }
            committed += turn(&mut node);
        }
        let nanoseconds = start.elapsed().as_nanos() as f64;
        println!(
            "{members} members: {:.2} us for a batch of {BATCH}, {:.0} ns for a proposal ({committed} committed)",
            nanoseconds / ROUNDS as f64 / 1000.0,
            nanoseconds / (ROUNDS * BATCH) as f64,
        );
    }
}

/// Carries out what the node wants, until it wants nothing; how many entries were committed.
fn turn(node: &mut Node) -> usize {
    let mut committed = 0;
    while let Some(ready) = node.ready() {
        let answers = answers(&ready);
        if let Some(persist) = ready.persist {
            node.persisted(persist.ack);
        }
        for answer in answers {
            node.step(answer).expect("a sound answer");
        }
        if let Some(last) = ready.committed.last() {
            committed += ready.committed.len();
            node.applied(last.index);
        }
        // A checkpoint now and then, so that memory stays as it is in production.
        let applied = node.status().applied;
        if applied.0 % 65_536 < BATCH as u64 {
            node.compact_to(Index(applied.0.saturating_sub(10_000)));
        }
    }
    committed
}

/// What followers with an instant disk say.
fn answers(ready: &Ready) -> Vec<Message> {
    let answer = |message: &Message| {
        let body = match &message.body {
            Body::PreVote { next_term, .. } => Body::PreVoteReply { next_term: *next_term, granted: true },
            Body::Vote { .. } => Body::VoteReply { granted: true },
            Body::Append { session, previous, entries, .. } => {
                Body::AppendReply { session: *session, matched: previous.index.plus(entries.len()) }
            }
            _ => return None,
        };
        Some(Message { from: message.to, to: message.from, body, ..message.clone() })
    };
    let waiting = ready.persist.iter().flat_map(|persist| &persist.then_send);
    ready.send.iter().chain(waiting).filter_map(answer).collect()
}

fn leader(members: u64) -> Node {
    let membership = Membership::new((1..=members).map(NodeId), []);
    let mut node = Node::new(Config::new(NodeId(1), 1), Restored::fresh(membership));
    node.campaign();
    turn(&mut node);
    assert!(node.status().is_established, "elected");
    node
}
