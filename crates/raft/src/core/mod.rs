//! Consensus as a function: inputs in, effects out.
//!
//! Read in this order: [`node`] (the calls), [`role`] and `state` (what a node is), `follower`, `election`, `leader`, `replicate`
//! (what it does); the leaves they stand on know nothing of nodes.

pub(crate) mod message;
pub(crate) mod node;
pub(crate) mod ready;

mod election;
mod follower;
pub(crate) mod leader;
mod replicate;
pub(crate) mod role;
pub(crate) mod state;

mod backlog;
mod durability;
pub(crate) mod entry;
pub(crate) mod id;
pub(crate) mod limits;
mod log;
pub(crate) mod loss;
pub(crate) mod membership;
mod progress;
pub(crate) mod quorum;
mod random;
pub(crate) mod reads;
pub(crate) mod terms;
