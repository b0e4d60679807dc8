//! The workloads, one file each.
//!
//! A unary workload only says what to send ([`Unary`]); [`UnaryJob`] gives it connections, callers and a pace. Watch and
//! lease keepalive work on streams and are jobs of their own.

pub(crate) mod authenticate;
pub(crate) mod connect;
pub(crate) mod get;
pub(crate) mod lease;
pub(crate) mod put;
pub(crate) mod range;
pub(crate) mod txn;
pub(crate) mod watch;

mod keys;

pub(crate) use keys::{Filler, KeyShape, Random};

use crate::driver::{Callers, Requests};
use crate::endpoint::Endpoint;
use crate::harness::{Job, Share};
use crate::stats::Load;
use crate::tickets::{Pace, Span, Tickets};
use std::rc::Rc;

/// What every workload has to choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Callers, spread over the connections.
    pub(crate) clients: usize,
    pub(crate) pace: Pace,
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
}

/// A workload of one unary method.
pub(crate) trait Unary: Sync {
    fn path(&self) -> &'static str;

    /// What caller `number` of `shape.clients` sends.
    fn requests(&self, shape: &Shape, number: usize) -> Box<dyn Requests>;
}

/// A unary workload as a job.
pub(crate) struct UnaryJob<'a> {
    pub(crate) shape: Shape,
    pub(crate) workload: &'a dyn Unary,
}

impl Job for UnaryJob<'_> {
    type Prepared = Callers;

    async fn prepare(&self, addresses: &[Endpoint], share: Share) -> anyhow::Result<Callers> {
        let requests = share.of(self.shape.clients).map(|number| self.workload.requests(&self.shape, number));
        let connections = share.of(self.shape.connections).len().max(1);
        Callers::connect(addresses, connections, self.workload.path(), requests).await
    }

    async fn run(&self, callers: &mut Callers, share: Share, span: Span) -> Load {
        callers.run(Rc::new(Tickets::new(share.of_pace(self.shape.pace), span))).await
    }
}
