//! The command-line tools: `quoratectl`, which talks to a cluster, and `quorateutl`, which reads the files of a member
//! that does not run. A binary is a call of the function of its name.
//!
//! Both are drop-ins: linked or copied as `etcdctl` or `etcdutl`, they take its command lines, print its output and
//! end with its exit codes. What scripts read is therefore what Go's standard library prints ([`go`]).
//!
//! What this crate does not know: what a command does. That is the server's business.

pub mod beyond;
pub mod ctl;
pub mod go;
pub mod util;
