//! What clients have waiting in memory, bounded for the process as a whole: the oldest is given up first.
//!
//! A client decides how much there is of it: it sends most of a message and then nothing, or asks for a large reply and
//! does not read it, on as many streams as it likes. There is no time that would be too long for it, as networks are
//! slow. But what waits longest is most likely what nobody is waiting for, and it makes room for everybody else's. (TLS
//! handshakes do the same.)

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::metrics::Metrics;
use crate::metrics::memory::Share;

/// Somebody who has something waiting.
pub(crate) trait Waiting: Send + Sync {
    /// Lets go of it, soon. Called by whoever needs the room.
    fn give_up(&self);
}

/// Everything of a kind that waits.
pub(crate) struct Backlog {
    bytes_max: usize,
    /// Where it is counted that somebody was given up.
    excess: Option<(Arc<Metrics>, Share)>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    bytes: usize,
    last_number: u64,
    oldest_first: BTreeMap<u64, Held>,
}

struct Held {
    bytes: usize,
    by: Arc<dyn Waiting>,
}

/// A place in a backlog, until it is dropped.
pub(crate) struct Place {
    backlog: Arc<Backlog>,
    number: u64,
}

impl Backlog {
    /// Returns a backlog of at most so many bytes, apart from what came last.
    #[cfg(test)]
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, excess: None, places: Mutex::default() })
    }

    /// Returns a backlog that may have a share of the memory, of so many bytes.
    pub(crate) fn within(share: Share, bytes_max: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bytes_max, excess: Some((metrics.clone(), share)), places: Mutex::default() })
    }

    fn give_up(&self, given_up: &[Held]) {
        if let Some((metrics, share)) = &self.excess {
            metrics.memory.exceeded(*share).add(given_up.len() as u64);
        }
        given_up.iter().for_each(|held| held.by.give_up());
    }

    /// Returns as how many bytes so many count: what is longer than all there is room for makes no room by taking everybody
    /// else's, but leaves an eighth for what is short.
    fn counted(&self, bytes: usize) -> usize {
        bytes.min(self.bytes_max - self.bytes_max / 8)
    }

    /// Counts bytes that somebody has waiting from now on.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize, by: Arc<dyn Waiting>) -> Place {
        let bytes = self.counted(bytes);
        let mut places = self.places.lock();
        places.last_number += 1;
        let number = places.last_number;
        places.bytes += bytes;
        places.oldest_first.insert(number, Held { bytes, by });
        let given_up = places.make_room(self.bytes_max, number);
        drop(places);
        self.give_up(&given_up);
        Place { backlog: self.clone(), number }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.places.lock().bytes
    }
}

impl Places {
    /// Takes out the oldest until the rest is not too much, but never the one that needs the room.
    fn make_room(&mut self, bytes_max: usize, needed_by: u64) -> Vec<Held> {
        let mut given_up = Vec::new();
        while self.bytes > bytes_max {
            let oldest = self.oldest_first.keys().find(|number| **number != needed_by).copied();
            let Some(held) = oldest.and_then(|number| self.oldest_first.remove(&number)) else { break };
            self.bytes -= held.bytes;
            given_up.push(held);
        }
        given_up
    }
}

impl Place {
    /// Notes how many bytes wait now.
    pub(crate) fn is_now(&self, bytes: usize) {
        let bytes = self.backlog.counted(bytes);
        let mut places = self.backlog.places.lock();
        let Some(held) = places.oldest_first.get_mut(&self.number) else { return };
        let before = std::mem::replace(&mut held.bytes, bytes);
        places.bytes = places.bytes - before + bytes;
        let given_up = places.make_room(self.backlog.bytes_max, self.number);
        drop(places);
        self.backlog.give_up(&given_up);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.backlog.places.lock();
        if let Some(held) = places.oldest_first.remove(&self.number) {
            places.bytes -= held.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Client(AtomicBool);

    impl Waiting for Client {
        fn give_up(&self) {
            assert!(!self.0.swap(true, Ordering::Relaxed), "once");
        }
    }

    fn given_up(clients: &[Arc<Client>]) -> Vec<bool> {
        clients.iter().map(|client| client.0.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted_no_more() {
        let backlog = Backlog::new(100);
        let clients: Vec<Arc<Client>> = (0..4).map(|_| Arc::default()).collect();
        let enter = |number: usize, bytes| backlog.enter(bytes, clients[number].clone());
        let (first, second) = (enter(0, 40), enter(1, 40));
        let third = enter(2, 20);
        assert_eq!(given_up(&clients), [false; 4]);
        second.is_now(41);
        assert_eq!(given_up(&clients), [true, false, false, false]);
        assert_eq!(backlog.bytes(), 61);
        first.is_now(1000);
        drop(first);
        assert_eq!(backlog.bytes(), 61);
        // 100 and 10 times as much are the same: the third is short, and stays.
        third.is_now(12);
        let last = enter(3, 1000);
        assert_eq!(given_up(&clients), [true, true, false, false]);
        assert_eq!(backlog.bytes(), 12 + 88);
        drop((second, third));
        assert_eq!(backlog.bytes(), 88);
        drop(last);
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn what_grows_does_not_give_itself_up() {
        let backlog = Backlog::new(100);
        let clients: Vec<Arc<Client>> = (0..2).map(|_| Arc::default()).collect();
        let first = backlog.enter(50, clients[0].clone());
        let _second = backlog.enter(50, clients[1].clone());
        first.is_now(60);
        assert_eq!(given_up(&clients), [false, true]);
        first.is_now(1000);
        assert_eq!(given_up(&clients), [false, true]);
    }
}
