//! `etcdserverpb.Watch`: many watchers of a range are one watcher of a member.
//!
//! ```text
//!  client streams ──commands──► session, a task ──one stream──► member
//!        ▲                          │   └ sharing: who gets what, pure
//!        └──── queues, bounded ◄────┘
//! ```
//!
//! A [`session`] serves all streams whose callers a member would take for the same: with the same token, and with the
//! same demand for a leader. So a member checks the permission of every watcher, at its start and whenever permissions change,
//! and nobody gets an event by somebody else's.
//!
//! A client that does not read does not hold up others: what waits for it is bounded, and a watcher for which there is no room is taken
//! off what it shares. When its stream has been read, it goes on where it was, with a watch of its own until it has
//! caught up.
//!
//! When a member is gone, what is shared goes on with another one where it was. If none is there, or if the member has ended the
//! stream for another reason (it knows no leader, and the callers insist on one), the clients' streams end with that
//! status, and clients resume their watches as they do without a proxy.

mod hub;
mod queue;
mod reply;
mod session;
mod sharing;
mod stream;

pub(super) use hub::Hub;
