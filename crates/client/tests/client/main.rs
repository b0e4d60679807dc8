//! The client against real servers.

mod channel;
mod setup;
