//! The queue in front of a thread that owns a state.
//!
//! Many producers, one consumer that always takes everything there is: a batch forms while the consumer is busy with
//! the one before. A producer wakes the consumer only when it sleeps, so a busy thread costs its producers a lock and
//! no system call.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

struct State<T> {
    items: Vec<T>,
    sleeping: bool,
    closed: bool,
    /// How many can still send.
    senders: usize,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
}

/// The producers' end.
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.senders -= 1;
        let is_last = state.senders == 0;
        drop(state);
        if is_last {
            self.0.wake.notify_one();
        }
    }
}

/// The consumer's end. Dropping it closes the inbox.
pub struct Inbox<T>(Arc<Shared<T>>);

/// A new, empty inbox.
///
/// It has no bound of its own: what may be in flight is bounded where requests are admitted (see
/// [`crate::limits`]), and a thread of ours that waits for room in another's inbox could wait for itself.
pub fn inbox<T>() -> (Sender<T>, Inbox<T>) {
    let state = State { items: Vec::new(), sleeping: false, closed: false, senders: 1 };
    let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
    (Sender(shared.clone()), Inbox(shared))
}

/// The consumer is gone; what was sent is dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

/// The last sender is gone, and everything that was sent has been taken: nothing will ever come.
#[derive(Debug, PartialEq, Eq)]
pub struct Abandoned;

impl<T> Sender<T> {
    /// Adds one item.
    pub fn send(&self, item: T) -> Result<(), Closed> {
        self.send_all(std::iter::once(item))
    }

    /// Adds items in order, waking the consumer once.
    pub fn send_all(&self, items: impl IntoIterator<Item = T>) -> Result<(), Closed> {
        let mut state = self.0.state.lock();
        if state.closed {
            return Err(Closed);
        }
        state.items.extend(items);
        if state.sleeping && !state.items.is_empty() {
            state.sleeping = false;
            drop(state);
            self.0.wake.notify_one();
        }
        Ok(())
    }
}

impl<T> Inbox<T> {
    /// Moves everything queued into `batch`, waiting until there is something or `deadline` has passed.
    ///
    /// # Errors
    /// [`Abandoned`]: the consumer should end, as it would wait for nothing.
    pub fn take(&self, batch: &mut Vec<T>, deadline: Option<Instant>) -> Result<(), Abandoned> {
        let mut state = self.0.state.lock();
        while state.items.is_empty() {
            if state.senders == 0 {
                return Err(Abandoned);
            }
            state.sleeping = true;
            let timed_out = match deadline {
                Some(at) => self.0.wake.wait_until(&mut state, at).timed_out(),
                None => {
                    self.0.wake.wait(&mut state);
                    false
                }
            };
            state.sleeping = false;
            if timed_out {
                break;
            }
        }
        if batch.is_empty() {
            std::mem::swap(batch, &mut state.items);
        } else {
            batch.append(&mut state.items);
        }
        Ok(())
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let undelivered = std::mem::take(&mut state.items);
        drop(state);
        // Outside the lock: an item's drop may send.
        drop(undelivered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_queued_comes_in_order_in_one_batch() {
        let (sender, inbox) = inbox();
        sender.send(1).unwrap();
        sender.send_all([2, 3]).unwrap();
        let mut batch = Vec::new();
        inbox.take(&mut batch, None).unwrap();
        assert_eq!(batch, [1, 2, 3]);
    }

    #[test]
    fn a_sleeping_consumer_is_woken_by_an_item() {
        let (sender, inbox) = inbox();
        let consumer = std::thread::spawn(move || {
            let mut batch = Vec::new();
            inbox.take(&mut batch, None).unwrap();
            batch
        });
        sender.send(7).unwrap();
        assert_eq!(consumer.join().unwrap(), [7]);
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let (_sender, inbox) = inbox::<u8>();
        let mut batch = Vec::new();
        inbox.take(&mut batch, Some(Instant::now())).unwrap();
        assert!(batch.is_empty());
    }

    #[test]
    fn a_closed_inbox_refuses() {
        let (sender, inbox) = inbox();
        drop(inbox);
        assert_eq!(sender.send(1), Err(Closed));
    }

    #[test]
    fn a_consumer_learns_that_nobody_can_send_any_more() {
        let (sender, inbox) = inbox();
        let other = sender.clone();
        sender.send(1).unwrap();
        drop((sender, other));
        let mut batch = Vec::new();
        inbox.take(&mut batch, None).unwrap();
        assert_eq!(batch, [1], "what was sent comes first");
        assert_eq!(inbox.take(&mut batch, None), Err(Abandoned));
    }

    #[test]
    fn a_sleeping_consumer_is_woken_by_the_last_sender() {
        let (sender, inbox) = inbox::<u8>();
        let consumer = std::thread::spawn(move || inbox.take(&mut Vec::new(), None));
        drop(sender);
        assert_eq!(consumer.join().unwrap(), Err(Abandoned));
    }
}
