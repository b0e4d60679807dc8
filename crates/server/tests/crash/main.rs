//! `kill -9` at any moment, and what a client may count on afterwards.
//!
//! Writers and a watcher work on the real binary until, after a seeded number of acknowledged writes, the process is
//! killed (or asked to stop). It is started again on the same directory, and its whole history is compared with what the
//! clients know:
//!
//! * every acknowledged write is in the history, at its revision, whole;
//! * no revision has two contents: what the watcher saw before the crash is what the history says after it;
//! * the watcher, which resumes behind the last revision it saw, sees every event once and in order;
//! * no write is there twice, and the current state is what the history leads to;
//! * acknowledged compactions, leases and revocations hold; revisions only grow.
//!
//! What was in flight may be there or not: both are right, as long as everybody is told the same.
//!
//! `QUORATE_CRASH_ROUNDS=200` runs more rounds than the few of every test run, `QUORATE_CRASH_SEED` other ones.

mod history;
mod keys;
mod writer;

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use testkit::{Program, Random, Server, wait};
use tokio::sync::mpsc::unbounded_channel;
use tonic::transport::{Channel, Endpoint};

use history::{Known, follow};
use writer::{Kind, Load, Writer};

/// Concurrent writers.
const WRITERS: u64 = 6;

/// A round ends after at most so many acknowledged writes.
const WRITES_MAX: usize = 300;

/// How a round ends.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Terminate,
}

/// A round: what is written until how the process ends.
type Round = (Load, End);

const fn round(kinds: &'static [Kind], value_bytes: usize, end: End) -> Round {
    (Load { kinds, value_bytes }, end)
}

/// Repeated in this order.
const ROUNDS: [Round; 6] = [
    round(&[Kind::Put, Kind::Put, Kind::Delete], 0, End::Kill),
    round(&[Kind::Txn, Kind::Put], 0, End::Kill),
    round(&[Kind::Put, Kind::Txn, Kind::Delete, Kind::Compact], 200, End::Kill),
    round(&[Kind::Put, Kind::Lease, Kind::Lease, Kind::Revoke], 0, End::Kill),
    round(&[Kind::Put, Kind::Txn, Kind::Lease, Kind::Delete], 2_000, End::Terminate),
    round(&[Kind::Put, Kind::Txn, Kind::Compact], 256 << 10, End::Kill),
];

#[tokio::test]
async fn what_was_acknowledged_is_there_after_every_crash() {
    let rounds = number("QUORATE_CRASH_ROUNDS").unwrap_or(ROUNDS.len() as u64);
    let seed = number("QUORATE_CRASH_SEED").unwrap_or(1);
    let program = Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built");
    let mut server = Server::start(&program, &[]);
    let mut known = Known::default();
    for (number, round) in (0..rounds).zip(ROUNDS.into_iter().cycle()) {
        let random = Random::stream(seed, number);
        let what = format!("round {number} of seed {seed}");
        let crashed = run_until_crash(&mut server, round, number, random, &mut known);
        tokio::time::timeout(wait::DEADLINE, crashed).await.unwrap_or_else(|_| panic!("{what} hangs"));
        server.restart();
        let channel = connect(&server).await;
        tokio::time::timeout(wait::DEADLINE, known.verify(&channel, &what))
            .await
            .unwrap_or_else(|_| panic!("{what}: the history does not come"));
    }
    println!("{rounds} rounds of seed {seed}: {} revisions, {} acknowledged", known.newest, known.writes);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

async fn connect(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL");
    endpoint.connect().await.expect("a server that serves accepts a connection")
}

/// The load, the end of the process, and everything that was acknowledged until then.
async fn run_until_crash(
    server: &mut Server,
    (load, end): Round,
    number: u64,
    mut random: Random,
    known: &mut Known,
) {
    let target = 1 + random.below(WRITES_MAX);
    let channel = connect(server).await;
    let seen = Arc::new(AtomicI64::new(known.seen()));
    let follower = tokio::spawn(follow(channel.clone(), seen.clone(), std::future::pending()));
    let (send, mut notes) = unbounded_channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let name = format!("r{number}w{writer}");
            let random = Random::stream(random.draw(), writer);
            let stop = Arc::new(AtomicBool::new(false));
            tokio::spawn(Writer::new(&channel, load, name, random, seen.clone(), send.clone()).run(stop))
        })
        .collect();
    drop(send);
    known.acknowledged.clear();
    while known.acknowledged.len() < target {
        known.take(notes.recv().await.expect("no writer fails before the crash"));
    }
    assert!(writers.iter().all(|writer| !writer.is_finished()), "no writer fails before the crash");
    match end {
        End::Kill => server.kill(),
        End::Terminate => server.signal_terminate(),
    }
    for writer in writers {
        // Why it ended does not matter: the outcome of its last request is unknown.
        assert!(writer.await.expect("a writer does not panic").is_some(), "a writer ends by an error");
    }
    // What came through before the connection broke is acknowledged, too.
    while let Some(note) = notes.recv().await {
        known.take(note);
    }
    known.followed.append(&mut follower.await.expect("the watcher sees nothing wrong"));
    if let End::Terminate = end {
        assert_eq!(server.wait().signal(), Some(15), "a clean stop ends by the signal that asked for it");
    }
}
