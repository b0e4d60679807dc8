//! Snapshots: each on a connection of its own, in chunks, at the pace of the slower side.
//!
//! ```text
//!   sender                                   receiver
//!   head: message, name of the content ────►
//!                                      ◄──── progress: has n chunks of it already
//!   chunk n, n+1 …  (eight unanswered) ────►
//!                                      ◄──── progress, after each; and each second while a disk is waited for
//!   end: there were m chunks           ────►
//!                                      ◄──── result
//! ```
//!
//! If the connection breaks, the receiver keeps what it has, and a transfer of the same content goes on there.
//!
//! The transport knows of a snapshot's content nothing but its name. Reading and writing are the work of a
//! [`SnapshotSource`](engine::peers::SnapshotSource) and a [`SnapshotSink`](engine::peers::SnapshotSink), off the
//! transport's thread, which never waits for a disk. Frames are
//! checksummed and chunks numbered; that the whole is sound is for the sink to find out (rule W8).

mod receive;
mod send;
mod stream;

pub(super) use receive::{Receiving, receive};
pub(super) use send::send;
