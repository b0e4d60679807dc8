//! The handle of the database file, open or closed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::Database;

/// A database that may be open. It is closed when this is dropped.
#[derive(Default)]
pub(super) struct Handle(Option<Database>);

impl Handle {
    pub(super) fn of(database: Database) -> Self {
        Self(Some(database))
    }

    /// Returns the database, or `None` while it is closed.
    pub(super) fn get(&self) -> Option<&Database> {
        self.0.as_ref()
    }

    /// Returns the database to change it, or `None` while it is closed.
    pub(super) fn get_mut(&mut self) -> Option<&mut Database> {
        self.0.as_mut()
    }

    /// Closes the database. redb commits once more here, its lists of free pages, and panics where those of the file are
    /// damaged. Nothing is lost by leaving that commit out: the next opening computes the lists from the tables.
    pub(super) fn close(&mut self) {
        let database = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
