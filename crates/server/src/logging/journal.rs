//! Log lines in systemd's journal, by its native protocol: one datagram for each, fields one below the other.
//!
//! The fields are those of etcd: the line as it is in `MESSAGE`, its level in `PRIORITY`, and so on. A line that the journal does
//! not take goes to standard error, as in etcd.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The journal.
pub(super) struct Journal {
    /// Not connected: a journal that was started anew has another socket in the same place.
    socket: UnixDatagram,
    address: PathBuf,
    /// What the process is called.
    identifier: String,
}

impl Journal {
    /// Returns the journal that listens there.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn connect(address: &Path) -> io::Result<Journal> {
        // Whether there is one shows now.
        UnixDatagram::unbound()?.connect(address)?;
        let socket = UnixDatagram::unbound()?;
        // A line that the journal does not take at once goes to standard error.
        socket.set_nonblocking(true)?;
        let program = std::env::args_os().next().unwrap_or_default();
        let identifier = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Journal { socket, address: address.to_owned(), identifier })
    }

    /// Writes a line of this level, which the code of this directory has logged.
    pub(super) fn write(&self, line: &str, level: &str, directory: &str) {
        let mut message = Vec::with_capacity(line.len() + 128);
        push(&mut message, "PRIORITY", priority(level));
        push(&mut message, "MESSAGE", line.trim_end_matches('\n'));
        push(&mut message, "PACKAGE", directory);
        push(&mut message, "SYSLOG_IDENTIFIER", &self.identifier);
        if self.socket.send_to(&message, &self.address).is_err() {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Returns the level by syslog's number.
fn priority(level: &str) -> &'static str {
    match level {
        "debug" => "7",
        "info" => "6",
        "warn" => "4",
        "error" => "3",
        _ => "2",
    }
}

/// Appends a field. A value of several lines has its length before it.
fn push(message: &mut Vec<u8>, name: &str, value: &str) {
    message.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend_from_slice(value.as_bytes());
    message.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn a_line_is_a_datagram_with_etcds_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(Journal::connect(&path).is_err(), "nobody listens");
        let socket = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path).unwrap();
        journal.write("{\"level\":\"warn\"}\n", "warn", "logging");
        let text = String::from_utf8(received(&socket)).unwrap();
        let (fields, identifier) = text.split_once("SYSLOG_IDENTIFIER=").unwrap();
        assert_eq!(fields, "PRIORITY=4\nMESSAGE={\"level\":\"warn\"}\nPACKAGE=logging\n");
        assert!(identifier.len() > 1 && identifier.ends_with('\n'), "{identifier:?}");
        journal.write("one\ntwo\n", "fatal", "logging");
        let expected = b"PRIORITY=2\nMESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\nPACKAGE=logging\n";
        assert!(received(&socket).starts_with(expected));
    }

    #[test]
    fn a_line_that_the_journal_does_not_take_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path).unwrap();
        drop(socket);
        journal.write("to standard error\n", "info", "logging");
        // A journal that was started anew has a socket of the same name.
        std::fs::remove_file(&path).unwrap();
        let socket = UnixDatagram::bind(&path).unwrap();
        journal.write("to the next one\n", "info", "logging");
        assert!(String::from_utf8(received(&socket)).unwrap().contains("MESSAGE=to the next one"));
    }
}
