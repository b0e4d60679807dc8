//! Traces of calls to a log, and what a caller knows about it at each moment: shared by the tests of crashes, faults
//! and damage.
#![allow(dead_code, reason = "each test uses its part")]

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use wal::{Crash, Disk, Error, Head, Options, Position, Recovery, SimDisk, Wal};

pub(crate) const DIR: &str = "/log";
pub(crate) const IDENTITY: [u64; 2] = [7, 9];

pub(crate) fn open_with(disk: &SimDisk, segment_bytes: u64) -> Result<(Wal, Recovery), Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Wal::open(disk, Path::new(DIR), Options { segment_bytes, identity: IDENTITY })
}

/// How much more than the default is to be done: `QUORATE_TEST_BUDGET`, 1 if unset.
pub(crate) fn budget() -> u64 {
    std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok()).unwrap_or(1)
}

/// Reproducible choices (splitmix64).
pub(crate) struct Choices(pub(crate) u64);

impl Choices {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// A step of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Append a record with so many bytes of payload.
    Append(usize),
    Flush,
    Sync,
    Witness,
    Prepare,
    Roll,
    /// Cut off the last so many records.
    Truncate(usize),
    /// Unlink all segments but the last so many.
    Release(usize),
    /// Close the log without ceremony and open it again.
    Reopen,
}

/// A trace of the kind that a raft log or a history leaves, out of proportion.
pub(crate) fn random_trace(choices: &mut Choices, steps: usize) -> Vec<Step> {
    let step = |choices: &mut Choices| match choices.below(24) {
        0..5 => Step::Append(choices.below(60)),
        5..8 => Step::Append(380 + choices.below(200)),
        8 => Step::Append(900 + choices.below(1500)),
        9 if choices.below(4) == 0 => Step::Append(3500 + choices.below(6000)),
        9 => Step::Append(900 + choices.below(1500)),
        10..12 => Step::Flush,
        12..17 => Step::Sync,
        17 => Step::Witness,
        18 => Step::Prepare,
        19 => Step::Roll,
        20 | 21 => Step::Truncate(1 + choices.below(5)),
        22 => Step::Release(1 + choices.below(3)),
        _ => Step::Reopen,
    };
    (0..steps).map(|_| step(choices)).collect()
}

/// A record as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) number: u64,
    pub(crate) payload: Vec<u8>,
}

/// What the caller of a log knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Appended and not cut off.
    pub(crate) records: Vec<Entry>,
    /// How many of them are durable for certain.
    pub(crate) acknowledged: usize,
    /// `records` and `acknowledged` before a truncation that has not returned.
    uncut: Option<(Vec<Entry>, usize)>,
    /// Segments before this one may be gone.
    released_before: u64,
}

/// Every third record is all zeros, so that content alone never tells a written sector from another.
pub(crate) fn payload(number: u64, len: usize) -> Vec<u8> {
    if number.is_multiple_of(3) {
        return vec![0; len];
    }
    (0..len).map(|byte| (byte as u64 * 31 + number) as u8).collect()
}

pub(crate) fn entries(wal: &Wal) -> Result<Vec<Entry>, Error> {
    let entry = |record: wal::Record| {
        assert_eq!(record.head.tag, record.head.number * 2);
        Entry { position: record.position, number: record.head.number, payload: record.payload.to_vec() }
    };
    wal.reader().scan_all().map(|record| record.map(entry)).collect()
}

impl Known {
    /// Runs a whole trace, from an empty disk on.
    pub(crate) fn run(&mut self, disk: &SimDisk, segment_bytes: u64, trace: &[Step]) -> Result<Wal, Error> {
        let mut wal = open_with(disk, segment_bytes)?.0;
        for step in trace {
            if *step == Step::Reopen {
                drop(wal);
                wal = open_with(disk, segment_bytes)?.0;
                let found = entries(&wal)?;
                self.check_found(&found, "reopened");
                // All that is found now is durable, and nothing else will come back.
                self.records = found;
                self.acknowledged = self.records.len();
            } else {
                self.step(&mut wal, *step)?;
            }
        }
        Ok(wal)
    }

    pub(crate) fn append(&mut self, wal: &mut Wal, len: usize) -> Result<(), Error> {
        let number = self.records.last().map_or(1, |record| record.number + 1);
        let payload = payload(number, len);
        let before = wal.end().segment;
        let head = Head { kind: (number % 256) as u8, number, tag: number * 2 };
        let position = wal.append(head, &[&payload[..len / 2], &payload[len / 2..]])?;
        if position.segment != before {
            self.acknowledged = self.records.len();
        }
        self.records.push(Entry { position, number, payload });
        Ok(())
    }

    pub(crate) fn step(&mut self, wal: &mut Wal, step: Step) -> Result<(), Error> {
        match step {
            Step::Append(len) => self.append(wal, len)?,
            Step::Flush => wal.flush()?,
            Step::Prepare => wal.prepare_next()?,
            Step::Sync => wal.sync().map(drop)?,
            Step::Witness => wal.witness()?,
            Step::Roll => wal.roll()?,
            Step::Truncate(count) => self.truncate(wal, count)?,
            Step::Release(keep) => {
                let segments = wal.segments();
                let first = segments[segments.len().saturating_sub(keep.max(1))].id;
                self.released_before = self.released_before.max(first);
                wal.release_before(first)?;
                let gone = self.records.partition_point(|record| record.position.segment < first);
                self.records.drain(..gone);
                self.acknowledged -= gone;
            }
            Step::Reopen => unreachable!("done by run"),
        }
        if matches!(step, Step::Sync | Step::Witness | Step::Roll) {
            self.acknowledged = self.records.len();
        }
        Ok(())
    }

    fn truncate(&mut self, wal: &mut Wal, count: usize) -> Result<(), Error> {
        let keep = self.records.len().saturating_sub(count);
        let Some(first_void) = self.records.get(keep).cloned() else { return Ok(()) };
        self.uncut = Some((self.records.clone(), self.acknowledged));
        self.records.truncate(keep);
        self.acknowledged = self.acknowledged.min(keep);
        wal.truncate_to(first_void.position)?;
        self.acknowledged = keep;
        self.uncut = None;
        Ok(())
    }

    /// Checks a recovered log against what the caller knows.
    pub(crate) fn check(&self, wal: &Wal, context: &str) {
        let found = entries(wal).unwrap_or_else(|error| panic!("{context}: {error}"));
        self.check_found(&found, context);
    }

    fn check_found(&self, found: &[Entry], context: &str) {
        let is_new = self.explains(&self.records, self.acknowledged, found);
        let is_old = self.uncut.as_ref().is_some_and(|(old, durable)| self.explains(old, *durable, found));
        assert!(is_new || is_old, "{context}: found {:?}, known {self}", numbers(found));
    }

    /// `found` is `records` without a released prefix and without a suffix that was not acknowledged. It may still
    /// have records that were released, if the removal of their segment was not durable: those come first.
    fn explains(&self, records: &[Entry], durable: usize, found: &[Entry]) -> bool {
        let released = |record: &Entry| record.position.segment < self.released_before;
        let kept = records.iter().filter(|record| !released(record));
        let required = records[..durable].iter().filter(|record| !released(record)).count();
        let found: Vec<&Entry> = found.iter().filter(|record| !released(record)).collect();
        found.len() >= required && kept.take(found.len()).eq(found.iter().copied())
    }
}

fn numbers(records: &[Entry]) -> Vec<String> {
    records.iter().map(|record| format!("{} at {}", record.number, record.position)).collect()
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, acknowledged, uncut, released_before } = self;
        let uncut = uncut.as_ref().map(|(records, durable)| (numbers(records), durable));
        write!(f, "{:?}, {acknowledged} of them durable, before a cut {uncut:?}, ", numbers(records))?;
        write!(f, "released before segment {released_before}")
    }
}

/// The crashes that each moment of a trace is tried with.
pub(crate) fn crashes() -> impl Iterator<Item = Crash> {
    let random = (0..16).map(Crash::Random);
    let torn = (0..4).map(Crash::TearLast);
    [Crash::LoseAll, Crash::KeepAll].into_iter().chain(random).chain(torn)
}
