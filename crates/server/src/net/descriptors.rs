//! File descriptors: how many there may be, and how many of them clients get.
//!
//! A process that has none left cannot open the next file of its log or store. So the limit is raised as far as it goes
//! when the process starts, as Go does, and a part of it is never given to connections of clients: those beyond are closed
//! at once. etcd lets them wait instead, which a client cannot tell from a server that hangs. A connection whose TLS handshake
//! is under way is nobody's yet: those of clients have a part of their own, beside the connections that are served, and
//! those of members take half of what is kept back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{RESERVED_DESCRIPTORS_MAX, RESERVED_DESCRIPTORS_PART, TLS_HANDSHAKES_MAX};

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

/// How the descriptors are dealt out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Connections of clients that are served, where clients may have to make TLS handshakes.
    clients_with_tls: u64,
    /// The same where they have none to make.
    clients: u64,
    /// TLS handshakes of clients that are under way.
    pub(crate) client_handshakes: u64,
    /// TLS handshakes of members that are under way.
    pub(crate) member_handshakes: u64,
}

impl Shares {
    /// Returns the shares under the limit that the process has now.
    pub(crate) fn of_process() -> Self {
        Self::under(getrlimit(Resource::Nofile).current)
    }

    fn under(limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let reserved = (limit / RESERVED_DESCRIPTORS_PART).min(RESERVED_DESCRIPTORS_MAX);
        let clients = limit - reserved;
        let client_handshakes = (limit / RESERVED_DESCRIPTORS_PART).min(TLS_HANDSHAKES_MAX);
        let member_handshakes = (reserved / 2).min(TLS_HANDSHAKES_MAX);
        let clients_with_tls = clients - client_handshakes;
        Self { clients_with_tls, clients, client_handshakes, member_handshakes }
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
    pub(crate) fn of_process(has_tls: bool) -> Arc<Self> {
        let shares = Shares::of_process();
        Self::new(if has_tls { shares.clients_with_tls } else { shares.clients })
    }

    fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicU64::new(0), is_full: AtomicBool::new(false) })
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
    fn a_part_of_the_limit_is_kept_back_with_handshakes_and_without() {
        for (limit, clients, with_tls, client_handshakes, member_handshakes) in [
            (Some(1024), 768, 512, 256, 128),
            (Some(100), 75, 50, 25, 12),
            (Some(1 << 20), (1 << 20) - 1024, (1 << 20) - 2048, 1024, 512),
            (Some(0), 0, 0, 0, 0),
            (None, u64::MAX - 1024, u64::MAX - 2048, 1024, 512),
        ] {
            let expected =
                Shares { clients_with_tls: with_tls, clients, client_handshakes, member_handshakes };
            assert_eq!(Shares::under(limit), expected, "{limit:?}");
        }
    }

    #[test]
    fn a_place_is_free_again_when_it_is_given_back() {
        let places = Places::new(3);
        let taken: Vec<Place> = (0..3).map(|_| places.take().expect("there are three")).collect();
        assert!(places.take().is_none() && places.take().is_none());
        drop(taken);
        assert!(places.take().is_some());
    }
}
