//! The commands that etcdctl lacks. What they print is made by the pure functions of [`crate::beyond`]: here is who asks the
//! servers for it.
//!
//! They print lines for people (`-w` other than `simple` is refused), coloured on a terminal and plain elsewhere. What they
//! have in common is in [`lines`]; [`pages`] reads many keys, [`members`] asks members one by one, [`http`] reads their metrics.

use super::commands::Command;

pub mod apply;
pub mod decoded;
pub mod diff;
pub mod doctor;
pub mod edit;
pub mod event_stream;
pub mod export;
pub mod file;
pub mod follow;
pub mod history;
pub mod http;
pub mod import;
pub mod lines;
pub mod members;
pub mod pages;
pub mod replace;
pub mod top;
pub mod tree;

/// All of them.
pub const COMMANDS: &[Command] = &[
    top::COMMAND,
    doctor::COMMAND,
    replace::COMMAND,
    follow::COMMAND,
    tree::COMMAND,
    diff::COMMAND,
    history::COMMAND,
    edit::COMMAND,
    apply::COMMAND,
    export::COMMAND,
    import::COMMAND,
];
