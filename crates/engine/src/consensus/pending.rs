//! Requests of clients that consensus has not answered.

use std::collections::BTreeMap;

use crate::request::{Proposal, ReadBatch, RequestId};

/// Requests that the node has not answered.
#[derive(Default)]
pub(crate) struct Pending {
    /// Reads under way.
    pub(super) reads: BTreeMap<u64, ReadBatch>,
    /// Confirmations of leadership under way.
    pub(super) confirmations: BTreeMap<u64, ReadBatch>,
    pub(super) next_token: u64,
    /// Commands and reads that wait for a leader that takes them, in the order in which they came.
    pub(super) held_proposals: Vec<Proposal>,
    pub(super) held_reads: Vec<ReadBatch>,
    /// To be handed on to the leader at the end of this round.
    pub(super) outgoing: Vec<Proposal>,
    /// Handed on and not answered yet, in case the leader does not take them.
    pub(super) forwarded: BTreeMap<RequestId, Proposal>,
    /// The same of changes of members.
    pub(super) held_changes: Vec<Proposal>,
    pub(super) forwarded_changes: BTreeMap<RequestId, Proposal>,
    /// When the current leader was first heard of, in milliseconds since the start.
    pub(super) leader_elected: u64,
}
