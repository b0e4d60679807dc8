//! An inspection finds nothing in an intact log, and everything that is wrong with a damaged one, without writing.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

mod support;

use std::path::{Path, PathBuf};

use support::{Known, open_with};
use wal::{Crash, Disk, Finding, InTurn, Seen, Severity, SimDisk, inspect};

const SEGMENT_BYTES: u64 = 45 * 512;
const DIR: &str = "/log";

/// Three segments, the last one half full and with a witness.
fn subject() -> (SimDisk, usize) {
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
    wal.sync().unwrap();
    wal.witness().unwrap();
    (disk.crash(Crash::KeepAll), known.records.len())
}

/// What an inspection sees: findings, and the numbers of the records.
fn look(disk: &SimDisk) -> (Vec<Finding>, Vec<u64>) {
    let (mut findings, mut numbers) = (Vec::new(), Vec::new());
    inspect(disk, Path::new(DIR), None, &InTurn, &mut |seen| match seen {
        Seen::Finding(finding) => findings.push(finding),
        Seen::Record(record) => numbers.push(record.head.number),
        Seen::Read(_) | Seen::Segment(_) | Seen::Gap => {}
    })
    .unwrap();
    (findings, numbers)
}

fn flip(disk: &SimDisk, path: &Path, offset: u64) {
    let file = disk.open(path).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 0x10]).unwrap();
}

#[test]
fn an_intact_log_is_seen_whole_and_nothing_is_wrong_with_it() {
    let (disk, records) = subject();
    let (findings, numbers) = look(&disk);
    assert_eq!(findings, []);
    assert_eq!(numbers.len(), records);
}

#[test]
fn every_flipped_byte_is_found_where_it_is_and_the_rest_is_still_seen() {
    let (disk, records) = subject();
    let mut quiet: Vec<(PathBuf, u64)> = Vec::new();
    for path in disk.files() {
        let len = disk.open(&path).unwrap().len().unwrap();
        for offset in (0..len).step_by(7) {
            flip(&disk, &path, offset);
            let (findings, numbers) = look(&disk);
            flip(&disk, &path, offset);
            let is_near = |finding: &Finding| {
                let sector = offset / 512 * 512;
                let region = finding.offset..finding.offset + finding.bytes.max(1);
                finding.path == path && (region.contains(&offset) || region.contains(&sector))
            };
            if !findings.iter().any(is_near) {
                assert_eq!(findings, [], "{} at {offset}", path.display());
                quiet.push((path.clone(), offset));
            }
            let is_header = offset < 512;
            assert!(numbers.len() + 1 >= records || is_header, "{} at {offset}", path.display());
        }
    }
    // A full sealed segment is a sector longer than it was made.
    let is_beyond = |(path, offset): &(PathBuf, u64)| {
        !path.ends_with("0000000000000003.wal") && *offset >= SEGMENT_BYTES - 1024
    };
    assert!(quiet.iter().all(is_beyond), "{quiet:?}");
}

#[test]
fn two_damages_are_two_findings() {
    let (disk, records) = subject();
    let paths = disk.files();
    flip(&disk, &paths[0], 1600);
    flip(&disk, &paths[1], 5000);
    let (findings, numbers) = look(&disk);
    let damaged: Vec<&PathBuf> = findings.iter().map(|finding| &finding.path).collect();
    assert_eq!(damaged, [&paths[0], &paths[1]], "{findings:?}");
    assert_eq!(numbers.len(), records - 2);
}

#[test]
fn a_lost_segment_and_a_cut_one_are_found() {
    let (disk, _) = subject();
    let paths = disk.files();
    disk.remove(&paths[1]).unwrap();
    let (findings, _) = look(&disk);
    assert!(findings[0].what.contains("the segment before it, 0000000000000002, is missing"), "{findings:?}");
    let (disk, _) = subject();
    disk.open(&paths[1]).unwrap().set_len(4096).unwrap();
    let (findings, _) = look(&disk);
    assert_eq!((&findings[0].path, findings[0].offset), (&paths[1], 4096), "{findings:?}");
    let (disk, _) = subject();
    disk.remove(&paths[2]).unwrap();
    let (findings, _) = look(&disk);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("later segments are missing"), "{findings:?}");
}

#[test]
fn what_a_crash_leaves_is_a_note() {
    let disk = SimDisk::new(1);
    let mut wal = open_with(&disk, SEGMENT_BYTES).unwrap().0;
    let mut known = Known::default();
    known.append(&mut wal, 700).unwrap();
    wal.sync().unwrap();
    known.append(&mut wal, 1300).unwrap();
    known.append(&mut wal, 1300).unwrap();
    wal.flush().unwrap();
    let path = disk.files().remove(0);
    // The batch's second sector never reached the disk.
    disk.open(&path).unwrap().write_at(4 * 512, &[0; 512]).unwrap();
    let before = wal::read_file(&disk, &path, u64::MAX).unwrap();
    let (findings, numbers) = look(&disk);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Note), "{findings:?}");
    assert_eq!(numbers.len(), 1);
    assert_eq!(wal::read_file(&disk, &path, u64::MAX).unwrap(), before);
}
