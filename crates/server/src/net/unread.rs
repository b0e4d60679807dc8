//! Large replies that a client has not read.
//!
//! A reply is in memory as a whole until its client has taken the last of it, and a client that opens no window takes
//! nothing. When there is too much of it, the connection with the oldest of these replies is closed: what the HTTP
//! library holds of a reply is let go with the connection only.

use std::sync::Arc;

use bytes::Bytes;

use super::backlog::{Backlog, Place};
use super::conversation::Conversation;
use crate::limits::UNREAD_COUNTED_BYTES;

/// The replies of one connection.
#[derive(Clone)]
pub(super) struct Unread {
    backlog: Arc<Backlog>,
    conversation: Arc<Conversation>,
}

/// A reply, or a piece of one, that is counted for as long as it is in memory.
struct Counted {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unread {
    pub(super) fn new(backlog: Arc<Backlog>, conversation: Arc<Conversation>) -> Self {
        Self { backlog, conversation }
    }

    /// Counts a reply of so many bytes from now on; `None` if it is a small one.
    pub(super) fn enter(&self, bytes: usize) -> Option<Place> {
        let is_counted = bytes >= UNREAD_COUNTED_BYTES;
        is_counted.then(|| self.backlog.enter(bytes, self.conversation.clone()))
    }

    /// Returns the same bytes, counted until nobody holds them. `place` is theirs if they are counted already.
    pub(super) fn hold(&self, bytes: Bytes, place: Option<Place>) -> Bytes {
        match place.or_else(|| self.enter(bytes.len())) {
            Some(_place) => Bytes::from_owner(Counted { bytes, _place }),
            None => bytes,
        }
    }
}
