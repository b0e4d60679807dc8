//! The log on the disk of the operating system.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wal::{Disk, Error, Head, Options, OsDisk, Wal, read_file, replace_file};

const OPTIONS: Options = Options { segment_bytes: 64 * 1024, identity: [1, 2] };

fn open(dir: &Path) -> Wal {
    Wal::open(Arc::new(OsDisk), dir, OPTIONS).unwrap().0
}

fn head(number: u64) -> Head {
    Head { kind: 1, number, tag: 3 }
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("member").join("wal");
    let mut wal = open(&dir);
    let mut positions = Vec::new();
    for number in 0..500u64 {
        let payload = vec![number as u8; number as usize * 7 % 1200];
        positions.push(wal.append(head(number), &[&payload]).unwrap());
        if number % 10 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.sync().unwrap();
    drop(wal);
    let mut wal = open(&dir);
    let records: Vec<_> = wal.reader().scan_all().map(Result::unwrap).collect();
    assert_eq!(records.iter().map(|record| record.position).collect::<Vec<_>>(), positions);
    wal.truncate_to(positions[300]).unwrap();
    wal.release_before(positions[200].segment).unwrap();
    drop(wal);
    let wal = open(&dir);
    let numbers: Vec<_> = wal.reader().scan_all().map(|record| record.unwrap().head.number).collect();
    let first = numbers[0];
    assert!((1..=200).contains(&first));
    assert_eq!(numbers, (first..300).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), wal.segments().len());
}

#[test]
fn nobody_else_may_look_and_the_space_is_reserved() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("wal");
    let mut wal = open(&dir);
    wal.prepare_next().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(metadata.len(), OPTIONS.segment_bytes);
        assert!(metadata.blocks() * 512 >= OPTIONS.segment_bytes, "{} is sparse", path.display());
    }
}

#[test]
fn damage_is_named_by_file_and_offset() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("wal");
    let mut wal = open(&dir);
    for number in 0..10 {
        wal.append(head(number), &[&[7; 2000]]).unwrap();
        wal.sync().unwrap();
    }
    drop(wal);
    let path = dir.join("0000000000000001.wal");
    let mut content = fs::read(&path).unwrap();
    content[5000] ^= 0x10;
    fs::write(&path, content).unwrap();
    let Err(Error::Corrupt { path: named, offset, .. }) = Wal::open(Arc::new(OsDisk), &dir, OPTIONS) else {
        panic!("it was opened")
    };
    assert_eq!(named, path);
    assert!((2600..=5000).contains(&offset), "{offset}");
}

#[test]
fn a_file_is_replaced_whole() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("vote");
    replace_file(&OsDisk, &path, b"first").unwrap();
    fs::write(path.with_extension("tmp"), b"left by a crash").unwrap();
    replace_file(&OsDisk, &path, b"second").unwrap();
    assert_eq!(read_file(&OsDisk, &path, 100).unwrap(), b"second");
    assert!(read_file(&OsDisk, &path, 5).is_err());
    assert!(!OsDisk.exists(&path.with_extension("tmp")).unwrap());
}

#[test]
fn missing_directories_are_made_and_those_that_exist_are_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a").join("b").join("c");
    for _ in 0..2 {
        OsDisk.create_dir_all(&dir).unwrap();
        assert!(dir.is_dir());
    }
    fs::write(parent.path().join("file"), b"").unwrap();
    assert!(OsDisk.create_dir_all(&parent.path().join("file")).is_err());
    assert!(OsDisk.create_dir_all(&parent.path().join("file").join("below")).is_err());
}

/// The file of the next segment has the same temporary name each time.
#[test]
fn a_segment_that_is_being_named_is_not_replaced_by_the_next_one() {
    const SEGMENTS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 2048, identity: [1, 2] };
    let (mut wal, _) = Wal::open(Arc::new(OsDisk), dir.path(), options).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let preparing = {
        let (preparer, done) = (wal.preparer(), done.clone());
        std::thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                preparer.prepare().unwrap();
            }
        })
    };
    for number in 1..=SEGMENTS {
        wal.append(Head { kind: 1, number, tag: 0 }, &[b"payload"]).unwrap();
        wal.roll().unwrap();
    }
    done.store(true, Ordering::Release);
    preparing.join().unwrap();
    drop(wal);
    let (wal, _) = Wal::open(Arc::new(OsDisk), dir.path(), options).unwrap();
    let numbers = wal.reader().scan_all().map(|record| record.unwrap().head.number);
    assert!(numbers.eq(1..=SEGMENTS));
}
