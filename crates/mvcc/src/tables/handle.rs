//! The handle of the database file, open or closed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::Database;

/// A database that may be open. Clones are the same: it is closed for all of them, or when the last one goes. redb lets nobody
/// read any more whose database is closed, so those who read hold on to it with a clone, also when its file has lost its name.
#[derive(Clone, Default)]
pub(super) struct Handle(Arc<Slot>);

#[derive(Default)]
struct Slot(RwLock<Option<Database>>);

impl Handle {
    pub(super) fn of(database: Database) -> Self {
        Self(Arc::new(Slot(RwLock::new(Some(database)))))
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.0.read().is_some()
    }

    /// Returns the database, or `None` while it is closed.
    pub(super) fn get(&self) -> Option<MappedRwLockReadGuard<'_, Database>> {
        RwLockReadGuard::try_map(self.0.0.read(), Option::as_ref).ok()
    }

    /// Returns the database to change it, or `None` while it is closed.
    pub(super) fn get_mut(&self) -> Option<MappedRwLockWriteGuard<'_, Database>> {
        RwLockWriteGuard::try_map(self.0.0.write(), Option::as_mut).ok()
    }

    /// Closes the database for everybody.
    pub(super) fn close(&self) {
        close(self.0.0.write().take());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        close(self.0.get_mut().take());
    }
}

/// Closes a database. redb commits once more here, its lists of free pages, and panics where those of the file are damaged.
/// Nothing is lost by leaving that commit out: the next opening computes the lists from the tables.
fn close(database: Option<Database>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
}
