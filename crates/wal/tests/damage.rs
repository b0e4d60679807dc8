//! Every bit of a log flipped, sectors lost and misplaced, files cut and lost: damage to what was synced is
//! refused, naming file and offset; damage to space that was never used does no harm; nothing is ever cut off.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::{Known, budget, entries, open_with};
use wal::{Crash, Error, SegmentInfo, SimDisk};

/// Three segments, two of them trimmed to what they hold: at least 64 KiB.
const SEGMENT_BYTES: u64 = 45 * 512;

/// A log with damage to come.
struct Subject {
    disk: SimDisk,
    known: Known,
    segments: BTreeMap<PathBuf, SegmentInfo>,
    /// Where records start and end, by file.
    records: BTreeMap<PathBuf, Vec<(u64, u64)>>,
}

/// Three segments, the last one half full; synced at the end, and with a witness behind that if wanted.
fn subject(end: fn(&mut wal::Wal) -> Result<(), Error>) -> Subject {
    let disk = SimDisk::new(1);
    let mut known = Known::default();
    let mut wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    while wal.end().segment < 3 || wal.room() > SEGMENT_BYTES / 2 {
        let number = known.records.len();
        known.append(&mut wal, [0, 40, 700, 300, 1300, 468][number % 6]).unwrap();
        if number % 4 == 1 {
            wal.sync().unwrap();
        }
    }
    end(&mut wal).unwrap();
    let paths = disk.files();
    let segments: BTreeMap<_, _> = paths.into_iter().zip(wal.segments()).collect();
    assert_eq!(segments.len(), 3);
    let mut records: BTreeMap<PathBuf, Vec<(u64, u64)>> = BTreeMap::new();
    for record in wal.reader().scan_all().map(Result::unwrap) {
        let of_record = |segment: &&SegmentInfo| segment.id == record.position.segment;
        let (path, _) = segments.iter().find(|(_, segment)| of_record(segment)).unwrap();
        records.entry(path.clone()).or_default().push((record.position.offset, record.next.offset));
    }
    known.acknowledged = known.records.len();
    Subject { disk: disk.crash(Crash::KeepAll), known, segments, records }
}

fn synced(wal: &mut wal::Wal) -> Result<(), Error> {
    wal.sync().map(drop)
}

/// What came of opening and reading a damaged log.
#[derive(Debug)]
enum Outcome {
    /// Refused, at this file and offset.
    Refused(PathBuf, u64),
    /// Everything is there.
    Whole { stray_sectors: usize },
    /// A suffix was taken for torn.
    Cut,
}

impl Subject {
    fn examine(&self, damage: impl Fn(&SimDisk)) -> Outcome {
        let disk = self.disk.restart();
        damage(&disk);
        let opened = open_with(&disk, SEGMENT_BYTES)
            .and_then(|(wal, recovery)| entries(&wal).map(|found| (found, recovery)));
        match opened {
            Err(Error::Corrupt { path, offset, .. }) => Outcome::Refused(path, offset),
            Err(error) => panic!("{error}"),
            Ok((found, recovery)) if found == self.known.records => {
                assert_eq!(recovery.torn, None, "nothing is missing");
                Outcome::Whole { stray_sectors: recovery.stray_sectors }
            }
            Ok((found, recovery)) => {
                assert_eq!(found[..], self.known.records[..found.len()]);
                assert!(recovery.torn.is_some(), "records are missing and nobody says so");
                Outcome::Cut
            }
        }
    }

    /// Whether an error at `offset` points to the damaged byte: to its sector, or to the record that holds it.
    fn points_to(&self, path: &Path, offset: u64, byte: u64) -> bool {
        let is_its_record = |record: &(u64, u64)| record.0 == offset && (offset..record.1).contains(&byte);
        offset / 512 == byte / 512 || self.records[path].iter().any(is_its_record)
    }

    fn last_batch_starts(&self, path: &Path) -> u64 {
        // Its last record's stamp says so: three bytes, in units of a sector.
        let content = self.disk.content(path).unwrap();
        let sector = self.segments[path].end.offset as usize - 512;
        u64::from(u32::from_le_bytes([content[sector], content[sector + 1], content[sector + 2], 0])) * 512
    }
}

#[test]
fn every_flipped_bit_is_refused_or_harmless() {
    let subject = subject(synced);
    let stride = if budget() > 1 { 1 } else { 13 };
    let (mut refused, mut harmless) = (0, 0);
    for (path, segment) in &subject.segments {
        for bit in (0..segment.file_bytes * 8).step_by(stride) {
            let byte = bit / 8;
            let outcome =
                subject.examine(|disk| disk.damage(path, |content| content[byte as usize] ^= 1 << (bit % 8)));
            let context = || format!("{} byte {byte} bit {}: {outcome:?}", path.display(), bit % 8);
            match &outcome {
                Outcome::Refused(named, offset) => {
                    assert!(named == path && subject.points_to(path, *offset, byte), "{}", context());
                    assert!(byte < segment.end.offset, "nothing durable is there, {}", context());
                    refused += 1;
                }
                Outcome::Whole { stray_sectors } => {
                    assert!(byte >= segment.end.offset, "not noticed, {}", context());
                    assert!(segment.sealed || *stray_sectors == 1, "not repaired, {}", context());
                    harmless += 1;
                }
                Outcome::Cut => panic!("{}", context()),
            }
        }
    }
    let flips = refused + harmless;
    println!("{flips} flips: {refused} refused, {harmless} in space that was never used");
    assert!(flips * stride >= 64 * 1024 * 8 - 2 * stride, "the log is too short: {} bits", flips * stride);
}

#[test]
fn a_lost_sector_is_refused_unless_it_is_in_the_last_batch() {
    let without_proof = subject(synced);
    let proven = subject(wal::Wal::witness);
    for (path, segment) in &without_proof.segments {
        for sector in 0..segment.end.offset / 512 {
            let lose = |disk: &SimDisk| {
                disk.damage(path, |content| content[sector as usize * 512..][..512].fill(0));
            };
            let is_in_last_batch = !segment.sealed && sector * 512 >= without_proof.last_batch_starts(path);
            match without_proof.examine(lose) {
                Outcome::Refused(named, offset) => {
                    assert!(!is_in_last_batch, "a torn write looks the same");
                    assert_eq!((&named, offset / 512), (path, sector));
                }
                Outcome::Cut if is_in_last_batch => {}
                outcome => panic!("{} sector {sector}: {outcome:?}", path.display()),
            }
            match proven.examine(lose) {
                Outcome::Refused(named, offset) => assert_eq!((&named, offset / 512), (path, sector)),
                outcome => panic!("{} sector {sector}, proven: {outcome:?}", path.display()),
            }
        }
    }
}

#[test]
fn a_misplaced_sector_is_refused() {
    let subject = subject(synced);
    let sectors = |path: &Path| subject.segments[path].end.offset as usize / 512;
    for path in subject.segments.keys() {
        for from_path in subject.segments.keys() {
            let source = subject.disk.content(from_path).unwrap();
            for to in 0..sectors(path) {
                let from = (to * 7 + 3) % sectors(from_path);
                if (from, from_path) == (to, path) {
                    continue;
                }
                let outcome = subject.examine(|disk| {
                    disk.damage(path, |content| {
                        content[to * 512..][..512].copy_from_slice(&source[from * 512..][..512]);
                    });
                });
                let named = |named: &PathBuf, offset: u64| named == path && offset / 512 == to as u64;
                assert!(
                    matches!(&outcome, Outcome::Refused(path, offset) if named(path, *offset)),
                    "{outcome:?}"
                );
            }
        }
    }
}

#[test]
fn a_cut_or_overgrown_file_is_refused() {
    let subject = subject(synced);
    for (path, segment) in &subject.segments {
        let needed = if segment.sealed { segment.end.offset } else { segment.file_bytes };
        for len in (0..needed).step_by(100) {
            let outcome = subject.examine(|disk| disk.damage(path, |content| content.truncate(len as usize)));
            assert!(
                matches!(&outcome, Outcome::Refused(named, _) if named == path),
                "{len} bytes: {outcome:?}"
            );
        }
    }
    let newest = subject.segments.keys().next_back().unwrap();
    let outcome = subject.examine(|disk| disk.damage(newest, |content| content.extend([0; 512])));
    assert!(matches!(&outcome, Outcome::Refused(named, _) if named == newest), "{outcome:?}");
}

#[test]
fn a_lost_segment_is_refused_unless_it_is_the_oldest() {
    let subject = subject(synced);
    let paths: Vec<&PathBuf> = subject.segments.keys().collect();
    // The one behind it misses its predecessor.
    let outcome = subject.examine(|disk| disk.lose(paths[1]));
    assert!(matches!(&outcome, Outcome::Refused(named, 0) if named == paths[2]), "{outcome:?}");
    // The one before it has the length of a sealed one.
    let outcome = subject.examine(|disk| disk.lose(paths[2]));
    assert!(matches!(&outcome, Outcome::Refused(named, _) if named == paths[1]), "{outcome:?}");
    let outcome = subject.examine(|disk| {
        disk.lose(paths[1]);
        disk.lose(paths[2]);
    });
    assert!(matches!(&outcome, Outcome::Refused(named, _) if named == paths[0]), "{outcome:?}");
    // The oldest may have been released, for all the log knows. The caller knows better.
    let disk = subject.disk.restart();
    disk.lose(paths[0]);
    let wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    assert!(wal.segments()[0].first.is_some_and(|head| head.number > 1));
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let subject = subject(synced);
    let newest = subject.segments.keys().next_back().unwrap();
    let disk = subject.disk.restart();
    disk.damage(newest, |content| {
        content[8] = 2;
        let crc = crc32fast::hash(&content[..508]);
        content[508..512].copy_from_slice(&crc.to_le_bytes());
    });
    let Err(error) = open_with(&disk, SEGMENT_BYTES) else { panic!("it was opened") };
    let is_named = matches!(&error, Error::NewerFormat { path, found: 2, known: 1 } if path == newest);
    assert!(is_named, "{error}");
}
