//! File descriptors: how many there may be, and how many of them clients get.
//!
//! A process that has none left cannot open the next file of its log or store. So the limit is raised as far as it goes
//! when the process starts, as Go does, and a part of it is never given to connections of clients: those beyond are closed
//! at once. etcd lets them wait instead, which a client cannot tell from a server that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{RESERVED_DESCRIPTORS_MAX, RESERVED_DESCRIPTORS_PART};

/// Raises the soft limit on open files to the hard one.
pub fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }) {
        tracing::warn!(error = %error, "cannot raise the limit on open files");
    }
}

/// The places that there are for connections of clients.
#[derive(Debug)]
pub(crate) struct Places {
    max: u64,
    taken: AtomicU64,
    /// Whether the last connection was refused: the log has the first of a row.
    is_full: AtomicBool,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    /// The places under the limit that the process has now.
    pub(crate) fn of_process() -> Arc<Self> {
        Self::under(getrlimit(Resource::Nofile).current)
    }

    fn under(limit: Option<u64>) -> Arc<Self> {
        let limit = limit.unwrap_or(u64::MAX);
        let reserved = (limit / RESERVED_DESCRIPTORS_PART).min(RESERVED_DESCRIPTORS_MAX);
        Arc::new(Self { max: limit - reserved, taken: AtomicU64::new(0), is_full: AtomicBool::new(false) })
    }

    /// Returns a place, if one is left.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        // Made first: if there are too many, dropping it gives it back.
        let place = Place(self.clone());
        let is_left = self.taken.fetch_add(1, Ordering::Relaxed) < self.max;
        let was_full = self.is_full.swap(!is_left, Ordering::Relaxed);
        if !is_left && !was_full {
            tracing::warn!(max = self.max, "refusing connections: file descriptors for clients are used up");
        }
        is_left.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_limit_is_kept_back() {
        for (limit, max) in
            [(Some(1024), 768), (Some(100), 75), (Some(1 << 20), (1 << 20) - 1024), (Some(0), 0)]
        {
            assert_eq!(Places::under(limit).max, max, "{limit:?}");
        }
        assert!(Places::under(None).take().is_some());
    }

    #[test]
    fn a_place_is_free_again_when_it_is_given_back() {
        let places = Places::under(Some(3));
        let taken: Vec<Place> = (0..3).map(|_| places.take().expect("a quarter of 3 is none")).collect();
        assert!(places.take().is_none() && places.take().is_none());
        drop(taken);
        assert!(places.take().is_some());
    }
}
