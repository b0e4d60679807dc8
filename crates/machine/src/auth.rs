//! Users, roles and permissions: who may do what.
//!
//! Part of *the* state machine, like keys and leases: in the same log, the same checkpoint, the
//! same state hash. A **user** has a name, perhaps a password, and roles; a **role** has
//! permissions, each to read or write (or both) a range of keys; the role `root` permits
//! everything. While authentication is off, all of it may be prepared and nothing is checked.
//!
//! ```text
//!  token, certificate ──► Identity{user, auth revision}   in the command's header
//!                             │
//!  command ── Access ──► authorise(AuthState, Leases) ──► refused, or applied            in apply
//!  read    ── Access ──► authorise(AuthState) ──► read on a view ──► same auth revision?   on a view
//! ```
//!
//! # One check
//!
//! The faults of this kind that became known (CVE-2023-32082, CVE-2026-33343, -33413, -44283,
//! -73499) are one: a path on which nobody had written the check. So there is one function, and no
//! path around it (rule S2):
//!
//! * every command is classified ([`Access`]) in a `match` without a default arm, and checked **in
//!   apply**, against the state that it is about to change: on every member alike, whoever proposed
//!   it;
//! * the check sees the request as it was sent, goes into every nested transaction, into both
//!   branches, into compares, and asks about what is *returned* as well as about what is written;
//! * every method of the API has a row in the server's table that says who may call it
//!   ([`Policy`], rule S1).
//!
//! A change of members is the one command that apply must not refuse, as raft has taken it up
//! before it is applied (rule M1). It is checked before it is proposed, by the leader
//! ([`Machine::check_change`](crate::Machine::check_change)).
//!
//! # Readers
//!
//! A read runs beside the apply thread, on a view that is not frozen. That it never returns what
//! its caller may not see rests on an order. The shell publishes
//! [`Machine::auth`](crate::Machine::auth) **before it applies the command after** one with an
//! [`Effect::AuthChanged`](crate::Effect::AuthChanged); a reader
//!
//! 1. takes the published state, and asks it ([`AuthState::authorise`]);
//! 2. reads from the view;
//! 3. takes the published state again: if its revision is another, or it is switched on or off, the
//!    answer is thrown away, and the read starts over or is refused with `AuthOldRevision`, as in
//!    etcd.
//!
//! Keys that the reader saw were then written before any later change of permissions.
//! (`Arc::ptr_eq` says whether it is another state: a change never happens in place while a reader
//! holds the state of before.) A watch asks when it is created and again when the state was
//! published anew (rule V6), with [`Identity::renewed`], and before it gets the changes that were
//! applied with it. A snapshot or a restart makes a new machine, and the shell publishes its state
//! like that of a change.
//!
//! # The auth revision
//!
//! Counts the changes of users, roles and permissions, and being switched off. An identity
//! remembers at which it was found out, and a command on keys with an older one is refused: between
//! proposing and applying it, something may have been taken from the user. It starts at 1, and is
//! written with the first change, so a cluster that never had users has no records of them.
//!
//! # What is remembered
//!
//! The union of a user's permissions is made when somebody first asks, and belongs to the entry of
//! the user; a change to a role replaces the entries of those who hold it. etcd keeps a cache
//! beside the state, and members with different caches once applied the same command differently
//! (etcd-io/etcd#14571). Here it is a function of the state, and there is no other way to make a
//! state than to read it from the store and to apply commands (rule A3).
//!
//! # What it costs
//!
//! With authentication off: one branch. With it on: to find the user, and for each key or range to
//! find its interval, both in O(log n); the keys of a lease are compared with the intervals in
//! whichever is less, keys or intervals. A change copies a few kilobytes, whatever the number of
//! users; a change to a role also looks at the roles of every user.
//!
//! # Where etcd does otherwise
//!
//! * A transaction without operations needs a user. etcd serves it to everybody.
//! * A certificate without a common name is nobody's where any user will do; in etcd its owner counts
//!   as a user there.
//! * A range that is granted again is granted once: what it permits is replaced. etcd keeps both,
//!   unless no other range of the role starts at the same key, so that to take writing away does
//!   not take it away.
//! * A name longer than [`AUTH_NAME_BYTES_MAX`](crate::limits::AUTH_NAME_BYTES_MAX) is refused.
//!   etcd ends its process.
//! * Whoever changes members, compacts or changes alarms is checked where the command takes effect;
//!   etcd checks once, on the member that was asked.
//! * A password in plain text in a command is refused; etcd takes such commands, from logs of
//!   before 3.5, and hashes with a salt that differs between members.

mod access;
mod check;
mod command;
mod directory;
pub mod fuzz;
mod identity;
mod intervals;
mod policy;
mod role;
mod span;
mod state;
mod switch;
pub(crate) mod tables;
mod user;

pub use access::Access;
pub(crate) use command::AuthCommand;
pub use identity::Identity;
pub use policy::Policy;
pub use state::{AuthState, User};

/// The user who can always administrate, and the role that permits everything.
pub const ROOT: &str = "root";
