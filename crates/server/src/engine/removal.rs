//! The word that this member was removed from its cluster: it has no business there any more, and stops.
//!
//! It comes from the log, when the member applies its own removal, or from another member that does not talk to it for
//! this reason, if it was away when it was removed. In the first case it stays a moment, as in etcd: it may be the leader,
//! whose followers have yet to hear that the change is committed.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long the member stays after it has applied its removal.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether and when the member has to stop.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    stop_at: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Removal {
    /// The member has applied its removal.
    pub(crate) fn applied(&self) {
        self.set(Instant::now() + FAREWELL);
    }

    /// Another member says so.
    pub(crate) fn told(&self) {
        self.set(Instant::now());
    }

    fn set(&self, when: Instant) {
        let mut stop_at = self.stop_at.lock();
        *stop_at = Some(stop_at.map_or(when, |before| before.min(when)));
        self.changed.notify_all();
    }

    /// Whether the word has come.
    pub(crate) fn is_known(&self) -> bool {
        self.stop_at.lock().is_some()
    }

    /// Returns when the member has to stop; for most members never.
    pub(crate) fn wait(&self) {
        let mut stop_at = self.stop_at.lock();
        loop {
            match *stop_at {
                None => self.changed.wait(&mut stop_at),
                Some(when) if when <= Instant::now() => return,
                Some(when) => drop(self.changed.wait_until(&mut stop_at, when)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_another_member_says_cuts_the_farewell_short() {
        let removal = Arc::new(Removal::default());
        assert!(!removal.is_known());
        let waiting = {
            let removal = removal.clone();
            std::thread::spawn(move || removal.wait())
        };
        removal.applied();
        removal.told();
        removal.applied();
        waiting.join().unwrap();
        assert!(removal.stop_at.lock().is_some_and(|when| when <= Instant::now()));
    }
}
