//! Whose turn it is to be read for.
//!
//! A client may ask for a hundred large ranges at a time, and another for one. Each connection has a line of its own, the lines
//! take turns, and however few others wait, one connection never has all the threads: what it reads may take minutes, and
//! whoever comes then would wait for it.

use std::collections::{BTreeMap, VecDeque};

use super::ConnectionId;

/// The jobs that wait, and how many of each connection are being done.
pub(super) struct Queue<J> {
    lines: BTreeMap<ConnectionId, Line<J>>,
    /// Connections with something that waits and a thread that they may have, in the order of their turns.
    turns: VecDeque<ConnectionId>,
    /// Threads that one connection has at most.
    share: usize,
}

struct Line<J> {
    waiting: VecDeque<J>,
    running: usize,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), running: 0 }
    }
}

impl<J> Queue<J> {
    /// Returns an empty queue for so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { lines: BTreeMap::new(), turns: VecDeque::new(), share: (threads / 2).max(1) }
    }

    /// Adds a job of a connection, behind those it has.
    pub(super) fn push(&mut self, connection: ConnectionId, job: J) {
        let line = self.lines.entry(connection).or_default();
        line.waiting.push_back(job);
        if line.waiting.len() == 1 && line.running < self.share {
            self.turns.push_back(connection);
        }
    }

    /// Takes the job whose turn it is; `None` if none may be done now. It runs until [`done`](Self::done).
    pub(super) fn take(&mut self) -> Option<(ConnectionId, J)> {
        let connection = self.turns.pop_front()?;
        let line = self.lines.get_mut(&connection).expect("whose turn it is has a line");
        let job = line.waiting.pop_front().expect("whose turn it is has a job");
        line.running += 1;
        if !line.waiting.is_empty() && line.running < self.share {
            self.turns.push_back(connection);
        }
        Some((connection, job))
    }

    /// Notes that a job of a connection is done. Returns whether another may be taken for that.
    pub(super) fn done(&mut self, connection: ConnectionId) -> bool {
        let line = self.lines.get_mut(&connection).expect("who has something done has a line");
        let had_no_turn = line.running == self.share && !line.waiting.is_empty();
        line.running -= 1;
        if had_no_turn {
            self.turns.push_back(connection);
        } else if line.running == 0 && line.waiting.is_empty() {
            self.lines.remove(&connection);
        }
        had_no_turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ConnectionId = ConnectionId(1);
    const OTHER: ConnectionId = ConnectionId(2);

    fn queue(jobs: &[(ConnectionId, u32)]) -> Queue<u32> {
        let mut queue = Queue::new(4);
        jobs.iter().for_each(|(connection, job)| queue.push(*connection, *job));
        queue
    }

    fn taken(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.take()).map(|(_, job)| job).collect()
    }

    #[test]
    fn connections_take_turns_however_much_each_asks_for() {
        let mut queue = queue(&[(ONE, 1), (ONE, 2), (ONE, 3), (OTHER, 10), (OTHER, 11)]);
        assert_eq!(taken(&mut queue), [1, 10, 2, 11]);
    }

    #[test]
    fn one_connection_never_has_all_threads() {
        let mut queue = queue(&[(ONE, 1), (ONE, 2), (ONE, 3)]);
        assert_eq!(taken(&mut queue), [1, 2]);
        queue.push(OTHER, 10);
        assert_eq!(taken(&mut queue), [10]);
        assert!(queue.done(ONE), "the third may be taken now");
        assert_eq!(taken(&mut queue), [3]);
        assert!(!queue.done(ONE));
    }

    #[test]
    fn nothing_is_left_of_a_connection_that_has_what_it_asked_for() {
        let mut queue = queue(&[(ONE, 1), (OTHER, 10)]);
        assert_eq!(taken(&mut queue), [1, 10]);
        queue.done(OTHER);
        queue.done(ONE);
        assert!(queue.lines.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_single_thread_serves_everybody_in_turn() {
        let mut queue = Queue::new(1);
        queue.push(ONE, 1);
        queue.push(ONE, 2);
        queue.push(OTHER, 10);
        let (of, job) = queue.take().unwrap();
        assert_eq!((of, job), (ONE, 1));
        queue.done(ONE);
        assert_eq!(queue.take(), Some((OTHER, 10)));
        queue.done(OTHER);
        assert_eq!(queue.take(), Some((ONE, 2)));
    }
}
