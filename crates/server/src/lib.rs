//! The member: threads, sockets, clocks, flags.
//!
//! This crate composes the others behind etcd's gRPC API. Where to start reading:
//!
//! * [`config`]: what a member is told at its start;
//! * `member`: how it is put together, started and stopped;
//! * `engine`: the threads that own the state, and the life of a put;
//! * `api`: the gRPC services, one file each, on the framing of `grpc`;
//! * `auth`: on whose behalf a request is made;
//! * `transport`: members among each other;
//! * `watch`: who is told of which change;
//! * [`http`], [`metrics`], [`logging`]: what operators see.
//!
//! It is the shell around pure cores: the clocks, threads, sockets and randomness that `raft`, `machine` and `mvcc`
//! do not have are all here. It does not know how consensus is reached, what a command means, or how a key is stored.

mod api;
mod auth;
mod bootstrap;
pub mod config;
mod error;
mod follow;
pub mod fuzz;
mod grpc;
mod gzip;
pub mod http;
pub mod ids;
mod limits;
pub mod logging;
mod member;
pub mod metrics;
mod net;
pub mod notify;
mod random;
mod readers;
pub mod signals;
mod tasks;
mod tls;
mod transport;
mod turn;
pub mod version;

pub use bootstrap::BootstrapError;
pub use engine::ending::Ending;
pub use error::StartError;
pub use member::{Running, start, start_on};
pub use net::descriptors::raise_limit as raise_descriptor_limit;
