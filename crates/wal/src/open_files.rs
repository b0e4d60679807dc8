//! The files of sealed segments: opened when they are read, and only a few kept open.
//!
//! A log of many gigabytes has thousands of sealed segments, and a process about a thousand descriptors, which its
//! connections need too. So only the newest segment keeps its file open. The others share the few places here, of which
//! the least recently used one is given up first; opening a file again takes microseconds.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, is_out_of_files};
use crate::limits::OPEN_SEGMENTS_MAX;

/// The open files of a log's sealed segments, by segment id, the most recently used one last.
pub(crate) struct OpenFiles {
    disk: Arc<dyn Disk>,
    open: Mutex<Vec<(u64, Arc<dyn DiskFile>)>>,
}

impl OpenFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::default() }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Returns the file of a segment, which is opened if it is not open, and is then to pass a check.
    pub(crate) fn get(
        &self,
        id: u64,
        path: &Path,
        check: impl Fn(&dyn DiskFile) -> io::Result<()>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.touch(id) {
            return Ok(file);
        }
        // Not under the lock: other readers do not wait for this one's disk.
        let file: Arc<dyn DiskFile> = self.with_descriptor(|disk| disk.open(path))?.into();
        check(&*file)?;
        self.put(id, file.clone());
        Ok(file)
    }

    fn touch(&self, id: u64) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        let place = open.iter().position(|(of, _)| *of == id)?;
        open[place..].rotate_left(1);
        open.last().map(|(_, file)| file.clone())
    }

    /// Takes over a file, and closes the least recently used one if there are too many.
    pub(crate) fn put(&self, id: u64, file: Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        open.retain(|(of, _)| *of != id);
        open.push((id, file));
        let closed = (open.len() > OPEN_SEGMENTS_MAX).then(|| open.remove(0));
        drop(open);
        drop(closed);
    }

    /// Closes the file of a segment that is removed: an open file keeps its space on the disk.
    pub(crate) fn forget(&self, id: u64) {
        self.open.lock().retain(|(of, _)| *of != id);
    }

    /// Does what needs a new descriptor. Where none is left, files here are closed one after the other to make room.
    pub(crate) fn with_descriptor<T>(&self, work: impl Fn(&dyn Disk) -> io::Result<T>) -> io::Result<T> {
        loop {
            match work(&*self.disk) {
                Err(error) if is_out_of_files(&error) && self.close_one() => {}
                result => return result,
            }
        }
    }

    fn close_one(&self) -> bool {
        let mut open = self.open.lock();
        let oldest = (!open.is_empty()).then(|| open.remove(0));
        drop(open);
        oldest.is_some()
    }
}
