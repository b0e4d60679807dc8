//! Reads of one random key.

use super::{KeyShape, Random, Shape, Unary};
use crate::client::Reply;
use crate::driver::Requests;
use crate::grpc::Failure;
use crate::messages::{self, Consistency, Content, path};
use bytes::Bytes;
use std::time::Instant;

pub(crate) struct Get {
    pub(crate) consistency: Consistency,
}

impl Unary for Get {
    fn path(&self) -> &'static str {
        path::RANGE
    }

    fn requests(&self, shape: &Shape, number: usize) -> Box<dyn Requests> {
        Box::new(Gets {
            consistency: self.consistency,
            keys: shape.keys,
            random: Random::new(number),
            value_bytes: shape.value_bytes,
        })
    }
}

struct Gets {
    consistency: Consistency,
    keys: KeyShape,
    random: Random,
    value_bytes: usize,
}

impl Requests for Gets {
    fn next(&mut self, _due: Instant) -> Bytes {
        let key = self.keys.key(self.random.below(self.keys.space));
        messages::range(&key, b"", self.consistency, Content::KeysAndValues)
    }

    fn accept(&mut self, reply: &Reply) -> Result<(), Failure> {
        if reply.length < self.value_bytes {
            return Err(Failure::malformed("a get without the value: is the key space loaded?"));
        }
        Ok(())
    }
}
