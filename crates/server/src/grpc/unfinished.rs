//! Counting what has come of a request that is not there as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tonic::Status;

use crate::net::backlog::{Backlog, Place, Waiting};

/// The message of a request that has come in part.
pub(crate) struct Unfinished {
    backlog: Arc<Backlog>,
    part: Option<(Place, Arc<Client>)>,
}

/// Whoever is to send the rest.
#[derive(Default)]
struct Client {
    is_given_up: AtomicBool,
    /// Waits for the rest.
    waker: AtomicWaker,
}

impl Waiting for Client {
    fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Unfinished {
    /// Returns nothing unfinished, to be counted in a backlog.
    pub(crate) fn new(backlog: &Arc<Backlog>) -> Self {
        Self { backlog: backlog.clone(), part: None }
    }

    /// Notes how much of a message is there. Who waits for the rest is woken when it is given up.
    pub(crate) fn is_now(&mut self, bytes: usize, cx: &mut Context<'_>) -> Result<(), Status> {
        if bytes == 0 {
            self.part = None;
            return Ok(());
        }
        let (place, client) = self.part.get_or_insert_with(|| {
            let client = Arc::<Client>::default();
            (self.backlog.enter(bytes, client.clone()), client)
        });
        place.is_now(bytes);
        client.waker.register(cx.waker());
        if client.is_given_up.load(Ordering::Acquire) {
            return Err(Status::resource_exhausted("etcdserver: too many requests"));
        }
        Ok(())
    }
}
