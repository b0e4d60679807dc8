//! Real servers for end-to-end tests.
//!
//! A test that wants to know what a *member* does needs a process, not a library: command line, sockets, log
//! lines, exit code, `kill -9`. This crate starts one ([`Server`]), from any binary that takes etcd's flags
//! ([`Program`]): ours, or a real etcd to compare with. Both sides of a comparison are started, polled and
//! stopped by the same code, so that a difference is a difference of the servers.
//!
//! ```no_run
//! let etcd = testkit::Program::etcd().expect("etcd is installed");
//! let mut server = testkit::Server::start(&etcd, &[]);
//! assert_eq!(testkit::http::get(&server.client_address(), "/health").status, 200);
//! server.kill();
//! server.restart(); // same ports, same data directory
//! ```
//!
//! What it does not know: gRPC, Quorate's crates, the tests. It depends on the standard library, on `tempfile`, on
//! `rcgen` for certificates and on `rustix` for SIGTERM.
//!
//! Nothing here sleeps to let something happen. Where the outside world gives no event to wait for, [`wait::until`]
//! asks again and again until a condition holds, under a deadline generous enough for a loaded machine.

pub mod cluster;
pub mod corpus;
pub mod dns;
pub mod http;
pub mod interrupt;
pub mod pki;
pub mod ports;
pub mod program;
pub mod random;
pub mod s3;
pub mod server;
pub mod skip;
pub mod tmpfs;
pub mod wait;

pub use cluster::Cluster;
pub use corpus::Corpus;
pub use interrupt::interruptible;
pub use program::{Program, Version};
pub use random::Random;
pub use server::Server;
pub use tmpfs::Tmpfs;
