//! What Go's standard library reads and prints, where flags, files and scripts of etcd depend on it.
//!
//! etcd and its tools are Go programs: `--watch-progress-notify-interval=1m30s` and `--command-timeout 1.5s` must mean here
//! what they mean there. What more than one of our crates reads so is here, once: durations. Numbers and quoted strings
//! have one reader each, the server's configuration and the tools, which differ in what they say of a mistake.
//!
//! What this crate does not know: what a flag is for.

mod duration;

pub use duration::{DurationError, Nanos};
