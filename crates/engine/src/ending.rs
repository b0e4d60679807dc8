//! The word that this member has to end, other than by a signal.
//!
//! *It was removed from its cluster.* It comes from the log, when the member applies its own removal, or from another member
//! that does not talk to it for this reason, if it was away when it was removed. In the first case it stays a moment, as in
//! etcd: it may be the leader, whose followers have yet to hear that the change is committed.
//!
//! *It starts over*, because what it holds is not what the others hold (rule A6).

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How long the member stays after it has applied its removal.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a member ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its cluster has no place for it any more.
    Removed,
    /// Log and store are to be thrown away and fetched from the others.
    StartsOver,
    /// It was stopped.
    Stopped,
}

/// Whether, why and when the member has to end.
#[derive(Debug, Default)]
pub struct Word {
    word: Mutex<Option<(Ending, Instant)>>,
    changed: Condvar,
}

impl Word {
    /// The member has applied its removal.
    pub fn removal_applied(&self) {
        self.set(Ending::Removed, Instant::now() + FAREWELL);
    }

    /// Another member says that it was removed.
    pub fn removal_told(&self) {
        self.set(Ending::Removed, Instant::now());
    }

    /// The member cannot trust its state.
    pub fn start_over(&self) {
        self.set(Ending::StartsOver, Instant::now());
    }

    /// The member is being stopped.
    pub fn stopped(&self) {
        self.set(Ending::Stopped, Instant::now());
    }

    /// The first reason counts, the earliest time too; that it is removed is the last word.
    fn set(&self, why: Ending, when: Instant) {
        let mut word = self.word.lock();
        *word = Some(match *word {
            Some((before, at)) if why != Ending::Removed => (before, at.min(when)),
            Some((_, at)) => (why, at.min(when)),
            None => (why, when),
        });
        self.changed.notify_all();
    }

    /// The word, if it has come.
    pub fn known(&self) -> Option<Ending> {
        self.word.lock().map(|(why, _)| why)
    }

    /// Returns when the member has to end.
    pub fn wait(&self) -> Ending {
        let mut word = self.word.lock();
        loop {
            match *word {
                None => self.changed.wait(&mut word),
                Some((why, when)) if when <= Instant::now() => return why,
                Some((_, when)) => drop(self.changed.wait_until(&mut word, when)),
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
        let word = Arc::new(Word::default());
        assert_eq!(word.known(), None);
        let waiting = {
            let word = word.clone();
            std::thread::spawn(move || word.wait())
        };
        word.removal_applied();
        word.removal_told();
        word.removal_applied();
        assert_eq!(waiting.join().unwrap(), Ending::Removed);
        assert!(word.word.lock().is_some_and(|(_, when)| when <= Instant::now()));
    }

    #[test]
    fn who_is_removed_does_not_start_over() {
        let word = Word::default();
        word.start_over();
        word.stopped();
        assert_eq!(word.wait(), Ending::StartsOver);
        word.removal_told();
        assert_eq!(word.wait(), Ending::Removed);
    }
}
