//! Reads that take longer than others may wait.
//!
//! A network worker serves many connections on one thread, so nothing that it does for a client may take longer than about a
//! millisecond (rule I1). Most reads do not: they are made where they arrive. A read that turns out to be longer is given up
//! there, which has cost as much as the worker may spend, and made again from the start on one of the threads of this chapter,
//! which stand back a little for those that serve everybody.
//!
//! ```text
//!  request ── read at the pace of a worker ──┬─► answer
//!                                            └─► given up ──► Queue ──► reader ──► answer
//! ```
//!
//! Who goes first says the [`queue`]. A read whose client has gone away, or whose time is over, is not begun, and given up at
//! its next piece if it has begun.

mod queue;

use std::cell::Cell;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::{priority, spawn};
use mvcc::Pace;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use self::queue::Queue;
use crate::limits::{READERS_MIN, WORKER_READ_BYTES_MAX, WORKER_READ_KEYS_MAX};

/// A connection, for whoever divides something among them. Reused by none in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// Returns the next one.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The threads that read, for as long as somebody holds this. What is being read then is given up at its next piece, and not
/// waited for.
pub(crate) struct Readers(Arc<Desk>);

struct Desk {
    /// Bytes that one read may have in memory.
    bytes_max: usize,
    queue: Mutex<Queue<Job>>,
    arrived: Condvar,
    is_closed: AtomicBool,
}

type Job = Box<dyn FnOnce(&Desk) + Send>;

impl Readers {
    /// Starts the threads: two for each core, as some of them wait for the disk. A read that has more than `bytes_max` in
    /// memory is given up.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn start(bytes_max: usize) -> std::io::Result<Arc<Self>> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads((2 * cores).max(READERS_MIN), bytes_max)
    }

    fn with_threads(count: usize, bytes_max: usize) -> std::io::Result<Arc<Self>> {
        let queue = Mutex::new(Queue::new(count));
        let desk =
            Arc::new(Desk { bytes_max, queue, arrived: Condvar::new(), is_closed: AtomicBool::new(false) });
        let readers = Arc::new(Self(desk.clone()));
        for number in 0..count {
            let desk = desk.clone();
            let run = move || {
                priority::stand_back();
                desk.run();
            };
            spawn::thread(&format!("reader {number}"), run)?;
        }
        Ok(readers)
    }

    /// Has a reader do something on behalf of a connection, which is given up when nobody waits for it any more.
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        connection: ConnectionId,
        read: impl FnOnce(&dyn Pace) -> T + Send + 'static,
    ) -> Result<T, Unread> {
        let (answer, answered) = oneshot::channel();
        let job = move |desk: &Desk| {
            let pace = WhileAwaited { answer: &answer, desk, bytes: Cell::new(0) };
            if pace.goes_on(0, 0) {
                let read = read(&pace);
                let is_too_long = pace.bytes.get() > desk.bytes_max;
                let _ =
                    answer.send(if is_too_long { Err(Unread::TooLong(desk.bytes_max)) } else { Ok(read) });
            }
        };
        self.put(connection, Box::new(job));
        answered.await.unwrap_or(Err(Unread::Stopped))
    }

    fn put(&self, connection: ConnectionId, job: Job) {
        self.0.queue.lock().push(connection, job);
        self.0.arrived.notify_one();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        // A thread that has looked at the queue and is about to wait does so before this, and is woken.
        drop(self.0.queue.lock());
        self.0.arrived.notify_all();
    }
}

impl Desk {
    /// Does what there is to do, until nobody can ask any more.
    fn run(&self) {
        let mut queue = self.queue.lock();
        while !self.is_closed() {
            let Some((connection, job)) = queue.take() else {
                self.arrived.wait(&mut queue);
                continue;
            };
            drop(queue);
            job(self);
            queue = self.queue.lock();
            if queue.done(connection) {
                self.arrived.notify_one();
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

/// Why something was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The member stops.
    Stopped,
    /// It has more bytes than this, which is as many as one read may have in memory.
    TooLong(usize),
}

/// The pace of a reader: it goes on for as long as somebody waits for the answer, and there is room for it.
struct WhileAwaited<'a, T> {
    answer: &'a oneshot::Sender<T>,
    desk: &'a Desk,
    /// What was read so far.
    bytes: Cell<usize>,
}

impl<T> Pace for WhileAwaited<'_, T> {
    fn goes_on(&self, _: usize, bytes: usize) -> bool {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        !self.answer.is_closed() && !self.desk.is_closed() && self.bytes.get() <= self.desk.bytes_max
    }
}

/// The pace of a network worker: about half a millisecond.
pub(crate) struct OnWorker {
    keys: Cell<usize>,
    bytes: Cell<usize>,
    /// Bytes of the longest piece so far, for each key of it.
    bytes_for_a_key: Cell<usize>,
}

impl OnWorker {
    /// Returns the pace of a read that begins.
    pub(crate) fn new() -> Self {
        Self {
            keys: Cell::new(WORKER_READ_KEYS_MAX),
            bytes: Cell::new(WORKER_READ_BYTES_MAX),
            bytes_for_a_key: Cell::new(FIRST_GUESS_BYTES),
        }
    }
}

/// Bytes that a key and its value are taken to have before one was seen.
const FIRST_GUESS_BYTES: usize = 16 << 10;

impl Pace for OnWorker {
    fn goes_on(&self, keys: usize, bytes: usize) -> bool {
        let (Some(keys_left), Some(bytes_left)) =
            (self.keys.get().checked_sub(keys), self.bytes.get().checked_sub(bytes))
        else {
            return false;
        };
        self.keys.set(keys_left);
        self.bytes.set(bytes_left);
        if bytes > 0 {
            self.bytes_for_a_key.set(bytes.div_ceil(keys.max(1)));
        }
        true
    }

    /// As many as what is left allows, if they are like those before.
    fn piece_keys(&self) -> usize {
        (self.bytes.get() / self.bytes_for_a_key.get()).clamp(1, self.keys.get().max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn what_a_connection_reads_for_long_leaves_a_thread_to_others() {
        let readers = Readers::with_threads(2, usize::MAX).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let held = readers.clone();
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            let wait = move |_: &dyn Pace| released.recv().is_err();
            let _ = done.send(runtime().block_on(held.read(ConnectionId(1), wait)));
        });
        let behind = readers.clone();
        let (second, is_second) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = second.send(runtime().block_on(behind.read(ConnectionId(1), |_| "behind the first")));
        });
        let other = runtime().block_on(readers.read(ConnectionId(2), |_| "other"));
        assert_eq!(other, Ok("other"));
        drop(release);
        assert_eq!(is_done.recv().unwrap(), Ok(true));
        assert_eq!(is_second.recv().unwrap(), Ok("behind the first"));
    }

    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let readers = Readers::with_threads(1, usize::MAX).unwrap();
        let (begun, is_begun) = mpsc::channel();
        let (ended, is_ended) = mpsc::channel();
        let read = move |pace: &dyn Pace| {
            let _ = begun.send(());
            while pace.goes_on(1, 1) {
                std::thread::yield_now();
            }
            let _ = ended.send(());
        };
        let waiting = readers.read(ConnectionId(1), read);
        runtime().block_on(async {
            let mut waiting = Box::pin(waiting);
            std::future::poll_fn(|cx| {
                assert!(waiting.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            is_begun.recv().unwrap();
            drop(waiting);
        });
        is_ended.recv().unwrap();
        assert_eq!(runtime().block_on(readers.read(ConnectionId(1), |_| 7)), Ok(7));
    }

    #[test]
    fn what_is_longer_than_there_is_room_for_is_given_up() {
        let readers = Readers::with_threads(1, 1000).unwrap();
        let read = |pieces: usize| {
            let read = move |pace: &dyn Pace| (0..pieces).take_while(|_| pace.goes_on(1, 100)).count();
            runtime().block_on(readers.read(ConnectionId(1), read))
        };
        assert_eq!(read(10), Ok(10));
        assert_eq!(read(1_000_000), Err(Unread::TooLong(1000)));
    }

    #[test]
    fn a_worker_spends_no_more_than_it_may() {
        let pace = OnWorker::new();
        assert!(pace.goes_on(WORKER_READ_KEYS_MAX, WORKER_READ_BYTES_MAX));
        assert!(pace.goes_on(0, 0));
        assert!(!pace.goes_on(1, 0));
        assert!(!pace.goes_on(0, 1));
    }

    #[test]
    fn a_worker_takes_few_keys_at_a_time_while_they_may_be_long() {
        let pace = OnWorker::new();
        assert_eq!(pace.piece_keys(), WORKER_READ_BYTES_MAX / FIRST_GUESS_BYTES);
        assert!(pace.goes_on(10, 1_000));
        assert_eq!(pace.piece_keys(), WORKER_READ_KEYS_MAX - 10, "they are short");
        assert!(pace.goes_on(1, WORKER_READ_BYTES_MAX / 2));
        assert_eq!(pace.piece_keys(), 1, "one was long");
    }
}
