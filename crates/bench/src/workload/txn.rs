//! Compare-and-put: the write of every client that shares data with others.
//!
//! If the key's mod revision is the one seen last, put; else read the key. Each caller has keys of its own, so that
//! after the first round every compare holds: what is measured is the transaction, not contention.

use super::{Filler, Random, Shape, Unary};
use crate::client::{Keep, Reply};
use crate::driver::Requests;
use crate::grpc::Failure;
use crate::messages::{self, path};
use bytes::Bytes;
use std::time::Instant;

/// Keys of each caller: few enough that a second of warm-up learns all their revisions.
const KEYS: usize = 16;

pub(crate) struct Txn;

impl Unary for Txn {
    fn path(&self) -> &'static str {
        path::TXN
    }

    fn requests(&self, shape: &Shape, number: usize) -> Box<dyn Requests> {
        let mut random = Random::new(number);
        let filler = Filler::new(shape.value_bytes, &mut random);
        let own = |key| OwnKey { name: format!("txn/{number:05}/{key:05}"), mod_revision: None };
        Box::new(Txns { keys: (0..KEYS).map(own).collect(), last: 0, random, filler })
    }
}

struct OwnKey {
    name: String,
    /// `None` before this caller has seen it.
    mod_revision: Option<i64>,
}

struct Txns {
    keys: Vec<OwnKey>,
    /// Index of the key that the last request was about.
    last: usize,
    random: Random,
    filler: Filler,
}

impl Requests for Txns {
    fn next(&mut self, _due: Instant) -> Bytes {
        self.last = (self.last + 1) % self.keys.len();
        let key = &self.keys[self.last];
        let value = self.filler.value(&mut self.random);
        messages::compare_and_put(key.name.as_bytes(), value, key.mod_revision.unwrap_or(0))
    }

    fn keep(&self) -> Keep {
        Keep::Whole
    }

    fn accept(&mut self, reply: &Reply) -> Result<(), Failure> {
        let key = &mut self.keys[self.last];
        if messages::txn_succeeded(&reply.message)? {
            key.mod_revision = Some(messages::revision(&reply.message)?);
        } else if key.mod_revision.is_none() {
            key.mod_revision = Some(messages::txn_read_mod_revision(&reply.message)?);
        } else {
            return Err(Failure::malformed("a compare failed on a key that nobody else writes"));
        }
        Ok(())
    }
}
