//! What Go says of commands that fail: `watch` and `lock` run some.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::go::quote::quote;

/// Returns what Go says of a process that ended badly.
pub fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => format!("signal: {}", signal_name(status.signal().unwrap_or_default())),
    }
}

/// Returns what Go says of a program that does not start.
pub fn unstartable(program: &OsStr, error: &io::Error) -> String {
    let name = quote(program.as_bytes());
    match error.kind() {
        io::ErrorKind::NotFound => format!("exec: {name}: executable file not found in $PATH"),
        _ => format!("exec: {name}: {error}"),
    }
}

fn signal_name(number: i32) -> String {
    match number {
        1 => "hangup".to_owned(),
        2 => "interrupt".to_owned(),
        3 => "quit".to_owned(),
        6 => "aborted".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        other => format!("signal {other}"),
    }
}
