//! A disk in memory that crashes, tears and fails on demand.
//!
//! It keeps, for every file, what is on the disk, what is in the cache, and the writes in between that no sync has
//! covered; for the names, the same. A [crash](SimDisk::crash) decides what of that survives: sectors of 512 bytes go
//! to the disk whole, in any order, any subset of them, in any version that they went through; changes of names are
//! journaled, so a prefix of them survives. A [failed sync](Fault::Sync) behaves as on Linux: an error once, pages that
//! count as clean from then on, and data that is gone after a crash.
//!
//! It is deterministic: random choices come from a seed, and nothing depends on time or addresses. The same file serves
//! the tests of this crate, of those built on it, and the simulator of whole clusters.

mod inode;
mod names;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskDir, DiskFile};
use inode::Inode;
use names::Names;

/// What a crash does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// All of it is lost.
    LoseAll,
    /// All of it had reached the disk by itself.
    KeepAll,
    /// Each write of each sector by the toss of a coin, and a prefix of the changes of names.
    Random(u64),
    /// All but the last write of each file, and of that the first sectors, by the toss of a coin how many.
    TearLast(u64),
}

/// A fault to inject, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A read fails with `EIO`.
    Read,
    /// A write fails with `EIO` and writes nothing.
    Write,
    /// A write fails with `ENOSPC` and writes nothing.
    WriteNoSpace,
    /// A sync of a file fails with `EIO`, and the kernel forgets that its pages were dirty: they read as written, no
    /// later sync writes them, and they are gone after a crash of the machine.
    Sync,
    /// A sync of a file succeeds, and nothing has reached the disk: a drive that lies.
    IgnoredSync,
    /// A write goes to the place eight sectors behind the one that was meant.
    MisdirectedWrite,
    /// A sync of a directory fails with `EIO`.
    SyncDir,
    /// The creation of a file fails with `ENOSPC`.
    Create,
    /// The creation or opening of a file or directory fails with `EMFILE`.
    NoDescriptor,
    /// A rename fails with `EIO`.
    Rename,
    /// A removal fails with `EIO`.
    Remove,
}

#[derive(Debug, Clone, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    inodes_made: u64,
    names: Names,
    /// Faults to come, each after so many operations of its kind.
    faults: Vec<(Fault, u64)>,
    /// Operations that change something, counted.
    operations: u64,
    /// Bytes that were read of files, counted.
    bytes_read: u64,
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
    inode: u64,
}

struct SimDir {
    disk: SimDisk,
    path: PathBuf,
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

fn emfile() -> io::Error {
    io::Error::from_raw_os_error(24)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::default(), seed }
    }

    /// A copy: nobody has a file of it open, so what has no name any more is gone.
    fn from_state(mut state: State, seed: u64) -> Self {
        state.inodes.values_mut().for_each(|inode| inode.handles = 0);
        state.collect_garbage();
        Self { state: Arc::new(Mutex::new(state)), seed }
    }

    /// A disk with the same content and the same pending writes, that goes its own way from here.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::from_state(self.state.lock().clone(), self.seed)
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
            Crash::KeepAll | Crash::TearLast(_) => state.names.unsynced(),
            Crash::Random(_) => coins.up_to(state.names.unsynced()),
        };
        state.names.crash(kept);
        let named = state.names.inodes();
        state.inodes.retain(|number, _| named.contains(number));
        for inode in state.inodes.values_mut() {
            inode.crash(crash, &mut coins);
        }
        state.revive();
        Self::from_state(state, self.seed.wrapping_add(1))
    }

    /// What a process finds after it was killed and the machine went on: everything that was written.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut state = self.state.lock().clone();
        state.revive();
        Self::from_state(state, self.seed)
    }

    /// Injects a fault into the next operation of its kind.
    pub fn inject(&self, fault: Fault) {
        self.inject_after(fault, 0);
    }

    /// Injects a fault into an operation of its kind, after so many that succeed.
    pub fn inject_after(&self, fault: Fault, operations: u64) {
        self.state.lock().faults.push((fault, operations));
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

    /// Returns how many bytes were read of files so far.
    pub fn bytes_read(&self) -> u64 {
        self.state.lock().bytes_read
    }

    /// Bounds the bytes of all files together; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Empties the page cache, but for what is dirty: reads see what the disk holds.
    pub fn drop_caches(&self) {
        self.state.lock().inodes.values_mut().for_each(Inode::drop_clean_pages);
    }

    /// Paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().names.files().cloned().collect()
    }

    /// Changes the content of a file behind everybody's back, on the disk and in the cache.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn damage(&self, path: &Path, damage: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let number = state.names.find(path).expect("a file to damage");
        state.inode(number).damage(damage);
    }

    /// Loses a file, durably.
    pub fn lose(&self, path: &Path) {
        self.state.lock().names.lose(path);
    }

    /// The content of a file as reads see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let number = state.names.find(path)?;
        state.inodes.get(&number).map(|inode| inode.content().to_vec())
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

    /// Fails with `error` if the fault is due.
    fn risk(&mut self, fault: Fault, error: fn() -> io::Error) -> io::Result<()> {
        let mut due = None;
        for (place, (kind, operations)) in self.faults.iter_mut().enumerate() {
            if *kind == fault && *operations == 0 {
                due = Some(place);
            } else if *kind == fault {
                *operations -= 1;
            }
        }
        match due {
            None => Ok(()),
            Some(place) => {
                self.faults.remove(place);
                Err(error())
            }
        }
    }

    /// A new process: the faults of the old one are over.
    fn revive(&mut self) {
        self.faults.clear();
        self.halt_after = None;
        self.operations = 0;
    }

    fn inode(&mut self, number: u64) -> &mut Inode {
        self.inodes.get_mut(&number).expect("a file that is named or open has an inode")
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.find(path).ok_or_else(|| not_found(path))
    }

    fn check_room(&self, more: u64) -> io::Result<()> {
        let used = || self.inodes.values().map(|inode| inode.content().len() as u64).sum::<u64>();
        match self.capacity {
            Some(capacity) if more > 0 && used() + more > capacity => Err(enospc()),
            _ => Ok(()),
        }
    }

    /// Forgets files that nobody can reach any more.
    fn collect_garbage(&mut self) {
        let reachable = self.names.inodes();
        self.inodes.retain(|number, inode| inode.handles > 0 || reachable.contains(number));
    }
}

impl SimDisk {
    fn handle(&self, state: &mut State, number: u64) -> Box<dyn DiskFile> {
        state.inode(number).handles += 1;
        Box::new(SimFile { disk: self.clone(), inode: number })
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.operate()?;
        state.risk(Fault::NoDescriptor, emfile)?;
        state.risk(Fault::Create, enospc)?;
        state.check_room(len)?;
        if state.names.find(path).is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, path.display().to_string()));
        }
        state.inodes_made += 1;
        let number = state.inodes_made;
        let mut inode = Inode::default();
        inode.set_len(len as usize);
        state.inodes.insert(number, inode);
        state.names.link(path, number);
        Ok(self.handle(&mut state, number))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.risk(Fault::NoDescriptor, emfile)?;
        let number = state.find(path)?;
        Ok(self.handle(&mut state, number))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        state.risk(Fault::Rename, eio)?;
        if state.names.is_dir(from) {
            if state.names.is_dir(to) && !state.names.list(to).is_empty() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            state.names.rename_dir(from, to);
            return Ok(());
        }
        let number = state.find(from)?;
        state.names.rename(from, to, number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        state.risk(Fault::Remove, eio)?;
        state.find(path)?;
        state.names.unlink(path);
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.operate()?;
        state.risk(Fault::Remove, eio)?;
        if !state.names.is_dir(dir) {
            return Err(not_found(dir));
        }
        state.names.remove_dir(dir);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state.lock();
        Ok(state.names.list(dir))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state.lock().names.make_dirs(dir);
        Ok(())
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn DiskDir>> {
        self.state.lock().risk(Fault::NoDescriptor, emfile)?;
        Ok(Box::new(SimDir { disk: self.clone(), path: dir.to_owned() }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        Ok(state.names.find(path).is_some() || state.names.is_dir(path))
    }
}

impl DiskDir for SimDir {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        state.risk(Fault::SyncDir, eio)?;
        state.names.sync_dir(&self.path);
        state.collect_garbage();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.risk(Fault::Read, eio)?;
        let content = state.inode(self.inode).content();
        let start = offset as usize;
        let bytes = content.get(start..start + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        state.bytes_read += buf.len() as u64;
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        state.risk(Fault::Write, eio)?;
        state.risk(Fault::WriteNoSpace, enospc)?;
        let misdirected = state.risk(Fault::MisdirectedWrite, eio).is_err();
        let offset = if misdirected { offset + 8 * 512 } else { offset };
        let length = state.inode(self.inode).content().len() as u64;
        state.check_room((offset + data.len() as u64).saturating_sub(length))?;
        state.inode(self.inode).write(offset as usize, data);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        if let Err(error) = state.risk(Fault::Sync, eio) {
            state.inode(self.inode).fail_sync();
            return Err(error);
        }
        if state.risk(Fault::IgnoredSync, eio).is_err() {
            state.inode(self.inode).fail_sync();
        }
        state.inode(self.inode).sync();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().inode(self.inode).content().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.operate()?;
        let length = state.inode(self.inode).content().len() as u64;
        state.check_room(len.saturating_sub(length))?;
        state.inode(self.inode).set_len(len as usize);
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        state.inode(self.inode).handles -= 1;
        state.collect_garbage();
    }
}
