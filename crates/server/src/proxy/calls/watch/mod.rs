//! `etcdserverpb.Watch`: many watchers of a range are one watcher of a member.
//!
//! ```text
//!  client streams ──commands──► session, a task ──one stream──► member
//!        ▲                          │   └ sharing: who gets what, pure
//!        └──── queues, bounded ◄────┘
//! ```
//!
//! A [`session`] serves all streams whose callers a member would take for the same: with the same token, and with the
//! same demand for a leader. So nobody gets an event by the permission of another user. Whether a watch is permitted is the member's
//! decision when it takes the shared one; a watcher that joins it is permitted by that. A member that looks at its watchers
//! again when permissions change ends the shared one then. One that does not goes on, as with a watch of the client's own, and
//! the user may join it again as long as it is there.
//!
//! A client that does not read does not hold up others: what waits for it is bounded, nothing more is taken of what it asks for, and a watcher for which there is no room is taken
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
