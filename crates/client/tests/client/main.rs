//! The client against real servers.

mod channel;
mod kv;
mod lease;
mod setup;
mod watch;
