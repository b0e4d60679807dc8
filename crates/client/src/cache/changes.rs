//! What changes in a cache.
//!
//! There is no queue of events. Whoever listens has the view that was reported last, and gets what differs in the present
//! one. A slow listener costs no more memory than what has changed, is never too late, and a cache that was read again after
//! a compaction needs no other way.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::fill::State;
use super::view::{Change, View};
use crate::error::Error;
use crate::number::Revision;

/// The changes of a cache, as they come. Each key that differs from what was reported before is reported; what it was in
/// between, if it was changed several times while nobody asked, is not.
#[derive(Debug)]
pub struct Changes {
    state: watch::Receiver<State>,
    seen: View,
}

impl Changes {
    pub(super) fn new(state: watch::Receiver<State>, seen: View) -> Changes {
        Changes { state, seen }
    }

    /// Waits for changes. Returns them in the order of their keys, and the revision up to which they are complete. It is
    /// well if the caller stops waiting, and calls it again.
    ///
    /// # Errors
    /// [`Error::Closed`] when the cache was dropped.
    pub async fn next(&mut self) -> Result<(Revision, Vec<Change>), Error> {
        loop {
            let view = self.state.borrow_and_update().view.clone();
            let changes = view.changes_since(&self.seen);
            self.seen = view;
            if !changes.is_empty() {
                return Ok((self.seen.revision(), changes));
            }
            self.state.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Returns what the cache contained when changes were last reported.
    pub fn view(&self) -> &View {
        &self.seen
    }
}

/// A function that is called with each change. Dropping this ends it.
#[derive(Debug)]
#[must_use = "the calls end when this is dropped"]
pub struct Subscription {
    task: JoinHandle<()>,
}

impl Subscription {
    pub(super) fn new(
        mut changes: Changes,
        mut callback: impl FnMut(Revision, Change) + Send + 'static,
    ) -> Subscription {
        let task = tokio::spawn(async move {
            while let Ok((revision, batch)) = changes.next().await {
                batch.into_iter().for_each(|change| callback(revision, change));
            }
        });
        Subscription { task }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}
