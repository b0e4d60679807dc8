//! The member: sockets, TLS, the API, users' tokens, flags.
//!
//! This crate puts a network and a configuration around the [engine], which owns the state. Where to start reading:
//!
//! * [`config`]: what a member is told at its start;
//! * `bootstrap`: who it is, which a new member may have to ask others; `member`: how it is put together, started and stopped;
//! * `net`: clients' sockets and connections; `tls`: certificates and handshakes;
//! * `api`: the gRPC services, one file each, on the framing of `grpc`; `readers`: what takes long to read;
//! * `gateway`: the same services in JSON; `console`: pages in a browser that call it;
//! * `auth`: on whose behalf a request is made;
//! * `transport`: members among each other;
//! * `follow`: following another cluster; `tasks`: what a member does by the clock;
//! * [`proxy`]: what the binary does in the place of a member, `gateway start` and `grpc-proxy start`;
//! * [`http`], [`metrics`], [`logging`], `spans`: what operators see.
//!
//! It does not know how consensus is reached, what a command means, or how a key is stored.

mod api;
mod auth;
mod backup_pace;
mod bootstrap;
pub mod config;
mod console;
mod error;
mod follow;
pub mod fuzz;
mod gateway;
mod grpc;
mod gzip;
pub mod http;
pub mod ids;
mod limits;
pub mod logging;
mod member;
mod memory;
mod memory_lock;
pub mod metrics;
mod net;
pub mod notify;
pub mod proxy;
mod random;
mod readers;
pub mod signals;
mod spans;
mod tasks;
mod tls;
mod transport;
mod turn;
pub mod version;

pub use bootstrap::{BootstrapError, RegistryError};
pub use engine::ending::Ending;
pub use error::StartError;
pub use member::{Running, start, start_on};
pub use memory_lock::lock_memory;
pub use net::descriptors::raise_limit as raise_descriptor_limit;
