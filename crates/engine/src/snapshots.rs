//! Snapshots between the store and the transport: where received ones are built, and the two ends of a transfer.
//!
//! ```text
//!  leader    raft wants one ─► apply: last checkpoint, or a new one ─► consensus: its configuration ─► transport
//!  follower  transport ─► a directory beside the store ─► consensus: raft decides ─► log: noted that it comes
//!            ─► apply: the store is replaced ─► log: begins behind it ─► raft goes on
//! ```
//!
//! A crash leaves the old store with the old log, or the new store with the note in the log that says so (rule W8).

pub mod made;
pub mod place;
pub mod receiver;

#[cfg(test)]
mod tests;
