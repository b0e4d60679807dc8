//! Where an archive lies: a directory, or a bucket of an S3-compatible store.
//!
//! A store holds objects by name, in directories of one level. An object appears as a whole, when
//! its upload is finished, or not at all.

mod address;
mod credentials;
mod directory;
mod http;
mod s3;
mod tls;

use std::io::Read;
use std::time::Duration;

use tokio::sync::watch;

pub use self::address::{Address, AddressError};
pub use self::credentials::Credentials;
pub use self::directory::Directory;
pub use self::s3::{Options as S3Options, S3};
use crate::StoreError;

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, without its directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// A place for objects. All calls block, each for a bounded time.
pub trait Store {
    /// What to call it in a message.
    fn place(&self) -> String;

    /// Returns the names of the directories.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn directories(&self) -> Result<Vec<String>, StoreError>;

    /// Returns the objects of a directory, in any order; none if there is no such directory.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn list(&self, directory: &str) -> Result<Vec<Listed>, StoreError>;

    /// Begins to write an object of about so many bytes.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn begin<'s>(
        &'s self,
        directory: &str,
        name: &str,
        bytes: u64,
    ) -> Result<Box<dyn Upload + 's>, StoreError>;

    /// Begins to read an object. What its reader returns as an error is a [`StoreError`] within.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and others.
    fn read<'s>(&'s self, directory: &str, name: &str) -> Result<Box<dyn Read + 's>, StoreError>;

    /// Deletes an object, if there is one.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn delete(&self, directory: &str, name: &str) -> Result<(), StoreError>;

    /// Removes what uploads have left that ended longer ago than this without being finished.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn sweep(&self, directory: &str, age: Duration) -> Result<(), StoreError>;
}

/// An object that is being written. Dropped before it is finished, it leaves nothing.
pub trait Upload {
    /// Writes the next bytes.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes the object appear, durable.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// Writes an object that is in memory.
///
/// # Errors
/// See [`StoreError`].
pub fn put(store: &dyn Store, directory: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let mut upload = store.begin(directory, name, bytes.len() as u64)?;
    upload.write(bytes)?;
    upload.finish()
}

/// Whether calls are to end early.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns one that never says so, until somebody sends `true`.
    #[must_use]
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (send, receive) = watch::channel(false);
        (send, Self(receive))
    }

    /// Returns one that never says so.
    #[must_use]
    pub fn never() -> Self {
        Self::new().1
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns an error if it was said.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.is_asked() { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Returns when it is said.
    pub(crate) async fn asked(&self) {
        let mut said = self.0.clone();
        if said.wait_for(|stop| *stop).await.is_err() {
            // Nobody is left who could say it.
            std::future::pending::<()>().await;
        }
    }
}
