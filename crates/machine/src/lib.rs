//! *The* replicated state machine of Quorate: commands in, outcomes and events out.
//!
//! Every member holds the same raft log and feeds it, entry by entry, to a [`Machine`]. That the members then hold
//! the same keys, leases and alarms, and give the same answers, rests on one property of this crate: applying a
//! command is a **pure, total function** of the state and the command. Pure: nothing else goes in, no clock, no
//! thread, no randomness, no flag, not even "am I the member that proposed this". Total: every command has an
//! outcome; what cannot be done is *refused*, the same everywhere. Where etcd's apply looked at something else (a
//! permission cache, who had proposed), its members diverged: issues 14571, 18667.
//!
//! ```text
//!                 ┌─ validate ──┐  propose, persist, commit  ┌──────────── Machine ───────────┐
//!  request ──────►│ shape, ops, │ ─────────────────────────► │ command ► alarms ► put, txn, … │
//!                 │ duplicates  │      InternalRaftRequest   └──┬──────────┬─────────┬────────┘
//!                 └─────────────┘                               ▼          ▼         ▼
//!                                                             reply     changes   effects
//!  read ──► read::{range, txn, RangeStream} on a View ──►   (client)  (watchers) (lease clock, …)
//! ```
//!
//! # How it runs
//!
//! The server checks the *shape* of a request ([`validate`]), because that needs no state, and proposes it. Once it
//! is committed, the apply thread hands it to [`Machine::apply`], which returns an [`Outcome`]: the [`Reply`] or
//! [`Rejection`] for the caller, the changes for the watchers, and [`Effect`]s for whoever keeps up with something
//! other than keys. Reads do not come here: they run on a view in the caller's task ([`read`]), through the same
//! code.
//!
//! State is an [`mvcc::Store`] and nothing else. Leases, alarms and members are small tables inside it, covered by
//! the same checkpoint and the same state hash; what is kept in memory besides is derived from it in
//! [`Machine::open`], the only constructor: after a crash, a restart or a snapshot there is no second way to come to
//! a state.
//!
//! **Time** is not known here. A lease has a time to live as data; that it ran out is seen by the leader's
//! [`lease_clock`], which is in this crate because it is as pure: milliseconds come in, commands to propose come out.
//!
//! **Space** is not known here either. How large a member's files are differs from member to member, so the server
//! compares it with [`quota::cost`] before it proposes; what is replicated is the alarm.
//!
//! # What it costs
//!
//! A put costs one write to the store and a fixed handful of comparisons: no allocation of its own. Replies are not
//! encoded here: a key-value was encoded when it was written, and a [`Body`] refers to those bytes. A transaction
//! costs its compares and operations, and two small vectors.
//!
//! # Invariants
//!
//! * `apply` of the same commands on the same store gives the same state hash and the same outcomes.
//! * A command that is refused leaves no trace, except that it counts as applied.
//! * All changes of a command have one revision, one more than the revision before; a command without changes has
//!   none. One that takes revisions over from another cluster has theirs ([`follow`]).
//! * A live key with a lease is in the set of that lease, which exists; and in no other.
//! * It knows no clock, socket, thread, randomness, local configuration, and nothing of raft but index and term.
//!
//! # Example
//!
//! `cargo run -p quorate-machine --example commands` runs a few commands on a simulated disk.

mod command;
mod machine;
mod outcome;
mod rejection;
mod reply;
mod source;

pub mod limits;
pub mod quota;
pub mod validate;

mod compact;
mod compare;
mod delete_range;
mod put;
mod range;
pub mod read;
pub mod txn;

pub mod auth;

pub mod follow;

pub mod agreement;
mod alarm;
pub mod inspect;
pub mod lease;
pub mod lease_clock;
mod member;
pub mod member_change;
pub mod seed;
mod tables;

pub use lease_clock::RenewEpoch;
pub use machine::{Applied, Machine, OpenError};
pub use member_change::{ChangeRules, MemberChange};
pub use outcome::{Effect, Outcome, Reading, SimpleToken};
pub use rejection::{Code, Rejection};
pub use reply::{Body, Pieces, Reply};
pub use source::Failure;
pub use tables::Malformed;
