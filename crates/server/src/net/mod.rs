//! Sockets and the threads that serve them.
//!
//! A network worker is one thread with a current-thread runtime. A connection is accepted by the first worker, handed
//! to one of them in turn, and stays there: its requests, watches and replies never cross to another network thread
//! (measured: half the CPU per call of a work-stealing runtime).

pub(crate) mod accept;
mod authority;
pub(crate) mod backlog;
pub(crate) mod connection;
mod conversation;
pub(crate) mod descriptors;
pub(crate) mod dial;
mod frames;
pub(crate) mod heads;
mod huffman;
mod inbound;
mod intake;
pub(crate) mod listen;
mod outbound;
mod pings;
pub(crate) mod serve;
pub(crate) mod serve_all;
mod socket;
pub(crate) mod trace;
mod unread;

#[cfg(test)]
mod tests;
