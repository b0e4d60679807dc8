//! Raft as a deterministic state machine, and its durable log.
//!
//! A [`Node`] is one member's part of the consensus. It is a plain value: it starts no thread, opens no file, asks no
//! clock. Its owner, the *shell*, feeds it what happens (ticks, messages, proposals, "this is durable") and then carries
//! out what [`Node::ready`] returns. One member that elects itself and commits a command:
//!
//! ```
//! use bytes::Bytes;
//! use raft::{Config, Membership, Node, NodeId, Payload, Restored};
//!
//! let alone = Membership::new([NodeId(1)], []);
//! let mut node = Node::new(Config::new(NodeId(1), 42), Restored::fresh(alone));
//! node.campaign();
//!
//! let mut applied = Vec::new();
//! let mut proposed = false;
//! while let Some(ready) = node.ready() {
//!     // 1. Send `ready.send` at once: none of it depends on this disk.
//!     // 2. Write; when it is durable, send what waited for it and say so.
//!     if let Some(persist) = ready.persist {
//!         node.persisted(persist.ack);
//!     }
//!     // 3. Apply what is committed.
//!     for entry in ready.committed {
//!         node.applied(entry.index);
//!         if let Payload::Command(command) = entry.payload {
//!             applied.push(command);
//!         }
//!     }
//!     if !proposed && node.status().is_established {
//!         proposed = node.propose(Bytes::from("hello")).is_ok();
//!     }
//! }
//! assert_eq!(applied, ["hello"]);
//! ```

mod core;
pub mod durable;

pub use crate::core::entry::{Entry, MembershipEntry, Payload};
pub use crate::core::id::{Boot, EntryId, Incarnation, Index, NodeId, ReadToken, Session, Term};
pub use crate::core::leader::{ChangeError, ProposeError, TransferError};
pub use crate::core::limits::{Limits, MEMBERS_MAX, VOTERS_MAX};
pub use crate::core::membership::{ChangeRefused, History, Membership, MembershipChange};
pub use crate::core::message::{Body, CampaignReason, Message, SnapshotMeta, StepError};
pub use crate::core::node::{Node, ReadError};
pub use crate::core::quorum::Tally;
pub use crate::core::reads::{ReadRequestId, Round};
pub use crate::core::ready::{
    Fetch, FetchPurpose, FollowerStatus, HardState, Persist, Persisted, ReadReady, Ready, RoleChange,
    RoleName, SnapshotWanted, Status,
};
pub use crate::core::state::{Config, Restored};
pub use crate::core::terms::TermRuns;
