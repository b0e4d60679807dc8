//! `top` in a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::run::server;

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
