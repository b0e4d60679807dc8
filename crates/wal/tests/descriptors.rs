//! A process that is short of descriptors: a log needs few of them, and loses nothing when it gets none.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

mod support;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{DIR, IDENTITY, payload};
use wal::{Crash, Disk, DiskDir, DiskFile, Error, Head, Options, SimDisk, Wal};

const SEGMENT_BYTES: u64 = 8 * 512;
/// What a log needs at most: the directory, the newest segment, the prepared one, and the sealed ones that are kept open.
const NEEDED: usize = 3 + 16;

/// A disk for a process that may open so many files.
#[derive(Clone)]
struct ScarceDisk {
    disk: SimDisk,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    max: Arc<AtomicUsize>,
}

/// An open file or directory.
struct Handle<T: ?Sized> {
    open: Arc<AtomicUsize>,
    inner: Box<T>,
}

impl<T: ?Sized> Drop for Handle<T> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ScarceDisk {
    fn new(disk: &SimDisk, max: usize) -> Self {
        let count = |number: usize| Arc::new(AtomicUsize::new(number));
        Self { disk: disk.clone(), open: count(0), most: count(0), max: count(max) }
    }

    fn allow(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    fn handle<T: ?Sized>(&self, open: impl FnOnce() -> io::Result<Box<T>>) -> io::Result<Handle<T>> {
        if self.open.load(Ordering::Relaxed) >= self.max.load(Ordering::Relaxed) {
            // EMFILE
            return Err(io::Error::from_raw_os_error(24));
        }
        let inner = open()?;
        let now = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        Ok(Handle { open: self.open.clone(), inner })
    }
}

impl Disk for ScarceDisk {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.handle(|| self.disk.create(path, len))?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.handle(|| self.disk.open(path))?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.handle(|| Ok(Box::new(())))?;
        self.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn DiskDir>> {
        Ok(Box::new(self.handle(|| self.disk.open_dir(dir))?))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
}

impl DiskDir for Handle<dyn DiskDir> {
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl DiskFile for Handle<dyn DiskFile> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
}

fn open(disk: &ScarceDisk) -> Result<Wal, Error> {
    let options = Options { segment_bytes: SEGMENT_BYTES, identity: IDENTITY };
    Wal::open(Arc::new(disk.clone()), Path::new(DIR), options).map(|(wal, _)| wal)
}

fn append(wal: &mut Wal, number: u64) -> Result<(), Error> {
    wal.append(Head { kind: 1, number, tag: 0 }, &[&payload(number, 3000)]).map(drop)
}

fn numbers(wal: &Wal) -> Vec<u64> {
    wal.reader().scan_all().map(|record| record.unwrap().head.number).collect()
}

#[test]
fn a_log_of_many_segments_needs_few_descriptors() {
    let segments = 200;
    let disk = ScarceDisk::new(&SimDisk::new(1), NEEDED);
    let mut wal = open(&disk).unwrap();
    for number in 1..=segments {
        append(&mut wal, number).unwrap();
        wal.prepare_next().unwrap();
    }
    wal.sync().unwrap();
    let positions: Vec<_> = wal.reader().scan_all().map(|record| record.unwrap().position).collect();
    assert_eq!(positions.last().unwrap().segment, segments);
    // From all sides, over and over.
    for step in [1, 7, 67, 131] {
        for place in (0..positions.len()).map(|place| place * step % positions.len()) {
            let record = wal.reader().read(positions[place]).unwrap();
            assert_eq!(record.head.number, place as u64 + 1);
        }
    }
    let mut scans: Vec<_> = (0..100).map(|_| wal.reader().scan_all()).collect();
    for number in 1..=segments {
        assert!(scans.iter_mut().all(|scan| scan.next().unwrap().unwrap().head.number == number));
    }
    drop(scans);
    wal.release_before(100).unwrap();
    drop(wal);
    assert_eq!(disk.open.load(Ordering::Relaxed), 0, "all are closed");
    let wal = open(&disk).unwrap();
    assert_eq!(numbers(&wal), (100..=segments).collect::<Vec<_>>());
    assert!(disk.most.load(Ordering::Relaxed) <= NEEDED);
}

#[test]
fn what_is_removed_is_not_kept_open() {
    let disk = ScarceDisk::new(&SimDisk::new(1), usize::MAX);
    let mut wal = open(&disk).unwrap();
    (1..=10).for_each(|number| append(&mut wal, number).unwrap());
    wal.sync().unwrap();
    let records: Vec<_> = wal.reader().scan_all().map(Result::unwrap).collect();
    let before = disk.open.load(Ordering::Relaxed);
    wal.release_before(5).unwrap();
    assert_eq!(disk.open.load(Ordering::Relaxed), before - 4);
    wal.truncate_to(records[6].position).unwrap();
    // 5 to 7 are left, and the segment that says so.
    assert_eq!(disk.open.load(Ordering::Relaxed), 1 + 4);
}

#[test]
fn without_a_descriptor_the_log_waits_and_loses_nothing() {
    for max in 0..8 {
        let disk = ScarceDisk::new(&SimDisk::new(2), usize::MAX);
        let mut wal = open(&disk).unwrap();
        append(&mut wal, 1).unwrap();
        wal.sync().unwrap();
        disk.allow(max);
        let mut failures = 0;
        for number in 2..=20 {
            while let Err(error) = append(&mut wal, number) {
                assert!(error.is_retryable(), "{error}");
                assert!(matches!(wal.prepare_next(), Err(error) if error.is_retryable()));
                // What was appended can be made durable all the same, and what is closed can be used.
                wal.sync().unwrap();
                failures += 1;
                disk.allow(max + failures);
            }
            if number % 7 == 0 {
                disk.allow(0);
                wal.release_before(number - 3).unwrap();
                disk.allow(max + failures);
            }
        }
        wal.sync().unwrap();
        drop(wal);
        let wal = open(&ScarceDisk::new(&disk.disk.crash(Crash::LoseAll), NEEDED)).unwrap();
        assert_eq!(numbers(&wal), (11..=20).collect::<Vec<_>>(), "{max}");
        assert!(failures > 0 || max > 2, "{max} descriptors are too few");
    }
}

#[test]
fn a_log_that_cannot_be_opened_now_can_be_opened_later() {
    let sim = SimDisk::new(3);
    let mut wal = open(&ScarceDisk::new(&sim, usize::MAX)).unwrap();
    (1..=30).for_each(|number| append(&mut wal, number).unwrap());
    wal.sync().unwrap();
    drop(wal);
    let mut opened = false;
    for max in 0..NEEDED {
        let disk = ScarceDisk::new(&sim, max);
        match open(&disk) {
            Ok(wal) => {
                // Reading takes one at a time.
                disk.allow(max + 1);
                assert_eq!(numbers(&wal), (1..=30).collect::<Vec<_>>());
                opened = true;
            }
            Err(error) => assert!(error.is_retryable() && !opened, "{max}: {error}"),
        }
    }
    assert!(opened);
}
