//! The threads that own a member's state.
//!
//! ```text
//!  network workers            consensus                log writer             apply                checkpointer
//!  ────────────────           ─────────                ──────────             ─────                ────────────
//!  validate, encode ─outbox─► propose, step            append a batch         decode, apply        write one redb
//!                             take a Ready ──persist─► one fdatasync          publish changes      transaction
//!                             persisted  ◄──────────── report                 complete waiters
//!                             commit ─────entries────────────────────────────►
//!  reply ◄──────────────────────────mailbox──────────────────────────────────
//!                             release log ◄────────────────────────────────── ◄──────────────────  done
//! ```
//!
//! Each is a plain thread that takes whole batches from its [`inbox`], handles them synchronously and never takes a
//! lock of another's state. Consensus never waits for a disk; the log writer is the only one that does on the path
//! of a write; the apply thread touches memory only. Nothing leaves the member before what it promises is durable.
//!
//! Between members:
//!
//! * *raft's messages* go out at once where they depend on no disk, and behind the log writer's sync where they promise
//!   something; they come in through [`inbound`];
//! * *commands* of a member that does not lead are handed on to the leader in batches, and come back if it did not take them
//!   ([`consensus`]); *changes of members* go the same way and are checked by the leader first ([`change`]);
//! * *reads* ask the leader through raft, and wait here until the state has what it says ([`apply`]);
//! * *leases* are counted by the leader alone, which is asked for them ([`questions`]);
//! * *snapshots* replace the store of a member that the log cannot serve, while it runs ([`snapshots`]);
//! * *states* are compared through the log ([`comparison`]).

pub(crate) mod apply;
pub(crate) mod change;
pub(crate) mod checkpointer;
pub(crate) mod command;
pub(crate) mod compaction_hash;
pub(crate) mod comparison;
pub(crate) mod consensus;
pub(crate) mod ending;
pub(crate) mod fatal;
pub(crate) mod inbound;
pub(crate) mod inbox;
pub(crate) mod lessor;
pub(crate) mod log_preparer;
pub(crate) mod log_reader;
pub(crate) mod log_writer;
pub(crate) mod mailbox;
pub(crate) mod operation;
pub(crate) mod priority;
pub(crate) mod questions;
pub(crate) mod reply;
pub(crate) mod shared;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod views;
pub(crate) mod waiters;
pub(crate) mod worker;

#[cfg(test)]
mod tests;
