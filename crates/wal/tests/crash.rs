//! Crashes at every operation of recorded traces, and what is found afterwards (T5).

use std::path::Path;
use std::sync::Arc;

use wal::{Crash, Error, Head, Options, Position, SimDisk, Wal};

const DIR: &str = "/log";

fn options() -> Options {
    Options { segment_bytes: 8 * 512, identity: [7, 9] }
}

/// A step of a trace.
#[derive(Debug, Clone, Copy)]
enum Step {
    Append(usize),
    Flush,
    Sync,
    Roll,
    /// Cut off the last so many records.
    Truncate(usize),
    /// Unlink all segments but the last so many.
    Release(usize),
}

/// What the caller of a log knows.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Appended and not cut off: place, number, payload.
    records: Vec<(Position, u64, Vec<u8>)>,
    /// How many of them are durable for certain.
    acknowledged: usize,
    /// The records before a truncation that was not acknowledged.
    uncut: Option<Vec<(Position, u64, Vec<u8>)>>,
    /// Records in released segments.
    released_before: u64,
}

fn payload(number: u64, len: usize) -> Vec<u8> {
    // Every other record is all zeros, so that content never tells a written sector from another.
    if number.is_multiple_of(2) {
        vec![0; len]
    } else {
        (0..len).map(|byte| (byte as u64 * 31 + number) as u8).collect()
    }
}

impl Known {
    fn run(&mut self, wal: &mut Wal, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            self.step(wal, *step)?;
        }
        Ok(())
    }

    fn step(&mut self, wal: &mut Wal, step: Step) -> Result<(), Error> {
        match step {
            Step::Append(len) => {
                let number = self.records.last().map_or(1, |record| record.1 + 1);
                let payload = payload(number, len);
                let before = wal.end().segment;
                let head = Head { kind: 3, number, tag: number * 2 };
                let place = wal.append(head, &[&payload[..len / 2], &payload[len / 2..]])?;
                if place.segment != before {
                    self.acknowledged = self.records.len();
                }
                self.records.push((place, number, payload));
            }
            Step::Flush => wal.flush()?,
            Step::Sync => {
                wal.sync()?;
                self.acknowledged = self.records.len();
            }
            Step::Roll => {
                wal.roll()?;
                self.acknowledged = self.records.len();
            }
            Step::Truncate(count) => {
                let keep = self.records.len().saturating_sub(count);
                let Some((place, ..)) = self.records.get(keep).cloned() else { return Ok(()) };
                if place.segment < self.released_before {
                    return Ok(());
                }
                self.uncut = Some(self.records.clone());
                self.records.truncate(keep);
                self.acknowledged = self.acknowledged.min(keep);
                wal.truncate_to(place)?;
                self.uncut = None;
            }
            Step::Release(keep) => {
                let segments = wal.segments();
                let first = segments[segments.len().saturating_sub(keep.max(1))].id;
                self.released_before = self.released_before.max(first);
                wal.release_before(first)?;
            }
        }
        Ok(())
    }

    /// Checks a recovered log against what the caller knows.
    fn check(&self, wal: &Wal, context: &str) {
        let found: Vec<_> = wal
            .reader()
            .scan_all()
            .map(|record| record.unwrap_or_else(|error| panic!("{context}: {error}")))
            .map(|record| (record.position, record.head.number, record.payload.to_vec()))
            .collect();
        let ok = self.explains(&self.records, &found)
            || self.uncut.as_ref().is_some_and(|records| self.explains(records, &found));
        assert!(ok, "{context}: {} found, {self:?}", found.len());
    }

    /// `found` is `records` without a released prefix and without an unacknowledged suffix.
    fn explains(&self, records: &[(Position, u64, Vec<u8>)], found: &[(Position, u64, Vec<u8>)]) -> bool {
        let Some(first) = found.first() else {
            return records[..self.acknowledged].iter().all(|record| record.0.segment < self.released_before);
        };
        let Some(start) = records.iter().position(|record| record.0 == first.0) else { return false };
        let released = records[..start].iter().all(|record| record.0.segment < self.released_before);
        let end = start + found.len();
        released && end >= self.acknowledged && records.get(start..end) == Some(found)
    }
}

#[rustfmt::skip] // one line for each trace
fn traces() -> Vec<Vec<Step>> {
    use Step::*;
    vec![
        vec![Append(10), Sync, Append(0), Append(600), Sync, Append(1500), Flush, Append(30), Sync, Append(5)],
        vec![Append(900), Append(900), Append(900), Append(900), Sync, Append(2000), Sync, Append(2000), Sync, Release(1)],
        vec![Append(100), Sync, Append(511), Append(512), Sync, Truncate(2), Append(7), Sync, Append(8), Truncate(1), Append(9)],
        vec![Append(1000), Roll, Append(1000), Roll, Append(1000), Sync, Truncate(2), Append(40), Sync, Release(2), Append(1), Sync],
        vec![Append(1), Flush, Append(2), Flush, Append(3000), Flush, Sync, Append(450), Sync, Append(60), Sync, Roll, Sync],
    ]
}

fn budget() -> u64 {
    std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok()).unwrap_or(1)
}

fn crashes(seeds: u64) -> Vec<Crash> {
    let random = (0..16 * seeds).map(Crash::Random);
    let torn = (0..8 * seeds).map(Crash::TearLast);
    [Crash::LoseAll, Crash::KeepAll].into_iter().chain(random).chain(torn).collect()
}

fn open(disk: &SimDisk) -> Result<Wal, Error> {
    Wal::open(Arc::new(disk.clone()), Path::new(DIR), options()).map(|(wal, _)| wal)
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    let mut images = 0u64;
    for (number, trace) in traces().iter().enumerate() {
        for halt in 0.. {
            let disk = SimDisk::new(number as u64);
            disk.halt_after(halt);
            let mut known = Known::default();
            let whole = match open(&disk) {
                Ok(mut wal) => known.run(&mut wal, trace).is_ok(),
                Err(_) => false,
            };
            for crash in crashes(budget()) {
                let context = format!("trace {number}, killed after {halt} operations, {crash:?}");
                check_image(&disk.crash(crash), &known, &context);
                images += 1;
            }
            check_image(
                &disk.restart(),
                &known,
                &format!("trace {number}, killed after {halt}, process only"),
            );
            if whole {
                break;
            }
        }
    }
    println!("{images} images");
}

/// Opens an image, also with a crash during that, checks it, and goes on writing to it.
fn check_image(image: &SimDisk, known: &Known, context: &str) {
    for halt in 0..2 {
        let nested = image.fork();
        nested.halt_after(halt);
        let _ = open(&nested);
        let again = nested.crash(Crash::Random(halt));
        let wal = open(&again).unwrap_or_else(|error| panic!("{context}, nested at {halt}: {error}"));
        known.check(&wal, context);
    }
    let mut wal = open(image).unwrap_or_else(|error| panic!("{context}: {error}"));
    known.check(&wal, context);
    let before = wal.reader().scan_all().count();
    wal.append(Head { kind: 1, number: 1000, tag: 0 }, &[b"more"]).expect("the log goes on");
    wal.sync().expect("the log goes on");
    let again =
        open(&image.crash(Crash::LoseAll)).unwrap_or_else(|error| panic!("{context}, reopened: {error}"));
    assert_eq!(again.reader().scan_all().count(), before + 1, "{context}");
}

#[test]
fn a_failed_sync_closes_the_log_and_the_next_start_does_not_trust_the_cache() {
    let disk = SimDisk::new(3);
    let mut wal = open(&disk).unwrap();
    let head = |number| Head { kind: 1, number, tag: 0 };
    wal.append(head(1), &[&[1; 700]]).unwrap();
    wal.sync().unwrap();
    wal.append(head(2), &[&[2; 700]]).unwrap();
    disk.inject(wal::Fault::Sync);
    assert!(matches!(wal.sync(), Err(Error::Io { .. })));
    assert!(matches!(wal.append(head(3), &[b""]), Err(Error::Poisoned)));
    assert!(matches!(wal.sync(), Err(Error::Poisoned)));

    // The process starts again and finds record 2 in the page cache. What it counts as durable now must be.
    let restarted = disk.restart();
    let wal = open(&restarted).unwrap();
    assert_eq!(wal.reader().scan_all().count(), 2);
    drop(wal);
    let after_power_cut = open(&restarted.crash(Crash::LoseAll)).unwrap();
    assert_eq!(after_power_cut.reader().scan_all().count(), 2);
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    let disk = SimDisk::new(4);
    let mut wal = open(&disk).unwrap();
    disk.set_capacity(Some(8 * 512));
    let head = |number| Head { kind: 1, number, tag: 0 };
    wal.append(head(1), &[&[1; 3000]]).unwrap();
    assert!(matches!(wal.append(head(2), &[&[2; 1000]]), Err(Error::NoSpace { .. })));
    wal.append(head(2), &[&[2; 100]]).unwrap();
    wal.sync().unwrap();
    disk.set_capacity(None);
    wal.append(head(3), &[&[3; 1000]]).unwrap();
    wal.sync().unwrap();
    assert_eq!(open(&disk.crash(Crash::LoseAll)).unwrap().reader().scan_all().count(), 3);
}
