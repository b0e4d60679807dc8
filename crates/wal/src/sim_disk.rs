//! A disk in memory that crashes, tears and fails on demand.
//!
//! It keeps, for every file, what is durable and which writes since were not synced; for every directory, which names
//! are durable and which changes since were not. A [crash](SimDisk::crash) decides what of that survives: sectors of
//! 512 bytes go to the disk whole, in any order, any subset of them; names are journaled, so a prefix of their changes
//! survives. It is deterministic: randomness comes from the seed, and nothing depends on time or addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What a crash does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// All of it is lost.
    LoseAll,
    /// All of it had reached the disk by itself.
    KeepAll,
    /// Each sector and a prefix of the name changes, by the toss of a coin.
    Random(u64),
    /// All but the last write is kept, and of that the first sectors (by the toss of a coin how many).
    TearLast(u64),
}

/// A fault to inject, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The next read fails with `EIO`.
    Read,
    /// The next write fails with `EIO` and writes nothing.
    Write,
    /// The next sync of a file fails with `EIO`, and the kernel forgets that its pages were dirty: they read as
    /// written, no later sync writes them, and they are gone after a crash of the machine.
    Sync,
    /// The next creation of a file fails with `ENOSPC`.
    Create,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    /// What the disk holds.
    durable: Vec<u8>,
    /// What reads see.
    cached: Vec<u8>,
    /// Sectors written since the last sync, in the order of the writes: first sector and how many.
    dirty: Vec<(usize, usize)>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf, usize),
    Unlink(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    faults: BTreeSet<Fault>,
    /// Operations that change something, counted.
    operations: u64,
    /// After so many operations nothing works any more.
    halt_after: Option<u64>,
    /// Bytes that files may take.
    capacity: Option<u64>,
}

/// The disk. Clones are the same disk; [`SimDisk::fork`] makes another.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    seed: u64,
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

/// A small generator of pseudo-random numbers (splitmix64), enough to toss coins with.
#[derive(Debug, Clone)]
struct Coins(u64);

impl Coins {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn toss(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// A number up to and including `max`.
    fn up_to(&mut self, max: usize) -> usize {
        (self.next() % (max as u64 + 1)) as usize
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::default(), seed }
    }

    /// A disk with the same content and the same pending writes, that goes its own way from here.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state.lock().clone())), seed: self.seed }
    }

    /// What a machine finds on this disk after a crash at this moment. This disk is not changed.
    #[must_use]
    pub fn crash(&self, crash: Crash) -> Self {
        let mut state = self.state.lock().clone();
        let mut coins = Coins(match crash {
            Crash::Random(seed) | Crash::TearLast(seed) => {
                self.seed ^ seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
            }
            Crash::LoseAll | Crash::KeepAll => 0,
        });
        let kept = match crash {
            Crash::LoseAll => 0,
            Crash::KeepAll | Crash::TearLast(_) => state.pending_names.len(),
            Crash::Random(_) => coins.up_to(state.pending_names.len()),
        };
        let changes = std::mem::take(&mut state.pending_names);
        for change in &changes[..kept] {
            change.apply(&mut state.durable_names);
        }
        state.names = state.durable_names.clone();
        for inode in &mut state.inodes {
            inode.crash(crash, &mut coins);
        }
        state.faults.clear();
        state.halt_after = None;
        state.operations = 0;
        Self { state: Arc::new(Mutex::new(state)), seed: self.seed.wrapping_add(1) }
    }

    /// What a process finds after it was killed and the machine went on: everything that was written.
    #[must_use]
    pub fn restart(&self) -> Self {
        let restarted = self.fork();
        {
            let mut state = restarted.state.lock();
            state.faults.clear();
            state.halt_after = None;
            state.operations = 0;
        }
        restarted
    }

    /// Injects a fault, once.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.insert(fault);
    }

    /// Lets `operations` more writes, syncs and name changes succeed and fails everything after them, as if the
    /// process had been killed there.
    pub fn halt_after(&self, operations: u64) {
        let mut state = self.state.lock();
        state.halt_after = Some(state.operations + operations);
    }

    /// Writes, syncs and name changes so far.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Bounds the bytes of all files together; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().names.keys().cloned().collect()
    }

    /// Changes the content of a file behind everybody's back, on the disk and in the cache.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn damage(&self, path: &Path, damage: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let inode = *state.names.get(path).expect("a file to damage");
        let inode = &mut state.inodes[inode];
        damage(&mut inode.durable);
        damage(&mut inode.cached);
    }

    /// The content of a file as reads see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        state.names.get(path).map(|inode| state.inodes[*inode].cached.clone())
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
            Self::Unlink(path) => drop(names.remove(path)),
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(data);
        if !data.is_empty() {
            let first = offset / SECTOR;
            self.dirty.push((first, end.div_ceil(SECTOR) - first));
        }
    }

    /// Copies one sector from the cache to the disk.
    fn persist_sector(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cached.len());
        if start < end {
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            self.durable[start..end].copy_from_slice(&self.cached[start..end]);
        }
    }

    fn sync(&mut self) {
        for (first, count) in std::mem::take(&mut self.dirty) {
            for sector in first..first + count {
                self.persist_sector(sector);
            }
        }
        self.durable.resize(self.cached.len(), 0);
    }

    fn crash(&mut self, crash: Crash, coins: &mut Coins) {
        let dirty = std::mem::take(&mut self.dirty);
        let last = dirty.len().saturating_sub(1);
        for (number, (first, count)) in dirty.into_iter().enumerate() {
            let kept = match crash {
                Crash::TearLast(_) if number == last => coins.up_to(count),
                _ => count,
            };
            for sector in first..first + kept {
                let keep = match crash {
                    Crash::LoseAll => false,
                    Crash::KeepAll | Crash::TearLast(_) => true,
                    Crash::Random(_) => coins.toss(),
                };
                if keep {
                    self.persist_sector(sector);
                }
            }
        }
        self.cached = self.durable.clone();
    }
}

impl State {
    /// Counts an operation that changes something, or fails it.
    fn operate(&mut self) -> io::Result<()> {
        if self.halt_after.is_some_and(|halt| self.operations >= halt) {
            return Err(io::Error::other("the simulated process is dead"));
        }
        self.operations += 1;
        Ok(())
    }

    fn take(&mut self, fault: Fault) -> bool {
        self.faults.remove(&fault)
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].cached.len() as u64).sum()
    }

    fn check_room(&self, more: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + more > capacity => Err(enospc()),
            _ => Ok(()),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.operate()?;
        if state.take(Fault::Create) {
            return Err(enospc());
        }
        state.check_room(len)?;
        if state.names.contains_key(path) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, path.display().to_string()));
        }
        let inode = state.inodes.len();
        let zeros = vec![0; len as usize];
        state.inodes.push(Inode { durable: zeros.clone(), cached: zeros, dirty: Vec::new() });
        state.change_name(NameChange::Link(path.to_owned(), inode));
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state.lock();
        let inode = *state.names.get(path).ok_or_else(|| not_found(path))?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        let inode = *state.names.get(from).ok_or_else(|| not_found(from))?;
        // One journal entry on a real file system: both or neither.
        state.names.remove(from);
        state.names.insert(to.to_owned(), inode);
        let unlink = NameChange::Unlink(from.to_owned());
        state.pending_names.push(NameChange::Link(to.to_owned(), inode));
        state.pending_names.push(unlink);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        if !state.names.contains_key(path) {
            return Err(not_found(path));
        }
        state.change_name(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state.lock();
        Ok(state.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state.lock().dirs.insert(dir.to_owned());
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        let pending = std::mem::take(&mut state.pending_names);
        for change in pending {
            let (NameChange::Link(path, _) | NameChange::Unlink(path)) = &change;
            if path.parent() == Some(dir) {
                change.apply(&mut state.durable_names);
            } else {
                state.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        Ok(state.names.contains_key(path) || state.dirs.contains(path))
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        if state.take(Fault::Read) {
            return Err(eio());
        }
        let content = &state.inodes[self.inode].cached;
        let start = offset as usize;
        let Some(bytes) = content.get(start..start + buf.len()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        if state.take(Fault::Write) {
            return Err(eio());
        }
        let grows = (offset + data.len() as u64).saturating_sub(state.inodes[self.inode].cached.len() as u64);
        if grows > 0 {
            state.check_room(grows)?;
        }
        state.inodes[self.inode].write(offset as usize, data);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        if state.take(Fault::Sync) {
            state.inodes[self.inode].dirty.clear();
            return Err(eio());
        }
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().inodes[self.inode].cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        let now = state.inodes[self.inode].cached.len() as u64;
        if len > now {
            state.check_room(len - now)?;
        }
        let inode = &mut state.inodes[self.inode];
        inode.cached.resize(len as usize, 0);
        if len > now {
            let (first, end) = (now as usize / SECTOR, (len as usize).div_ceil(SECTOR));
            inode.dirty.push((first, end - first));
        }
        Ok(())
    }
}
