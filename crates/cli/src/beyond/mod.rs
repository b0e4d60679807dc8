//! The pure half of what `quoratectl` has and etcdctl lacks: data in, lines out.
//!
//! Nothing here talks to a server, looks at a clock or knows a terminal, so that every line that a command prints is a
//! test without any of them. The other half, the commands, is beside it in [`crate::ctl`].

pub mod diff;
pub mod doctor;
pub mod history;
pub mod linediff;
pub mod manifest;
pub mod metrics;
pub mod node;
pub mod records;
pub mod replace;
pub mod text;
pub mod top;
pub mod tree;
pub mod values;
