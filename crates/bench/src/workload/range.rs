//! Ranges: a number of neighbouring keys with their values, or only how many there are.

use super::{KeyShape, Random, Shape, Unary};
use crate::client::{Keep, Reply};
use crate::driver::Requests;
use crate::grpc::Failure;
use crate::messages::{self, Consistency, Content, path};
use bytes::Bytes;
use std::time::Instant;

/// Linearizable ranges.
pub(crate) struct Range {
    /// Keys in each range.
    pub(crate) length: u64,
    pub(crate) content: Content,
}

impl Unary for Range {
    fn path(&self) -> &'static str {
        path::RANGE
    }

    fn requests(&self, shape: &Shape, number: usize) -> Box<dyn Requests> {
        Box::new(Ranges {
            length: self.length.min(shape.keys.space),
            content: self.content,
            keys: shape.keys,
            value_bytes: shape.value_bytes,
            random: Random::new(number),
        })
    }
}

struct Ranges {
    length: u64,
    content: Content,
    keys: KeyShape,
    value_bytes: usize,
    random: Random,
}

impl Requests for Ranges {
    fn next(&mut self, _due: Instant) -> Bytes {
        let first = self.random.below(self.keys.space - self.length + 1);
        let start = self.keys.key(first);
        let end = self.keys.key(first + self.length - 1);
        let past_the_last = [&end[..], &[0]].concat();
        messages::range(&start, &past_the_last, Consistency::Linearizable, self.content)
    }

    fn keep(&self) -> Keep {
        match self.content {
            Content::KeysAndValues => Keep::Head, // the length tells enough, and nothing is copied
            Content::CountOnly => Keep::Whole,
        }
    }

    fn accept(&mut self, reply: &Reply) -> Result<(), Failure> {
        let complete = match self.content {
            Content::CountOnly => messages::range_count(&reply.message)? == self.length as i64,
            Content::KeysAndValues => {
                reply.length >= self.length as usize * (self.keys.bytes + self.value_bytes)
            }
        };
        if !complete {
            return Err(Failure::malformed("a range with keys missing: is the key space loaded?"));
        }
        Ok(())
    }
}
