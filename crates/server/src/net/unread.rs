//! Replies that a client has not read.
//!
//! A reply is in memory as a whole until its client has taken the last of it, and a client that opens no window takes
//! nothing. When there is too much of it, the connection with the oldest of these replies is closed: what the HTTP
//! library holds of a reply is let go with the connection only.
//!
//! A large reply has a place of its own among what waits. Small ones of a connection share one: a client may ask for a
//! hundred thousand of them, but nearly always there are few, which never come to be a place.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::backlog::{Backlog, Place};
use super::conversation::Conversation;
use crate::limits::{UNREAD_COUNTED_BYTES, UNREAD_HELD_BYTES, UNREAD_STREAM_BYTES};

/// The replies of one connection.
#[derive(Clone)]
pub(super) struct Unread {
    backlog: Arc<Backlog>,
    conversation: Arc<Conversation>,
    /// Takes small replies until there are enough of them for a place.
    gathering: Arc<Mutex<Arc<Batch>>>,
}

/// Held for as long as a reply is in memory.
pub(super) enum Held {
    /// By a large one.
    Alone(#[allow(dead_code, reason = "it is there to be dropped")] Place),
    /// By a small one.
    Among(#[allow(dead_code, reason = "it is there to be dropped")] Arc<Batch>),
}

/// Small replies with one place for all of them, from when they are enough until the last is gone.
#[derive(Default)]
pub(super) struct Batch {
    bytes: AtomicUsize,
    place: OnceLock<Place>,
}

/// A reply, or a piece of one, that is counted for as long as it is in memory.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unread {
    pub(super) fn new(backlog: Arc<Backlog>, conversation: Arc<Conversation>) -> Self {
        Self { backlog, conversation, gathering: Arc::default() }
    }

    /// Counts a reply of so many bytes from now on; `None` if there are none.
    pub(super) fn enter(&self, bytes: usize) -> Option<Held> {
        match bytes {
            0 => None,
            UNREAD_COUNTED_BYTES.. => Some(Held::Alone(self.place(bytes))),
            _ => Some(Held::Among(self.gather(bytes + UNREAD_STREAM_BYTES))),
        }
    }

    fn place(&self, bytes: usize) -> Place {
        self.backlog.enter(bytes, self.conversation.clone())
    }

    fn gather(&self, bytes: usize) -> Arc<Batch> {
        let mut gathering = self.gathering.lock();
        if Arc::strong_count(&gathering) == 1 {
            // All that were in it are gone. What happens on a connection happens on one thread.
            gathering.bytes.store(0, Ordering::Relaxed);
        }
        let batch = gathering.clone();
        let sum = batch.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if sum >= UNREAD_COUNTED_BYTES {
            *gathering = Arc::default();
            drop(gathering);
            batch.place.get_or_init(|| self.place(sum));
        }
        batch
    }

    /// Returns the same bytes, counted until nobody holds them. `held` is theirs if they are counted already; very few bytes
    /// leave it where it is.
    pub(super) fn hold(&self, bytes: Bytes, held: &mut Option<Held>) -> Bytes {
        if bytes.len() < UNREAD_HELD_BYTES {
            return bytes;
        }
        match held.take().or_else(|| self.enter(bytes.len())) {
            Some(_held) => Bytes::from_owner(Counted { bytes, _held }),
            None => bytes,
        }
    }
}
