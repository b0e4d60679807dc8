//! The client against Quorate.

mod channel;
mod failover;
mod kv;
mod lease;
mod options;
mod proxy;
mod services;
mod setup;
mod tls;
mod watch;
