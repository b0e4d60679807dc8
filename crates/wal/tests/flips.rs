//! Every bit of a log flipped (T5): damage is found, and told from what was never written.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wal::{Crash, Error, Head, Options, SimDisk, Wal};

const SECTORS: u64 = 16;

fn options() -> Options {
    Options { segment_bytes: SECTORS * 512, identity: [7, 9] }
}

fn open(disk: &SimDisk) -> Result<Wal, Error> {
    Wal::open(Arc::new(disk.clone()), Path::new("/log"), options()).map(|(wal, _)| wal)
}

fn read_all(disk: &SimDisk) -> Result<Vec<Vec<u8>>, Error> {
    let wal = open(disk)?;
    wal.reader().scan_all().map(|record| Ok(record?.payload.to_vec())).collect()
}

/// Three segments; the last one is half full.
fn log() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut payloads = Vec::new();
    while wal.end().segment < 3 || wal.room() > SECTORS * 256 {
        let number = payloads.len() as u64;
        let payload = if number.is_multiple_of(3) {
            vec![0; 700]
        } else {
            vec![number as u8; 90 * (number as usize % 5)]
        };
        wal.append(Head { kind: 2, number, tag: 1 }, &[&payload]).unwrap();
        payloads.push(payload);
        if number.is_multiple_of(2) {
            wal.sync().unwrap();
        }
    }
    wal.sync().unwrap();
    (disk.crash(Crash::LoseAll), payloads)
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let (disk, payloads) = log();
    let used = used_bytes(&disk);
    let stride = if std::env::var_os("QUORATE_TEST_BUDGET").is_some() { 1 } else { 7 };
    let (mut refused, mut harmless) = (0, 0);
    for (path, used) in &used {
        for bit in (0..SECTORS as usize * 512 * 8).step_by(stride) {
            let flipped = disk.fork();
            flipped.damage(path, |content| content[bit / 8] ^= 1 << (bit % 8));
            let context = format!("{} byte {} bit {}", path.display(), bit / 8, bit % 8);
            match read_all(&flipped) {
                Err(Error::Corrupt { path: named, offset, .. }) => {
                    assert_eq!(&named, path, "{context}");
                    assert!(bit / 8 < *used, "{context}: nothing durable is there, {offset}");
                    assert!(offset as usize <= bit / 8 + 1, "{context}: noticed at {offset}");
                    refused += 1;
                }
                Err(error) => panic!("{context}: {error}"),
                Ok(found) => {
                    assert!(found == payloads, "{context}: {} of {}", found.len(), payloads.len());
                    assert!(bit / 8 >= *used, "{context}: not noticed");
                    harmless += 1;
                }
            }
        }
    }
    println!("{refused} refused, {harmless} in space that was never used");
}

/// For each segment, the bytes of its file that hold something durable.
fn used_bytes(disk: &SimDisk) -> Vec<(PathBuf, usize)> {
    let wal = open(&disk.fork()).unwrap();
    let segments = wal.segments();
    let paths = disk.files();
    assert_eq!(segments.len(), 3);
    paths.into_iter().zip(segments).map(|(path, segment)| (path, segment.end.offset as usize)).collect()
}
