//! Readers beside the writer: what they see, when, and what happens when the log changes under them.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{open_with, payload};
use wal::{Error, Head, Position, SimDisk, Wal};

const SEGMENT_BYTES: u64 = 8 * 512;

fn log() -> (SimDisk, Wal) {
    let disk = SimDisk::new(1);
    let wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    (disk, wal)
}

fn append(wal: &mut Wal, number: u64, len: usize) -> Position {
    wal.append(Head { kind: 1, number, tag: 0 }, &[&payload(number, len)]).unwrap()
}

fn numbers(wal: &Wal) -> Vec<u64> {
    wal.reader().scan_all().map(|record| record.unwrap().head.number).collect()
}

#[test]
fn what_is_flushed_is_readable_and_what_is_pending_is_not() {
    let (_disk, mut wal) = log();
    let reader = wal.reader();
    let position = append(&mut wal, 1, 900);
    assert!(matches!(reader.read(position), Err(Error::NoSuchRecord(at)) if at == position));
    assert_eq!(reader.scan_all().count(), 0);
    wal.flush().unwrap();
    let record = reader.read(position).unwrap();
    assert_eq!((record.position, record.head.number), (position, 1));
    assert_eq!(record.payload, payload(1, 900));
    assert_eq!(reader.scan_all().count(), 1);
}

#[test]
fn a_scan_goes_on_where_it_stopped_across_segments() {
    let (_disk, mut wal) = log();
    let mut scan = wal.reader().scan_all();
    let mut seen = Vec::new();
    for number in 1..200 {
        append(&mut wal, number, number as usize * 13 % 1500);
        if number % 7 == 0 {
            wal.flush().unwrap();
            seen.extend(scan.by_ref().map(|record| record.unwrap().head.number));
            assert_eq!(seen.last(), Some(&number));
        }
    }
    wal.sync().unwrap();
    seen.extend(scan.by_ref().map(|record| record.unwrap().head.number));
    assert_eq!(seen, (1..200).collect::<Vec<_>>());
    assert!(wal.segments().len() > 20);
}

#[test]
fn a_scan_begins_at_any_record_or_where_one_ends() {
    let (_disk, mut wal) = log();
    for number in 1..60 {
        append(&mut wal, number, number as usize * 37 % 1100);
        if number % 3 == 0 {
            wal.flush().unwrap();
        }
    }
    wal.sync().unwrap();
    let records: Vec<_> = wal.reader().scan_all().map(Result::unwrap).collect();
    for (place, record) in records.iter().enumerate() {
        let from_start: Vec<_> = wal.reader().scan(record.position).map(Result::unwrap).collect();
        assert_eq!(from_start, records[place..]);
        let from_end: Vec<_> = wal.reader().scan(record.next).map(Result::unwrap).collect();
        assert_eq!(from_end, records[place + 1..]);
    }
}

#[test]
fn the_last_record_of_each_segment_is_found() {
    let (disk, mut wal) = log();
    let mut last = Vec::new();
    for number in 1..40 {
        let position = append(&mut wal, number, number as usize * 101 % 1800);
        if number % 5 == 0 {
            wal.roll().unwrap();
            last.push((position.segment, number));
        }
    }
    wal.sync().unwrap();
    let check = |wal: &Wal| {
        for (segment, number) in &last {
            assert_eq!(wal.reader().last_record(*segment).unwrap().unwrap().head.number, *number);
        }
        assert_eq!(wal.reader().last_record(wal.end().segment).unwrap().unwrap().head.number, 39);
        let heads: Vec<_> = wal.segments().iter().map(|segment| segment.first.unwrap().number).collect();
        assert!(heads.is_sorted() && heads[0] == 1, "{heads:?}");
    };
    check(&wal);
    drop(wal);
    let mut wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    check(&wal);

    // A segment whose end was cut off does not say where its last record is.
    let (segment, number) = last[3];
    let cut = wal.reader().last_record(segment).unwrap().unwrap().position;
    wal.truncate_to(cut).unwrap();
    assert_eq!(wal.reader().last_record(segment).unwrap().unwrap().head.number, number - 1);
    assert_eq!(wal.reader().last_record(wal.end().segment).unwrap(), None);
}

#[test]
fn a_pin_keeps_segments_until_it_is_dropped() {
    let (disk, mut wal) = log();
    let first = append(&mut wal, 1, 3000);
    for number in 2..=6 {
        append(&mut wal, number, 3000);
    }
    wal.sync().unwrap();
    wal.release_before(2).unwrap();
    let pin = wal.reader().pin(3);
    let older = wal.reader().pin(1);
    assert_eq!((pin.segment(), older.segment()), (3, 2));
    wal.release_before(6).unwrap();
    assert_eq!(numbers(&wal), [2, 3, 4, 5, 6]);
    drop(older);
    wal.release_before(6).unwrap();
    assert_eq!(numbers(&wal), [3, 4, 5, 6]);
    drop(pin);
    wal.release_before(99).unwrap();
    assert_eq!(numbers(&wal), [6], "never the current one");
    assert_eq!(disk.files().len(), 1);
    assert!(matches!(wal.reader().read(first), Err(Error::NoSuchRecord(_))));
}

#[test]
fn a_scan_outlives_the_release_of_its_segment_and_says_when_it_has_lost_its_way() {
    let (_disk, mut wal) = log();
    for number in 1..=6 {
        append(&mut wal, number, 1500);
    }
    wal.sync().unwrap();
    let mut scan = wal.reader().scan_all();
    assert_eq!(scan.next().unwrap().unwrap().head.number, 1);
    wal.release_before(3).unwrap();
    assert_eq!(scan.next().unwrap().unwrap().head.number, 2, "its segment is still open");
    assert!(matches!(scan.next(), Some(Err(Error::NoSuchRecord(_)))), "what is behind that is gone");
    assert!(scan.next().is_none());
}

#[test]
fn a_scan_does_not_go_on_behind_a_cut_in_what_it_has_read() {
    let (_disk, mut wal) = log();
    let positions: Vec<_> = (1..=9).map(|number| append(&mut wal, number, 900)).collect();
    wal.sync().unwrap();
    let mut ahead = wal.reader().scan(positions[5]);
    assert_eq!(ahead.next().unwrap().unwrap().head.number, 6);
    let mut before = wal.reader().scan_all();
    assert_eq!(before.next().unwrap().unwrap().head.number, 1);
    wal.truncate_to(positions[4]).unwrap();
    append(&mut wal, 5, 20);
    append(&mut wal, 6, 30);
    wal.sync().unwrap();
    assert!(matches!(ahead.next(), Some(Err(Error::NoSuchRecord(_)))));
    let rest: Vec<_> = before.map(|record| record.unwrap().payload.len()).collect();
    assert_eq!(rest, [900, 900, 900, 20, 30]);
    assert!(matches!(wal.reader().read(positions[7]), Err(Error::NoSuchRecord(_))));
    assert!(wal.reader().read(positions[3]).is_ok());
}

#[test]
fn a_cut_at_the_end_is_no_cut() {
    let (_disk, mut wal) = log();
    append(&mut wal, 1, 700);
    wal.truncate_to(wal.end()).unwrap();
    let record = wal.reader().scan_all().next().unwrap().unwrap();
    wal.truncate_to(record.next).unwrap();
    wal.roll().unwrap();
    wal.truncate_to(record.next).unwrap();
    assert_eq!(wal.segments().len(), 2);
    append(&mut wal, 2, 700);
    // Where a record of a sealed segment ends, the record of the next one begins.
    wal.truncate_to(record.next).unwrap();
    assert_eq!(numbers(&wal), [1]);
    wal.truncate_to(record.position).unwrap();
    assert_eq!(numbers(&wal), [0; 0]);
    append(&mut wal, 1, 5);
    wal.flush().unwrap();
    assert_eq!(numbers(&wal), [1]);
}

#[test]
fn a_place_without_a_record_is_refused() {
    let (_disk, mut wal) = log();
    append(&mut wal, 1, 700);
    wal.sync().unwrap();
    for (segment, offset) in [(0, 520), (2, 520), (1, 5000), (1, u64::MAX)] {
        let position = Position { segment, offset };
        assert!(matches!(wal.reader().read(position), Err(Error::NoSuchRecord(at)) if at == position));
    }
    assert!(matches!(wal.truncate_to(Position { segment: 9, offset: 520 }), Err(Error::NoSuchRecord(_))));
    for offset in 521..1200 {
        assert!(wal.reader().read(Position { segment: 1, offset }).is_err(), "{offset}");
    }
    assert!(matches!(wal.reader().scan(Position { segment: 9, offset: 0 }).next(), Some(Err(_))));
}

#[test]
fn readers_on_other_threads_see_whole_records_in_order() {
    let (_disk, mut wal) = log();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (reader, done) = (wal.reader(), done.clone());
            thread::spawn(move || {
                let mut scan = reader.scan_all();
                let mut next = 1;
                loop {
                    let is_last_round = done.load(Ordering::Acquire);
                    for record in scan.by_ref() {
                        let record = record.unwrap();
                        assert_eq!(record.head.number, next);
                        assert_eq!(record.payload, payload(next, (next * 31 % 900) as usize));
                        next += 1;
                    }
                    if is_last_round {
                        return next - 1;
                    }
                }
            })
        })
        .collect();
    let preparer = wal.preparer();
    for number in 1..=3000 {
        append(&mut wal, number, (number * 31 % 900) as usize);
        if number % 5 == 0 {
            wal.flush().unwrap();
        }
        if number % 50 == 0 {
            preparer.prepare().unwrap();
            wal.sync().unwrap();
        }
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), 3000);
    }
}

#[test]
fn readers_on_other_threads_take_a_cut_for_what_it_is() {
    let (_disk, mut wal) = log();
    append(&mut wal, 1, 100);
    wal.sync().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let read = |reader: wal::Reader, done: Arc<AtomicBool>| {
        let mut records = 0u64;
        loop {
            let is_last_round = done.load(Ordering::Acquire);
            let mut last = 0;
            for record in reader.scan_all() {
                match record {
                    Ok(record) => {
                        assert_eq!(record.head.number, last + 1);
                        // The tag is the round in which it was written: it says how long the payload is.
                        let len = (record.head.number + record.head.tag) * 61 % 1500;
                        assert!(last == 0 || record.payload == payload(record.head.number, len as usize));
                        last = record.head.number;
                        records += 1;
                    }
                    Err(Error::NoSuchRecord(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            if is_last_round {
                return records;
            }
        }
    };
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (reader, done) = (wal.reader(), done.clone());
            thread::spawn(move || read(reader, done))
        })
        .collect();
    let mut positions = vec![wal.reader().start()];
    for round in 0..400u64 {
        let keep = 1 + (round * 7 % 11) as usize;
        if keep < positions.len() {
            wal.truncate_to(positions[keep]).unwrap();
            positions.truncate(keep);
        }
        while positions.len() < 14 {
            let number = positions.len() as u64 + 1;
            let payload = payload(number, ((number + round) * 61 % 1500) as usize);
            positions.push(wal.append(Head { kind: 1, number, tag: round }, &[&payload]).unwrap());
            wal.flush().unwrap();
        }
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
}
