//! Raft as a deterministic state machine, and its durable log.
//!
//! A [`Node`] is one member's part of the consensus. It is a plain value: it starts no thread, opens no file, asks no
//! clock. Its owner, the *shell*, feeds it what happens (ticks, messages, proposals, "this is durable") and then carries
//! out what [`Node::ready`] returns. [`durable::Log`] keeps on a disk what must survive. One member that elects itself
//! and commits a command:
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use bytes::Bytes;
//! use raft::durable::{Log, Options};
//! use raft::{Config, EntryId, Incarnation, Membership, Node, NodeId, Payload};
//!
//! let options = Options {
//!     identity: [0xc1, 1], // cluster and member
//!     segment_bytes: 1 << 20,
//!     tail_bytes_max: 1 << 20,
//!     membership: Membership::new([NodeId(1)], []),
//!     incarnation: Incarnation(1),
//! };
//! let disk = Arc::new(wal::SimDisk::new(1)); // or wal::OsDisk
//! let mut log = Log::open(disk, Path::new("/raft"), options)?.log;
//! let applied = EntryId::ZERO; // the last entry that the state machine's checkpoint contains
//! let mut node = Node::new(Config::new(NodeId(1), 42), log.restore_at(applied)?);
//! node.campaign();
//!
//! let mut state = Vec::new();
//! let mut proposed = false;
//! while let Some(ready) = node.ready() {
//!     // 1. Send `ready.send` at once: none of it depends on this disk.
//!     // 2. Write. When it is durable, send what waited for it, and say so.
//!     if let Some(persist) = ready.persist {
//!         log.append(&persist)?;
//!         log.sync()?;
//!         node.persisted(persist.ack);
//!     }
//!     // 3. Entries that are no longer in memory are read from the log.
//!     for fetch in &ready.fetches {
//!         let entries = log.fetch(fetch).map_or(Ok(Vec::new()), |job| job.run())?;
//!         node.fetched(fetch, entries);
//!     }
//!     // 4. Apply what is committed.
//!     for entry in ready.committed {
//!         node.applied(entry.index);
//!         if let Payload::Command(command) = entry.payload {
//!             state.push(command);
//!         }
//!     }
//!     if !proposed && node.is_established() {
//!         proposed = node.propose(Bytes::from("hello")).is_ok();
//!     }
//! }
//! assert_eq!(state, ["hello"]);
//! # Ok::<(), raft::durable::Error>(())
//! ```
//!
//! # How it runs
//!
//! ```text
//!                     tick  step  propose  read            persisted  applied  fetched  installed
//!                        \    |     |      /                     \     |        |     /
//!   inputs                +--------------------------- Node ---------------------------+
//!                                                       |
//!   ready()         send     persist { .., then_send }  |  committed   reads   fetches   snapshots   install   role
//!                    |          |            |          |      |         |        |          |          |        |
//!   the shell     network   log writer -> network         state machine clients  log    sender     receiver  server
//! ```
//!
//! A production shell has a thread for the node, one for the disk and one for the state machine. They meet in queues, so
//! several [`Persist`]s are under way while the node goes on: a stalled disk does not stop its clock. A simulator calls the
//! same functions from one loop. The order of effects is in the types: what must not leave before the disk has it is
//! *inside* of the [`Persist`], and the acknowledgement can be had from nowhere else.
//!
//! The scripts in `tests/scripts` show each mechanism step by step: read them in order.
//!
//! # Invariants
//!
//! Safety, for any loss, repetition, delay and reordering of messages and any crash (asserted here where one node can
//! see them, and checked as a whole by the tests' network after each event):
//!
//! - *Election Safety*: a term has at most one leader, for a node votes once in a term, across restarts.
//! - *Log Matching*: logs that hold the same entry are equal up to it.
//! - *Leader Completeness*: a leader has every committed entry.
//! - *State Machine Safety*: what is applied at an index is the same everywhere.
//! - *Committed Is Durable*: what is committed is on the disks of a quorum. The own copy, and the own vote, count only
//!   when they are durable (rule W6), though entries are sent to followers before.
//! - Terms and commit indexes never fall; configurations that may both decide always overlap.
//! - A read that is answered has seen everything that was committed when it was asked (rules R1 to R5).
//! - Whatever a peer sends, the node does not panic, and allocates no more than the message itself (rule S9).
//!
//! Absence: the core knows no clock, thread, file, socket, randomness or environment (`clippy.toml` keeps it so), no
//! command's content and no address. `durable` knows no consensus: it keeps what it is told.
//!
//! # Decisions
//!
//! *Configurations are in force on append*, as in the paper, not on apply as in etcd: no bookkeeping of what is applied is
//! needed for safety, and truncation takes a change back. Every change of voters goes through a joint configuration,
//! also that of a single voter: one path, and the simple one has had the subtler bugs. An entry carries the whole
//! configuration; the first entry of a log is the configuration that the cluster began with, so that a log explains itself.
//!
//! *Terms are kept as runs* for the whole log, so that every question about which entry is where is answered from memory,
//! while of the entries only the newest are there. Older ones are asked of the shell ([`Ready::fetches`]): the node never
//! waits for a disk.
//!
//! *Acknowledgements of the disk are numbered.* After 5@2, 5@3, 5@2 a late "5@2 is durable" tells nothing; the number does.
//!
//! *No lease reads.* A read costs a round of heartbeats, shared by all that wait; clocks are trusted with nothing.
//!
//! # How a member starts
//!
//! *With others.* All founding members open their logs with the same configuration ([`durable::Options::membership`]); the
//! first leader makes it the first entry.
//!
//! *Into a running cluster.* It opens its log with an empty configuration, and knows nothing: it never campaigns, and takes
//! the log from its first entry on, or a snapshot, from the leader that was told to add it.
//!
//! *Again.* [`durable::Log::restore_at`] finds where state and log meet, and finishes the installation of a snapshot that a
//! crash interrupted ([`durable::Log::expect_snapshot`], [`durable::Log::reset_to`]).
//!
//! *As one that cannot trust itself* (its state diverged, rule A6): [`durable::Log::forget_entries`]. It keeps term and vote,
//! gets log or snapshot again, and gives no vote until it has ([`Loss`], rule M5).
//!
//! *Alone, after a catastrophe.* [`durable::Log::force_new_cluster`].
//!
//! # Costs
//!
//! A proposal costs a leader's core, from `propose` to `applied`, with batches of 64: 80 ns of processor time alone, 120 ns
//! with two followers, 170 ns with four, most of it reference counts of [`bytes::Bytes`]; a batch of one, with two followers,
//! 560 ns (`cargo run --release -p quorate-raft --example ready_cost`). A batch is one append to each follower, whatever is
//! under way already, up to the windows of [`Limits`]. Memory: the tail ([`Limits`]), 16 bytes for each 64 entries of the
//! durable log, 16 for each term.
//!
//! # Caveats
//!
//! - Committed entries may be handed out before the own disk has them. A checkpoint of the state must not be made durable
//!   before [`Status::stable`] has reached what it contains.
//! - A removed node is told so for two election timeouts by the leader that removed it. If it hears nothing in that time, it
//!   will ask for pre-votes in vain; the server tells it.
//! - A message moves a node's term by [`TERM_JUMP_MAX`] at most, so one that was away for more elections than that comes back
//!   within a few messages, each of which is refused as [`StepError::TermTooFar`]. Without the bound one message with the
//!   last term there is would make elections impossible for good.
//! - A message that contradicts what is committed here is refused and changes nothing, again and again: it is proof that one
//!   of two logs is wrong, which the shell must act on ([`StepError::consequence`], rule X3).
//! - A node that lost its disk and comes back under the same id takes part as what the configuration says it is. It must be
//!   removed and added again, under a new id, if it was a voter: its votes are lost, and only the cluster's
//!   administration can know that. What the core does (rules M2 and M5) limits the damage, and never panics.

mod core;
pub mod durable;

pub use crate::core::entry::{Entry, MembershipEntry, Payload};
pub use crate::core::id::{Boot, EntryId, Incarnation, Index, NodeId, ReadToken, Session, Term};
pub use crate::core::leader::{ChangeError, ProposeError, TransferError};
pub use crate::core::limits::{CATCH_UP_STALL_ELECTIONS, Limits, MEMBERS_MAX, TERM_JUMP_MAX, VOTERS_MAX};
pub use crate::core::loss::Loss;
pub use crate::core::membership::{ChangeRefused, History, Membership, MembershipChange};
pub use crate::core::message::{Body, CampaignReason, Consequence, Message, SnapshotMeta, StepError};
pub use crate::core::node::{Node, ReadError};
pub use crate::core::quorum::Tally;
pub use crate::core::reads::{ReadRequestId, Round};
pub use crate::core::ready::{
    Fetch, FetchPurpose, FollowerStatus, HardState, Persist, Persisted, ReadReady, Ready, RoleChange,
    RoleName, SnapshotWanted, Status,
};
pub use crate::core::state::{Config, Restored};
pub use crate::core::terms::TermRuns;
