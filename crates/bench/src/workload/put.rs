//! Puts: a random key each time, or every key once in order.

use super::{Filler, KeyShape, Random, Shape, Unary};
use crate::driver::Requests;
use crate::messages::{self, path};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Which key comes next.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Random,
    /// In order, shared by all callers, starting again when the key space is through.
    Sequential(Arc<AtomicU64>),
}

impl Order {
    /// Sequential from the first key on.
    pub(crate) fn sequential() -> Order {
        Order::Sequential(Arc::default())
    }
}

pub(crate) struct Put {
    pub(crate) order: Order,
}

impl Unary for Put {
    fn path(&self) -> &'static str {
        path::PUT
    }

    fn requests(&self, shape: &Shape, number: usize) -> Box<dyn Requests> {
        let mut random = Random::new(number);
        let filler = Filler::new(shape.value_bytes, &mut random);
        Box::new(Puts { order: self.order.clone(), keys: shape.keys, random, filler })
    }
}

struct Puts {
    order: Order,
    keys: KeyShape,
    random: Random,
    filler: Filler,
}

impl Requests for Puts {
    fn next(&mut self, _due: Instant) -> Bytes {
        let number = match &self.order {
            Order::Random => self.random.below(self.keys.space),
            Order::Sequential(next) => next.fetch_add(1, Ordering::Relaxed) % self.keys.space.max(1),
        };
        messages::put(&self.keys.key(number), self.filler.value(&mut self.random))
    }
}
