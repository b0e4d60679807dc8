//! Giving back what the database does not use, while the store is in use.
//!
//! redb uses the pages again that deletes have freed, and gives back only what lies free at the end of its file. To move pages
//! it wants to be alone. So the database is written anew beside itself ([`tables::rewrite`](crate::tables)):
//!
//! ```text
//!  keys of the last checkpoint ──► copy ◄── changes of the checkpoints since, from the history
//!                                   │  (between two checkpoints) rows, mark, the database's name
//!                                   ▼
//!                                current.redb
//! ```
//!
//! Readers, writers and checkpoints go on meanwhile; at the end a checkpoint waits for as long as it takes to write the last
//! changes, and nobody else waits at all. Readers that are in the middle of something read on in the old file, whose space the
//! file system gives back after them. What it takes is the space of the live data once more.
//!
//! A crash leaves the old database or the new one: both are of the same checkpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::checkpoint::{Background, Mark, Sizes};
use crate::scanner::Scanner;
use crate::shared::{Hold, Inner};
use crate::tables::{Copy, Filling, Snapshot};
use crate::{Error, ReadError, Shrunk, Store};

/// How often the changes of new checkpoints are followed before one has to wait for the rest.
const ROUNDS_MAX: usize = 8;

/// The database of a store, to be written anew: [`run`](Self::run) it on any thread, one at a time.
#[must_use = "nothing is written before it is run"]
pub struct RewriteJob {
    inner: Arc<Inner>,
    background: Arc<Mutex<Background>>,
    sizes: Arc<Sizes>,
}

/// Why a database was not written anew. But for [`Error::Closed`] nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Its caller wanted no more of it.
    #[error("it was given up")]
    GivenUp,
    /// The store was emptied meanwhile.
    #[error("the store was emptied meanwhile")]
    Emptied,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Store(error),
            // What is held on to is neither compacted nor in the future.
            ReadError::Compacted(_) | ReadError::Future(_) | ReadError::GivenUp => Self::Emptied,
        }
    }
}

impl Store {
    /// Returns the job that gives back what the database does not use. It does no harm to drop it.
    pub fn rewrite(&self) -> RewriteJob {
        RewriteJob {
            inner: self.stored_inner().clone(),
            background: self.background().clone(),
            sizes: self.sizes().clone(),
        }
    }
}

impl RewriteJob {
    /// Writes the database anew, as long as `goes_on` says so. Blocks on the disk for as long as that takes. Returns the file's
    /// length before and after.
    ///
    /// # Errors
    /// Without space, or with a damaged value, everything stays as it was. If the new database could not get its name, the next
    /// checkpoint fails and says that the store is closed.
    pub fn run(&self, goes_on: &dyn Fn() -> bool) -> Result<Shrunk, RewriteError> {
        let place = self.background.lock().tables.place();
        let result = self.copy(goes_on).and_then(|(copy, done, hold)| self.put_in_place(copy, done, &hold));
        if result.is_err() {
            place.clear();
        }
        result
    }

    /// Copies the last checkpoint and what comes after it, until little is left. Returns the copy, through which revision it goes,
    /// and what keeps the history from there on.
    fn copy(&self, goes_on: &dyn Fn() -> bool) -> Result<(Copy, i64, Hold), RewriteError> {
        let place = self.background.lock().tables.place();
        let (snapshot, mut done, hold) = self.begin()?;
        let mut filling = Filling::begin(&place, &snapshot)?;
        while self.inner.damage.noting(filling.step())? {
            if !goes_on() {
                return Err(RewriteError::GivenUp);
            }
        }
        drop(snapshot);
        let mut copy = filling.finish()?;
        // Each time there is less left, unless checkpoints are made faster than this follows them.
        for _ in 0..ROUNDS_MAX {
            let stored = self.inner.shared.read().stored;
            if stored == done {
                break;
            }
            self.follow(&mut copy, done, stored, &hold, goes_on)?;
            done = stored;
        }
        Ok((copy, done, hold))
    }

    fn begin(&self) -> Result<(Arc<Snapshot>, i64, Hold), Error> {
        let shared = self.inner.shared.read();
        let snapshot = shared.snapshot.clone();
        let Ok(Some(mark)) = Mark::decode(snapshot.mark()) else {
            return Err(snapshot.corrupt("its mark does not match its checksum".to_owned()));
        };
        let hold = shared.hold(&self.inner, mark.revision);
        Ok((snapshot, mark.revision, hold))
    }

    /// Follows the changes after a revision, up to another.
    fn follow(
        &self,
        copy: &mut Copy,
        after: i64,
        through: i64,
        hold: &Hold,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), RewriteError> {
        let mut changes = Scanner::held(after + 1, through, hold);
        while let Some(batch) = changes.next_batch(&self.inner)? {
            copy.follow(&batch)?;
            if !goes_on() {
                return Err(RewriteError::GivenUp);
            }
        }
        Ok(())
    }

    /// Puts the copy in the place of the database, between two checkpoints.
    fn put_in_place(&self, mut copy: Copy, done: i64, hold: &Hold) -> Result<Shrunk, RewriteError> {
        let background = &mut *self.background.lock();
        if background.is_closed {
            return Err(Error::Closed.into());
        }
        if self.inner.history_end.get().is_some() {
            return Err(RewriteError::Emptied);
        }
        let Ok(Some(mark)) = Mark::decode(&background.tables.mark()?) else {
            return Err(background.tables.corrupt("its mark does not match its checksum").into());
        };
        self.follow(&mut copy, done, mark.revision, hold, &|| true)?;
        copy.complete(&background.tables, &mark)?;
        copy.close()?;
        let before = background.tables.file_bytes();
        // From here on a checkpoint must not be written before it is known which file has the name.
        background.is_closed = true;
        copy.replace(&mut background.tables)?;
        background.is_closed = false;
        background.tables.reopen()?;
        let snapshot = Arc::new(background.tables.snapshot()?);
        let old = std::mem::replace(&mut self.inner.shared.write().snapshot, snapshot);
        drop(old);
        let after = background.tables.file_bytes();
        self.sizes.database.store(after as i64, Ordering::Relaxed);
        Ok(Shrunk { before, after })
    }
}
