//! A stream sorted by something else than the key: the result of the range as a whole, sent in pieces.

use std::vec::IntoIter;

use mvcc::Item;

use super::{Chunk, State};
use crate::Body;
use crate::range::Found;

/// What is still to be sent.
#[derive(Debug)]
pub(super) struct Sorted {
    /// Key-values in the order of the reply: handles of shared bytes, as in a unary reply.
    keys: IntoIter<Item>,
    /// The result without them.
    found: Found,
}

impl Sorted {
    pub(super) fn of(mut found: Found) -> Self {
        let keys = found.take_keys().into_iter();
        Self { keys, found }
    }

    /// As many key-values as fill half a request: what chunks in key order come to.
    pub(super) fn next(mut self, request_bytes_max: usize) -> (Chunk, State) {
        let mut body = Body::empty();
        for item in self.keys.by_ref() {
            self.found.write_key(item, &mut body);
            if body.len() >= request_bytes_max / 2 {
                break;
            }
        }
        if self.keys.len() > 0 {
            return (Chunk { header_revision: None, body }, State::Sorted(self));
        }
        let header_revision = Some(self.found.revision);
        self.found.write(&mut body);
        (Chunk { header_revision, body }, State::Finished)
    }
}
