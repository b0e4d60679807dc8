//! Operations that fail, and what may be believed afterwards (rule W5).

mod support;

use std::path::Path;
use std::sync::Arc;

use support::{Choices, DIR, IDENTITY, Known, budget, entries, open_with, random_trace};
use wal::{Crash, Error, Fault, Head, Options, SimDisk, Wal};

const SEGMENT_BYTES: u64 = 8 * 512;

fn open(disk: &SimDisk) -> Wal {
    open_with(disk, SEGMENT_BYTES).expect("a sound log").0
}

fn append(wal: &mut Wal, number: u64, len: usize) -> Result<(), Error> {
    let payload = vec![number as u8; len];
    wal.append(Head { kind: 1, number, tag: number * 2 }, &[&payload]).map(drop)
}

fn count(disk: &SimDisk) -> usize {
    entries(&open(disk)).expect("a sound log").len()
}

#[test]
fn a_failed_sync_closes_the_log_and_the_next_start_does_not_trust_the_cache() {
    let disk = SimDisk::new(3);
    let mut wal = open(&disk);
    append(&mut wal, 1, 700).unwrap();
    wal.sync().unwrap();
    append(&mut wal, 2, 700).unwrap();
    disk.inject(Fault::Sync);
    assert!(matches!(wal.sync(), Err(Error::Io { op: "sync", .. })));
    assert!(matches!(append(&mut wal, 3, 0), Err(Error::Poisoned)));
    assert!(matches!(wal.sync(), Err(Error::Poisoned)));
    assert!(matches!(wal.flush(), Err(Error::Poisoned)));
    assert!(matches!(wal.roll(), Err(Error::Poisoned)));
    assert!(matches!(wal.truncate_to(wal.end()), Err(Error::Poisoned)));
    assert!(matches!(wal.release_before(9), Err(Error::Poisoned)));
    assert_eq!(wal.reader().scan_all().count(), 2, "reading goes on");

    // The process starts again and finds record 2 in the page cache. What it counts as durable now must be.
    let restarted = disk.restart();
    assert_eq!(count(&restarted), 2);
    assert_eq!(count(&restarted.crash(Crash::LoseAll)), 2);
    // If the cache was emptied in between, record 2 is gone; it was never acknowledged.
    let evicted = disk.restart();
    evicted.drop_caches();
    assert_eq!(count(&evicted), 1);
}

/// T8: whatever sync fails in whatever trace, the process starts again on the same machine, and then the power fails.
#[test]
fn after_any_failed_sync_a_plain_restart_loses_nothing() {
    let mut choices = Choices(8);
    let mut failures = 0;
    for run in 0.. {
        let trace = random_trace(&mut choices, 30);
        let disk = SimDisk::new(run);
        disk.inject_after(Fault::Sync, choices.below(40) as u64);
        let mut known = Known::default();
        let Err(error) = known.run(&disk, SEGMENT_BYTES, &trace) else { continue };
        assert!(matches!(error, Error::Io { .. }), "{error}");
        failures += 1;
        let restarted = disk.restart();
        if choices.below(2) == 0 {
            restarted.drop_caches();
        }
        let context = format!("run {run}, {trace:?}");
        let (mut wal, _) = open_with(&restarted, SEGMENT_BYTES).unwrap_or_else(|e| panic!("{context}: {e}"));
        known.check(&wal, &context);
        let shown = entries(&wal).expect("it was read before");
        append(&mut wal, 1_000_000, 600).unwrap();
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(run)] {
            let (wal, _) = open_with(&restarted.crash(crash), SEGMENT_BYTES).expect("nothing is damaged");
            let after = entries(&wal).expect("nothing is damaged");
            assert_eq!(after[..shown.len()], shown, "{context}, {crash:?}");
        }
        if failures == 2000 * budget() {
            return;
        }
    }
}

/// Any operation of any trace may fail once; the log then either goes on or is closed, and loses nothing.
#[test]
fn no_single_failure_loses_an_acknowledged_record() {
    let mut choices = Choices(21);
    let faults = [
        Fault::Read,
        Fault::Write,
        Fault::WriteNoSpace,
        Fault::SyncDir,
        Fault::Create,
        Fault::Rename,
        Fault::Remove,
    ];
    for run in 0..1500 * budget() {
        let trace = random_trace(&mut choices, 30);
        let fault = faults[run as usize % faults.len()];
        let disk = SimDisk::new(run);
        disk.inject_after(fault, choices.below(12) as u64);
        let mut known = Known::default();
        let outcome = known.run(&disk, SEGMENT_BYTES, &trace).map(drop);
        let context = format!("run {run}, {fault:?}, {trace:?}, {outcome:?}");
        for image in [disk.restart(), disk.crash(Crash::LoseAll), disk.crash(Crash::Random(run))] {
            let (wal, _) = open_with(&image, SEGMENT_BYTES).unwrap_or_else(|e| panic!("{context}: {e}"));
            known.check(&wal, &context);
        }
    }
}

#[test]
fn a_failed_read_is_an_error_and_not_the_end() {
    let disk = SimDisk::new(1);
    let mut wal = open(&disk);
    append(&mut wal, 1, 100).unwrap();
    wal.sync().unwrap();
    disk.inject(Fault::Read);
    let mut scan = wal.reader().scan_all();
    assert!(matches!(scan.next(), Some(Err(Error::Io { op: "read", .. }))));
    assert!(scan.next().is_none());
    drop(wal);
    for reads in 0.. {
        disk.inject_after(Fault::Read, reads);
        match open_with(&disk, SEGMENT_BYTES) {
            Err(error) => assert!(matches!(error, Error::Io { op: "read", .. }), "{error}"),
            Ok(_) => break,
        }
    }
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    let disk = SimDisk::new(4);
    let mut wal = open(&disk);
    disk.set_capacity(Some(SEGMENT_BYTES));
    append(&mut wal, 1, 3000).unwrap();
    assert!(matches!(wal.prepare_next(), Err(Error::NoSpace { .. })));
    assert!(matches!(append(&mut wal, 2, 1000), Err(Error::NoSpace { .. })));
    // What still fits is still taken.
    append(&mut wal, 2, 100).unwrap();
    wal.sync().unwrap();
    assert!(matches!(wal.roll(), Err(Error::NoSpace { .. })));
    disk.set_capacity(None);
    append(&mut wal, 3, 1000).unwrap();
    wal.sync().unwrap();
    assert_eq!(count(&disk.crash(Crash::LoseAll)), 3);
}

#[test]
fn a_log_can_be_cut_on_a_full_disk_and_goes_on_when_there_is_space() {
    let whole = 4 * SEGMENT_BYTES;
    let disk = SimDisk::new(7);
    let mut wal = open_with(&disk, whole).expect("a sound log").0;
    for number in 1..=4 {
        append(&mut wal, number, 1000).unwrap();
    }
    wal.sync().unwrap();
    let cut = entries(&wal).expect("a sound log")[2].position;
    // Room for a short segment, not for a whole one.
    disk.set_capacity(Some(whole + SEGMENT_BYTES));
    // A crash at any point of the cut leaves all of it or nothing.
    for halt in 0..12 {
        let halted = disk.restart();
        let mut wal = open_with(&halted, whole).expect("a sound log").0;
        halted.halt_after(halt);
        let is_cut = wal.truncate_to(cut).is_ok();
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(halt), Crash::TearLast(halt)] {
            let wal = open_with(&halted.crash(crash), whole).expect("a sound log").0;
            let left = entries(&wal).expect("a sound log").len();
            assert!(left == 2 || (left == 4 && !is_cut), "{left} after {halt} operations");
        }
    }
    wal.truncate_to(cut).unwrap();
    let refused = append(&mut wal, 3, 7000);
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    append(&mut wal, 3, 500).unwrap();
    wal.sync().unwrap();
    let small = entries(&wal).expect("a sound log")[2].position;
    for has_small in [true, false] {
        let crashed = disk.crash(Crash::LoseAll);
        let mut wal = open_with(&crashed, whole).expect("a sound log").0;
        assert_eq!(entries(&wal).expect("a sound log").len(), 3);
        if !has_small {
            // Once more, and the short segment is empty when the next one is begun.
            wal.truncate_to(small).unwrap();
        }
        assert!(matches!(append(&mut wal, 4, 7000), Err(Error::NoSpace { .. })));
        crashed.set_capacity(None);
        append(&mut wal, 4, 7000).unwrap();
        append(&mut wal, 5, 10).unwrap();
        wal.sync().unwrap();
        let wal = open_with(&crashed.crash(Crash::LoseAll), whole).expect("a sound log").0;
        assert_eq!(entries(&wal).expect("a sound log").len(), if has_small { 5 } else { 4 });
    }
}

#[test]
fn a_segment_that_cannot_be_unlinked_leaves_no_gap() {
    let disk = SimDisk::new(5);
    let mut wal = open(&disk);
    for number in 1..=6 {
        append(&mut wal, number, 3000).unwrap();
    }
    wal.sync().unwrap();
    disk.inject_after(Fault::Remove, 1);
    assert!(matches!(wal.release_before(5), Err(Error::Io { op: "remove", .. })));
    assert_eq!(wal.segments().first().map(|segment| segment.id), Some(2));
    wal.release_before(4).unwrap();
    assert_eq!(count(&disk.crash(Crash::LoseAll)), 3);
}

#[test]
fn a_log_of_another_is_refused() {
    let disk = SimDisk::new(6);
    drop(open(&disk));
    let other = Options { segment_bytes: SEGMENT_BYTES, identity: [7, 10] };
    let Err(error) = Wal::open(Arc::new(disk), Path::new(DIR), other) else { panic!("it was opened") };
    assert!(
        matches!(&error, Error::ForeignLog { found, expected, .. } if *found == IDENTITY && *expected == [7, 10]),
        "{error}"
    );
}

#[test]
fn a_record_longer_than_a_segment_gets_one_of_its_own_length() {
    let disk = SimDisk::new(7);
    let mut wal = open(&disk);
    let usual = wal.payload_max() as usize;
    let lengths = [10, usual, usual, usual + 1, 10, 40 * usual, 20, 40 * usual, usual];
    for (number, len) in (1..).zip(lengths) {
        append(&mut wal, number, len).unwrap();
        wal.prepare_next().unwrap();
    }
    let segments = wal.segments();
    wal.sync().unwrap();
    let of_record = |number: u64| {
        let record = entries(&wal).unwrap().into_iter().find(|record| record.number == number).unwrap();
        segments.iter().find(|segment| segment.id == record.position.segment).unwrap().file_bytes
    };
    assert_eq!(of_record(2), SEGMENT_BYTES + 512, "full, sealed");
    // Header and payload in sectors of 504 bytes, the segment's header, and one more as it is full and sealed.
    let expected = |len: usize| ((36 + len).div_ceil(504) + 2) as u64 * 512;
    assert_eq!((of_record(4), of_record(6)), (expected(usual + 1), expected(40 * usual)));
    let image = disk.crash(Crash::LoseAll);
    let found: Vec<usize> =
        entries(&open(&image)).unwrap().iter().map(|record| record.payload.len()).collect();
    assert_eq!(found, lengths);
    // One is cut off like any other, and one is released.
    let records = entries(&wal).unwrap();
    wal.truncate_to(records[7].position).unwrap();
    wal.release_before(records[5].position.segment).unwrap();
    let kept: Vec<u64> = entries(&wal).unwrap().iter().map(|record| record.number).collect();
    assert_eq!(kept, [6, 7]);
    assert_eq!(count(&disk.crash(Crash::LoseAll)), 2);
}

#[test]
fn a_long_record_waits_for_space_and_short_ones_do_not() {
    let disk = SimDisk::new(8);
    let mut wal = open(&disk);
    append(&mut wal, 1, 500).unwrap();
    wal.prepare_next().unwrap();
    disk.set_capacity(Some(3 * SEGMENT_BYTES));
    for _ in 0..2 {
        let refused = append(&mut wal, 2, 20_000);
        assert!(
            matches!(&refused, Err(error @ Error::NoSpace { .. }) if error.is_retryable()),
            "{refused:?}"
        );
    }
    append(&mut wal, 2, 500).unwrap();
    append(&mut wal, 3, 3000).unwrap();
    disk.set_capacity(None);
    append(&mut wal, 4, 20_000).unwrap();
    wal.sync().unwrap();
    assert_eq!(count(&disk.crash(Crash::LoseAll)), 4);
}

#[test]
fn a_record_longer_than_any_may_be_is_refused() {
    let disk = SimDisk::new(7);
    let mut wal = open(&disk);
    let half = vec![0; wal::PAYLOAD_BYTES_MAX as usize / 2];
    let refused = wal.append(Head { kind: 1, number: 1, tag: 2 }, &[&half, &half, b"!"]);
    assert!(matches!(&refused, Err(error @ Error::TooLarge { .. }) if !error.is_retryable()), "{refused:?}");
    append(&mut wal, 1, 10).unwrap();
    wal.sync().unwrap();
    assert_eq!(count(&disk.crash(Crash::LoseAll)), 1);
}

/// No log survives a disk that lies about its last batch; but whatever came after that one gives it away.
#[test]
fn a_disk_that_lies_is_found_out_by_the_next_batch() {
    for (fault, is_seen_at_once) in [(Fault::IgnoredSync, false), (Fault::MisdirectedWrite, true)] {
        let disk = SimDisk::new(9);
        let mut wal = open_with(&disk, 64 * 512).unwrap().0;
        append(&mut wal, 1, 700).unwrap();
        wal.sync().unwrap();
        let lost = wal.end();
        disk.inject(fault);
        append(&mut wal, 2, 700).unwrap();
        wal.sync().unwrap();
        let is_refused = |disk: &SimDisk| match open_with(disk, 64 * 512) {
            Ok((wal, _)) => {
                assert_eq!(entries(&wal).unwrap().len(), 1, "nothing is invented");
                false
            }
            Err(Error::Corrupt { offset, .. }) => {
                assert!(offset + 8 >= lost.offset, "{offset} is in front of the damage");
                true
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(is_refused(&disk.crash(Crash::LoseAll)), is_seen_at_once, "{fault:?}");
        append(&mut wal, 3, 700).unwrap();
        wal.sync().unwrap();
        assert!(is_refused(&disk.crash(Crash::LoseAll)), "{fault:?}");
    }
}
