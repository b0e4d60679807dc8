//! What a message costs. `cargo test --release -p quorate --lib transport::tests::cost -- --ignored --nocapture`

use std::time::{Duration, Instant};

use engine::peers::Peers;
use raft::{Body, Incarnation, Index, Message, Session, Term};

use super::harness::*;

/// CPU time of the whole process, both members and the test: to a hundredth of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

fn reply(from: &Member, to: &Member, number: u64) -> Message {
    let body = Body::AppendReply { session: Session(1), matched: Index(number) };
    Message { from: from.id, incarnation: Incarnation(1), to: to.id, term: Term(1), body }
}

fn measure(what: &str, total: u64, batch: u64, make: impl Fn(&Member, &Member, u64) -> Message) {
    let (one, two) = pair();
    let (started, before) = (Instant::now(), cpu_time());
    let mut sent = 0;
    while sent < total {
        one.transport.send((0..batch).map(|more| make(&one, &two, sent + more + 1)).collect());
        sent += batch;
        // Sixteen batches in flight, as in a busy cluster; one, if they are of one message.
        let behind = if batch == 1 { 0 } else { 16 * batch };
        two.engine.wait_for("messages", |state| (state.count + behind >= sent).then_some(()));
    }
    two.engine.wait_for("the last message", |state| (state.count == total).then_some(()));
    let (took, cpu) = (started.elapsed(), cpu_time() - before);
    println!(
        "{what}, {batch} at a time: {:.2} us of CPU a message for both sides, {:.2} us from one to the next",
        cpu.as_secs_f64() * 1e6 / total as f64,
        took.as_secs_f64() * 1e6 / total as f64,
    );
}

#[test]
#[ignore = "a measurement"]
fn what_a_message_costs() {
    for batch in [1, 8, 64, 512] {
        let total = if batch == 1 { 20_000 } else { 512 * 2000 };
        measure("a reply", total, batch, reply);
    }
    for (bytes, batch) in [(100, 1), (100, 64), (1000, 64)] {
        let total = if batch == 1 { 20_000 } else { 64 * 5000 };
        let command = bytes::Bytes::from(vec![7; bytes]);
        let make = |one: &Member, two: &Member, number| append(one, two.id, number, command.clone());
        measure(&format!("an append of {bytes} bytes"), total, batch, make);
    }
}
