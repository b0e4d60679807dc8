//! The state of users and roles, for everybody but the apply thread.
//!
//! A read runs beside the apply thread. It notes the [`Generation`], asks the state, reads, and
//! looks whether the generation is still the same; if not, what it read may have been written when
//! its caller was not permitted to see it any longer, and it starts over. For this the apply thread
//! publishes a state before it applies the command after the one that made it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use machine::auth::AuthState;
use parking_lot::RwLock;

use crate::limits::READ_ATTEMPTS_MAX;

/// Which state was seen. Counts what was published, and says whether permissions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    const ENABLED: u64 = 1;
    const STEP: u64 = 2;

    /// Returns whether permissions are checked in this state.
    pub fn is_enabled(self) -> bool {
        self.0 & Self::ENABLED != 0
    }

    fn next(self, state: &AuthState) -> Self {
        let count = (self.0 & !Self::ENABLED) + Self::STEP;
        Self(count | u64::from(state.is_enabled()))
    }
}

/// The state that was published last.
#[derive(Debug)]
pub struct Published {
    /// The generation of `state`, or of the one before: it is written after the state. So a reader
    /// that saw a generation and takes the state then has this state or a newer one.
    generation: AtomicU64,
    state: RwLock<Arc<AuthState>>,
}

impl Published {
    pub(crate) fn new(state: Arc<AuthState>) -> Self {
        let generation = AtomicU64::new(Generation(0).next(&state).0);
        Self { generation, state: RwLock::new(state) }
    }

    /// Publishes a state. Only the apply thread does.
    pub(crate) fn publish(&self, state: Arc<AuthState>) {
        let next = self.generation().next(&state);
        *self.state.write() = state;
        self.generation.store(next.0, Ordering::Release);
    }

    /// Returns which state is published. One load, for every request.
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Returns the state.
    pub fn state(&self) -> Arc<AuthState> {
        self.state.read().clone()
    }

    /// Begins a read that counts only if no other state came while it was made: then it is made again, a few times.
    pub fn attempts(&self) -> Attempts<'_> {
        Attempts { published: self, left: READ_ATTEMPTS_MAX, seen: self.generation() }
    }
}

/// The attempts of a read.
pub struct Attempts<'p> {
    published: &'p Published,
    left: usize,
    /// What was published when the attempt began.
    seen: Generation,
}

impl Attempts<'_> {
    /// Begins an attempt. Returns what is published; `None` after too many.
    pub fn begin(&mut self) -> Option<Generation> {
        self.left = self.left.checked_sub(1)?;
        self.seen = self.published.generation();
        Some(self.seen)
    }

    /// Returns whether what was published is so still, so that the attempt counts.
    pub fn counts(&self) -> bool {
        self.published.generation() == self.seen
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use machine::Machine;
    use mvcc::{Options, Store};
    use wal::SimDisk;

    use super::*;
    use crate::handles::Handles;
    use crate::watch::bounds::Bounds;
    use crate::watch::hub::Hub;
    use crate::wire::Header;

    fn published() -> Published {
        let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
        let store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap();
        Published::new(Machine::open(store).unwrap().auth())
    }

    /// The number of the attempt that counts, if a state comes during each of the first ones.
    fn counting(disturbed: usize) -> Option<usize> {
        let published = published();
        let mut attempts = published.attempts();
        for number in 1.. {
            assert_eq!(attempts.begin()?, published.generation());
            if number <= disturbed {
                published.publish(published.state());
            }
            if attempts.counts() {
                return Some(number);
            }
        }
        unreachable!("attempts come to an end")
    }

    /// Rule V6: the hub looks at all watchers when a state comes, but at none that joins them later.
    #[test]
    fn a_watch_that_was_permitted_in_the_state_before_does_not_join_the_others() {
        let published = published();
        let mut hub =
            Hub::new(Header::default(), 0, Bounds::new(1 << 20), Handles::for_tests(1).0.watch_queues);
        hub.renew_permissions(&published);
        let seen = published.generation();
        assert!(hub.is_permitted_in(seen));
        published.publish(published.state());
        assert!(hub.is_permitted_in(seen), "it has not looked yet");
        hub.renew_permissions(&published);
        assert!(!hub.is_permitted_in(seen) && hub.is_permitted_in(published.generation()));
    }

    #[test]
    fn what_was_read_while_another_state_came_does_not_count() {
        assert_eq!(counting(0), Some(1));
        assert_eq!(counting(1), Some(2));
        assert_eq!(counting(READ_ATTEMPTS_MAX - 1), Some(READ_ATTEMPTS_MAX));
        assert_eq!(counting(READ_ATTEMPTS_MAX), None);
    }
}
