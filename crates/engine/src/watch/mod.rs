//! Watches: one ordered stream of changes for all, and a cursor for each watcher.
//!
//! A watcher is a range of keys, the next revision that it has not been sent (which never goes down, V3), and its
//! filters: there are no groups of watchers that events could be lost between (V1). Each network worker has a
//! [`hub`] of its own with the watchers of its connections; the apply thread hands every hub the same published
//! batches. A watcher that keeps up is *live*: published changes that match are put into its stream's queue. One
//! that starts in the past, or whose stream's queue is full, is *behind*: it is fed from the hub's recent batches,
//! and beyond those from the store's history by the [`catch_up`](crate::catch_up) thread, in steps, until it is live again. It never
//! delays a write or another watcher.
//!
//! The hub is plain and synchronous: changes and requests in, queued messages and catch-up jobs out.

pub mod bounds;
pub mod hub;
pub mod permission;
mod range_set;
mod recent;
pub mod reply;
pub mod scan;
mod standing;
mod stream;
pub mod watcher;

#[cfg(test)]
mod tests;
