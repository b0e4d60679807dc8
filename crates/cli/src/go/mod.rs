//! What Go's standard library reads and prints, where scripts depend on it: numbers and durations on command lines,
//! quoted strings in output and in transactions.
//!
//! etcdctl is a Go program, so `--limit 0x10`, `--command-timeout 1m30s` and `mod("a\x00") > "0"` must mean here what
//! they mean there, and an error about them reads as there.

pub mod duration;
pub mod number;
pub mod quote;
