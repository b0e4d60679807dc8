//! The client against Debian's etcd: the tests of `tests/client` that need no more than one member and what etcd 3.4 has.

#[path = "../client/channel.rs"]
mod channel;
#[path = "../client/kv.rs"]
mod kv;
#[path = "../client/lease.rs"]
mod lease;
#[path = "../client/services.rs"]
mod services;
mod setup;
#[path = "../client/watch.rs"]
mod watch;
