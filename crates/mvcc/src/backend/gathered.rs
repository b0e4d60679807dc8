//! redb's storage while a database is filled: pages are gathered, and written in the order of their places, many at once.
//!
//! redb hands over one page of 4 KiB after the other, in an order of its own. A system call for each is half of the time that filling takes.

use std::collections::BTreeMap;
use std::io;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::Backend;

/// Bytes that are gathered.
const GATHERED_BYTES_MAX: usize = 8 << 20;

/// Most bytes of one write.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// A [`Backend`] whose writes reach the file when there are many of them, when one of them is read, and before each sync.
#[derive(Debug)]
pub(crate) struct Gathered {
    backend: Backend,
    pending: Mutex<Pending>,
}

/// What is not written yet.
#[derive(Debug, Default)]
struct Pending {
    /// The contents, one behind the other.
    bytes: Vec<u8>,
    /// By their place in the file: where they are in `bytes`, and their length. None overlaps another.
    places: BTreeMap<u64, (usize, usize)>,
    /// What is written at once is put together here.
    run: Vec<u8>,
}

impl Gathered {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, pending: Mutex::default() }
    }
}

impl StorageBackend for Gathered {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut pending = self.pending.lock();
        if pending.overlaps(offset, out.len()) {
            pending.write(&self.backend)?;
        }
        drop(pending);
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pending.lock().write(&self.backend)?;
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.pending.lock().write(&self.backend)?;
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut pending = self.pending.lock();
        if pending.replace(offset, data) {
            return Ok(());
        }
        if pending.overlaps(offset, data.len()) || pending.bytes.len() + data.len() > GATHERED_BYTES_MAX {
            pending.write(&self.backend)?;
        }
        pending.add(offset, data);
        Ok(())
    }
}

impl Pending {
    /// Whether something of this part of the file is not written yet.
    fn overlaps(&self, offset: u64, len: usize) -> bool {
        let before = self.places.range(..offset + len as u64).next_back();
        before.is_some_and(|(start, (_, len))| start + *len as u64 > offset)
    }

    /// Takes data in the place of data as long. Returns whether there was such.
    fn replace(&mut self, offset: u64, data: &[u8]) -> bool {
        match self.places.get(&offset) {
            Some(&(at, len)) if len == data.len() => {
                self.bytes[at..at + len].copy_from_slice(data);
                true
            }
            _ => false,
        }
    }

    fn add(&mut self, offset: u64, data: &[u8]) {
        self.places.insert(offset, (self.bytes.len(), data.len()));
        self.bytes.extend_from_slice(data);
    }

    /// Writes all of it. What could not be written stays, and so does what is behind it.
    fn write(&mut self, backend: &Backend) -> io::Result<()> {
        let Self { bytes, places, run } = self;
        let mut start = 0;
        run.clear();
        for (&offset, &(at, len)) in places.iter() {
            let is_next = offset == start + run.len() as u64;
            if !run.is_empty() && (!is_next || run.len() + len > WRITE_BYTES_MAX) {
                backend.write(start, run)?;
                run.clear();
            }
            if run.is_empty() {
                start = offset;
            }
            run.extend_from_slice(&bytes[at..at + len]);
        }
        if !run.is_empty() {
            backend.write(start, run)?;
        }
        places.clear();
        bytes.clear();
        Ok(())
    }
}

impl Drop for Gathered {
    /// What was not synced counts for nothing, and is written all the same: as if it had never been gathered.
    fn drop(&mut self) {
        let _ = self.pending.lock().write(&self.backend);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use wal::{Disk, SimDisk};

    use super::*;
    use crate::backend::Health;

    /// A small generator of numbers: the test must be the same each time.
    fn next(state: &mut u64) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize
    }

    #[test]
    fn what_is_read_is_what_was_written_last_and_a_sync_writes_all_of_it() {
        const FILE: usize = 1 << 16;
        let disk = SimDisk::new(1);
        let path = Path::new("/file");
        let file = disk.create(path, FILE as u64).unwrap();
        let gathered = Gathered::new(Backend::new(file, Arc::new(Health::default())));
        let mut expected = vec![0; FILE];
        let mut state = 7;
        for number in 0..2_000_usize {
            let len = 512 << (next(&mut state) % 4);
            let offset = next(&mut state) % (FILE / len) * len;
            if next(&mut state).is_multiple_of(8) {
                let mut found = vec![0; len];
                gathered.read(offset as u64, &mut found).unwrap();
                assert_eq!(found, expected[offset..offset + len], "after {number}");
            }
            let data = vec![number as u8; len];
            gathered.write(offset as u64, &data).unwrap();
            expected[offset..offset + len].copy_from_slice(&data);
        }
        gathered.sync_data().unwrap();
        let mut found = vec![0; FILE];
        disk.open(path).unwrap().read_at(0, &mut found).unwrap();
        assert!(found == expected);
    }
}
