//! Commands in a pseudo-terminal, and in a pipe whose other end is gone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::run::{Tool, server};

/// A terminal of this size: what a person sits at, and what a program writes to.
fn terminal(columns: u16, rows: u16) -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&program, size).unwrap();
    (File::from(person), program)
}

/// Runs `top` until the text is on the screen, types `q`, and returns everything that was written.
fn watched(columns: u16, rows: u16, text: &str) -> String {
    let (_server, tool) = server();
    tool.put("/a", "b");
    let (mut person, program) = terminal(columns, rows);
    let mut command = tool.command(&["top", "--interval=100ms"]);
    command.env("TERM", "xterm");
    let end = || Stdio::from(program.try_clone().unwrap());
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    drop((command, program));
    let mut written = String::new();
    let mut buffer = [0; 4096];
    while !written.contains(text) {
        let count = person.read(&mut buffer).unwrap();
        written += &String::from_utf8_lossy(&buffer[..count]);
    }
    person.write_all(b"q").unwrap();
    // The terminal must be read to its end, or its program waits for room to write.
    while let Ok(count @ 1..) = person.read(&mut buffer) {
        written += &String::from_utf8_lossy(&buffer[..count]);
    }
    assert!(child.wait().unwrap().success(), "{written}");
    written
}

#[test]
fn top_draws_until_q_and_leaves_the_terminal_as_it_was() {
    let written = watched(100, 20, "leader");
    assert!(written.contains("\x1b[?1049h"), "the other screen is entered: {written}");
    assert!(written.contains("\x1b[?1049l"), "and left: {written}");
}

#[test]
fn top_fits_into_twenty_columns() {
    watched(20, 4, "MEMBER");
}

/// Commands that print lines, tables or findings, and whether they have colours.
const SHOWN: [(&[&str], bool); 12] = [
    (&["get", "/a", "--prefix"], true),
    (&["member", "list", "-w", "table"], false),
    (&["endpoint", "status", "-w", "table"], false),
    (&["endpoint", "health"], false),
    (&["lease", "list"], false),
    (&["tree", "/"], false),
    (&["history", "/a"], false),
    (&["diff", "--rev", "2", "--rev", "3", "/"], true),
    (&["doctor"], true),
    (&["top", "--once"], false),
    (&["export", "/"], false),
    (&["get", "--help"], false),
];

/// Two revisions of a key, for there to be something to show.
fn filled(tool: &Tool) {
    tool.put("/a", "one");
    tool.put("/a", "two");
}

/// Runs a command to its end on a terminal of so many columns; returns what it wrote and its exit code.
fn on_terminal(tool: &Tool, arguments: &[&str], columns: u16, is_plain: bool) -> (String, Option<i32>) {
    let (mut person, program) = terminal(columns, 24);
    let mut command = tool.command(arguments);
    command.env("TERM", "xterm");
    if is_plain {
        command.env("NO_COLOR", "1");
    }
    let end = || Stdio::from(program.try_clone().unwrap());
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    drop((command, program));
    let (mut written, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = person.read(&mut buffer) {
        written.extend_from_slice(&buffer[..count]);
    }
    (String::from_utf8_lossy(&written).into_owned(), child.wait().unwrap().code())
}

#[test]
fn a_terminal_has_colours_unless_it_is_not_to_and_twenty_columns_are_enough() {
    let (_server, tool) = server();
    filled(&tool);
    for (arguments, is_coloured) in SHOWN {
        let code = tool.run(arguments).code;
        for columns in [20, 200] {
            let (shown, ended) = on_terminal(&tool, arguments, columns, false);
            assert_eq!(ended, code, "{arguments:?} {columns}: {shown}");
            assert!(!shown.trim().is_empty(), "{arguments:?}");
            assert!(!shown.contains("panicked"), "{arguments:?} {columns}: {shown}");
            assert_eq!(shown.contains("\x1b["), is_coloured, "{arguments:?} {columns}: {shown:?}");
            let (plain, ended) = on_terminal(&tool, arguments, columns, true);
            assert_eq!(ended, code, "{arguments:?} {columns}: {plain}");
            assert!(!plain.contains("\x1b["), "{arguments:?} {columns}: {plain:?}");
        }
        assert!(!tool.run(arguments).stdout.contains("\x1b["), "{arguments:?} in a pipe");
    }
}

#[test]
fn a_reader_that_is_gone_ends_every_command_quietly() {
    let (_server, tool) = server();
    filled(&tool);
    for (arguments, _) in SHOWN {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = tool.command(arguments);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}
