//! Random gRPC requests get the same answers from a real etcd and from Quorate.
//!
//! From a seed come requests of every kind that both serve: puts, ranges with all options, deletes, transactions with
//! nested ones, compactions, leases, watches, alarms, hashes; some of them wrong. Both servers get each of them before the next
//! one is made, and must answer alike but for ids, expiry times and raft terms. Watches run along all the time, and their
//! events are checked against what every change was. What an older etcd answers otherwise than the contract is turned into
//! what the contract wants (`normalise.rs`), so that exactly the known difference passes.
//!
//! `QUORATE_TEST_SEED` repeats a run; `QUORATE_TEST_BUDGET=10` makes ten times as many requests (20,000, what CI
//! does). A failure prints the seed, the step, both answers, and the shortest sequence of requests that it could be cut down to.

mod generate;
mod normalise;
mod side;
mod step;
mod watches;

use std::fmt;

use generate::Generator;
use side::Side;
use step::{Reply, Step};
use testkit::{Program, Version, require};

/// Requests with the default budget.
const STEPS: usize = 2_000;
/// How often watches and hashes are compared.
const SETTLE_EVERY: usize = 100;
/// Runs with fewer requests after a failure, to find a short sequence that fails too.
const SHRINK_RUNS: usize = 40;

/// Where the two differ.
struct Mismatch {
    step: usize,
    what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step, self.what)
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn random_requests_get_the_same_answers_as_from_etcd() {
    const TEST: &str = "grpc";
    let etcd = require!(TEST, Program::etcd());
    let subject = require!(TEST, Program::subject(env!("CARGO_BIN_EXE_quorate")));
    let seed = number_from_environment("QUORATE_TEST_SEED").unwrap_or(1);
    let budget = number_from_environment("QUORATE_TEST_BUDGET").unwrap_or(1);
    let steps = STEPS * usize::try_from(budget).expect("a small number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut taken = Vec::new();
        let older = etcd.version().min(subject.version());
        let mut generator = Generator::new(seed, older);
        let outcome = run(&etcd, &subject, &mut taken, |taken| {
            (taken.len() < steps).then(|| generator_step(&mut generator, taken))
        });
        if let Err(mismatch) = outcome.await {
            eprintln!("seed {seed}, {mismatch}");
            let short = shrink(&etcd, &subject, taken.iter().map(|(step, _)| step.clone()).collect()).await;
            panic!("seed {seed}, {mismatch}\n\nthe shortest sequence found that differs:\n{short}");
        }
    });
}

fn generator_step(generator: &mut Generator, taken: &[(Step, Reply)]) -> Step {
    if let Some((step, reply)) = taken.last() {
        generator.learn(step, reply);
    }
    generator.next()
}

/// Gives both servers, freshly started, every step that `next` makes of the steps taken so far; stops at the first
/// difference.
async fn run(
    etcd: &Program,
    subject: &Program,
    taken: &mut Vec<(Step, Reply)>,
    mut next: impl FnMut(&[(Step, Reply)]) -> Option<Step>,
) -> Result<(), Mismatch> {
    let mut both = Both {
        theirs: Side::start(etcd).await,
        ours: Side::start(subject).await,
        revision: 1,
        compactions: Vec::new(),
    };
    while let Some(step) = next(taken) {
        let result = both.take(&step).await;
        let reply = result.map_err(|what| (what, step.clone()));
        match reply {
            Ok(reply) => taken.push((step, reply)),
            Err((what, step)) => {
                let number = taken.len();
                taken.push((step, Reply::Refused(tonic::Code::Unknown, String::new())));
                return Err(Mismatch { step: number, what });
            }
        }
        if taken.len().is_multiple_of(SETTLE_EVERY) {
            both.settle().await.map_err(|what| Mismatch { step: taken.len(), what })?;
        }
    }
    both.settle().await.map_err(|what| Mismatch { step: taken.len(), what })
}

struct Both {
    theirs: Side,
    ours: Side,
    revision: i64,
    /// Revisions of all compactions, in order.
    compactions: Vec<i64>,
}

impl Both {
    async fn take(&mut self, step: &Step) -> Result<Reply, String> {
        let compacted = self.compactions.last().copied().unwrap_or(0);
        let (theirs, ours) = tokio::join!(
            self.theirs.take(step, self.revision, compacted),
            self.ours.take(step, self.revision, compacted)
        );
        let (their_version, our_version) = (self.theirs.version, self.ours.version);
        let mut theirs = theirs.map_err(|why| format!("{step:?}\netcd: {why}"))?;
        let ours = ours.map_err(|why| format!("{step:?}\nquorate: {why}"))?;
        self.revision = theirs.header().map_or(0, |header| header.revision).max(self.revision);
        if let (Step::Compact(request), Reply::Compact(_)) = (step, &theirs) {
            self.compactions.push(request.revision);
        }
        if normalise::incomparable(step, their_version.min(our_version), &self.compactions) {
            return Ok(theirs);
        }
        let mut theirs = normalise::normalise(step, theirs, their_version);
        let mut ours = normalise::normalise(step, ours, our_version);
        if their_version != our_version {
            // What only one of the versions has is not compared: as if both were the older one.
            let older = their_version.min(our_version);
            theirs = normalise::normalise(step, theirs, older);
            ours = normalise::normalise(step, ours, older);
        }
        if theirs == ours {
            Ok(theirs)
        } else {
            Err(format!("{step:?}\netcd:    {theirs:?}\nquorate: {ours:?}"))
        }
    }

    /// Compares what no reply shows: the events of all watches, and the hash of the whole store.
    async fn settle(&mut self) -> Result<(), String> {
        let (theirs, ours) =
            tokio::join!(self.theirs.watches.settle(self.revision), self.ours.watches.settle(self.revision));
        theirs.map_err(|why| format!("etcd: {why}"))?;
        ours.map_err(|why| format!("quorate: {why}"))?;
        let (theirs, ours) = (self.theirs.watches.tape(), self.ours.watches.tape());
        if let Some((theirs, ours)) = theirs.iter().zip(ours).find(|(theirs, ours)| theirs != ours) {
            return Err(format!("the events differ\netcd:    {theirs:?}\nquorate: {ours:?}"));
        }
        if theirs.len() != ours.len() {
            return Err(format!("etcd sent {} events, quorate {}", theirs.len(), ours.len()));
        }
        self.take(&Step::HashKv(proto::etcdserverpb::HashKvRequest { revision: 0 })).await.map(|_| ())
    }
}

/// Leaves out ever smaller pieces of the failing sequence as long as it still fails (delta debugging: Zeller and
/// Hildebrandt, 2002), within a number of runs; the text shows what is left.
async fn shrink(etcd: &Program, subject: &Program, mut steps: Vec<Step>) -> String {
    let mut mismatch = "(it did not differ again)".to_owned();
    let (mut piece, mut runs) = (steps.len(), 0);
    while piece > 1 && runs < SHRINK_RUNS {
        piece = piece.div_ceil(2);
        let mut start = 0;
        while start < steps.len() && runs < SHRINK_RUNS {
            runs += 1;
            let end = (start + piece).min(steps.len());
            let shorter = [&steps[..start], &steps[end..]].concat();
            match replay(etcd, subject, &shorter).await {
                Err(found) => {
                    steps = shorter[..(found.step + 1).min(shorter.len())].to_vec();
                    mismatch = found.to_string();
                }
                Ok(()) => start = end,
            }
        }
    }
    let steps: String =
        steps.iter().enumerate().map(|(number, step)| format!("{number}: {step:?}\n")).collect();
    format!("{steps}{mismatch}")
}

async fn replay(etcd: &Program, subject: &Program, steps: &[Step]) -> Result<(), Mismatch> {
    run(etcd, subject, &mut Vec::new(), |taken| steps.get(taken.len()).cloned()).await
}

#[test]
fn the_same_seed_makes_the_same_requests() {
    let requests = |seed| {
        let mut generator = Generator::new(seed, Version::CONTRACT);
        (0..1000).map(|_| generator.next()).collect::<Vec<Step>>()
    };
    assert_eq!(requests(7), requests(7));
    assert_ne!(requests(7), requests(8));
}
