//! Members among each other.
//!
//! Each pair of members has two connections, one for each direction: who dials sends, who accepts receives. So each
//! direction is one ordered stream, and which of them is broken is plain to see. A peer that cannot be reached costs an
//! attempt now and then; what is meant for it is dropped, and raft sends again what it still needs.

mod codec;
mod context;
mod dial;
mod door;
mod drift;
mod frame;
mod handle;
mod handshake;
mod inlet;
pub(crate) mod limits;
mod link;
mod pause;
mod snapshot;
mod switch;
#[cfg(test)]
mod tests;
mod thread;

pub(crate) use context::Settings;
pub(crate) use door::PeerHttp;
pub(crate) use handle::Transport;
pub(crate) use thread::{Listeners, SecureListeners, TransportThread};
