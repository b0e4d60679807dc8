//! The commands that etcdctl lacks, on real servers.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod cluster;
mod keys;
mod run;
mod terminal;
