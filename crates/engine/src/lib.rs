//! A member without sockets, flags and gRPC: the threads that own its state, and the watches on it.
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
//! Each state has one owner, a value that takes [events](event) in rounds: [`ConsensusThread`], [`LogWriter`],
//! [`ApplyThread`]. In a member each is driven by a plain thread, which takes whole batches from its [`inbox`], handles them
//! and never waits for another's state; a test drives them by hand. Consensus never waits for a disk; the log writer is the
//! only one that does on the path of a write; the apply thread touches memory only. Nothing leaves the member before what it
//! promises is durable.
//!
//! Where to start reading: [`assembly`], which puts a member together; [`event`], what its owners say to each other;
//! [`consensus`], [`log_writer`], [`apply`], the owners; [`watch`], the hub of watchers.
//!
//! Between members ([`peers`] is the seam to the transport):
//!
//! * *raft's messages* go out at once where they depend on no disk, and after the log writer's sync where they promise
//!   something; they come in through [`inbound`];
//! * *commands* of a member that does not lead are handed on to the leader in batches, and come back if it did not take them
//!   ([`consensus`]); *changes of members* go the same way and are checked by the leader first ([`change`]);
//! * *reads* ask the leader through raft, and wait here until the state has what it says ([`apply`]);
//! * *leases* are counted by the leader alone, which is asked for them ([`questions`]);
//! * *snapshots* replace the store of a member that the log cannot serve, while it runs ([`snapshots`]);
//! * *states* are compared through the log (`comparison`).
//!
//! It does not know how a request arrives, who may ask for what, or what a token is.
//!
//! [`ConsensusThread`]: consensus::thread::ConsensusThread
//! [`LogWriter`]: log_writer::LogWriter
//! [`ApplyThread`]: apply::ApplyThread

pub mod apply;
pub mod assembly;
pub mod auth;
pub mod author;
pub mod catch_up;
pub mod change;
mod checkpointer;
mod cluster_log;
pub mod command;
mod compaction_hash;
mod comparison;
pub mod consensus;
mod defragmenter;
pub mod ending;
pub mod event;
pub mod fatal;
pub mod handles;
pub mod inbound;
pub mod inbox;
pub mod lessor;
pub mod limits;
pub mod log_preparer;
pub mod log_reader;
pub mod log_writer;
pub mod mailbox;
pub mod memory;
mod messages;
pub mod note;
pub mod operation;
pub mod peers;
pub mod priority;
pub mod published;
pub mod questions;
pub mod release;
pub mod reply;
pub mod request;
pub mod shared;
pub mod snapshots;
pub mod spawn;
pub mod status;
pub mod timing;
pub mod unstored;
pub mod views;
pub mod waiters;
pub mod watch;
pub mod wire;
pub mod worker;

#[cfg(test)]
mod tests;
