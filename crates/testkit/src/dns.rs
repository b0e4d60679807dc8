//! A name server for tests: a few SRV and A records, over UDP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Record types (RFC 1035, section 3.2.2; RFC 2782).
const A: u16 = 1;
const SRV: u16 = 33;

/// A question's and a record's class.
const INTERNET: u16 = 1;

/// How often the server looks whether it is to end.
const PAUSE: Duration = Duration::from_millis(50);

/// A record, with its name in lower case and without a dot at the end.
#[derive(Debug, Clone)]
pub enum Record {
    /// A host's address.
    A(String, Ipv4Addr),
    /// One of a service's places: name, host, port.
    Srv(String, String, u16),
}

impl Record {
    fn name(&self) -> &str {
        match self {
            Record::A(name, _) | Record::Srv(name, ..) => name,
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Record::A(..) => A,
            Record::Srv(..) => SRV,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Record::A(_, address) => address.octets().into(),
            Record::Srv(_, host, port) => {
                // Priority and weight are equal for all.
                let mut data = vec![0, 0, 0, 0];
                data.extend(port.to_be_bytes());
                for label in host.split('.') {
                    data.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
                    data.extend(label.as_bytes());
                }
                data.push(0);
                data
            }
        }
    }
}

/// A name server on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Serves `records` at `address`.
    ///
    /// # Errors
    /// When the address is not to be had: ports below 1024 need a privilege.
    pub fn start(address: SocketAddr, records: Vec<Record>) -> io::Result<NameServer> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(PAUSE))?;
        let address = socket.local_addr()?;
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        let thread = std::thread::spawn(move || {
            let mut question = [0; 1500];
            while !told.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                if let Some(answer) = answer(&question[..length], &records) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(NameServer { address, ends, thread: Some(thread) })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer to a message with one question; `None` for anything else.
fn answer(message: &[u8], records: &[Record]) -> Option<Vec<u8>> {
    let (header, body) = message.split_at_checked(12)?;
    let (name, length) = question_name(body)?;
    let question = body.get(..length + 4)?;
    let kind = u16::from_be_bytes([question[length], question[length + 1]]);
    let known: Vec<&Record> = records.iter().filter(|record| record.name() == name).collect();
    let found: Vec<&&Record> = known.iter().filter(|record| record.kind() == kind).collect();

    let mut answer = header[..2].to_vec();
    // A response, authoritative, recursion as desired and available; no such name, or no error.
    answer.extend([0x84 | (header[2] & 1), 0x80 | if known.is_empty() { 3 } else { 0 }]);
    for count in [1, found.len() as u16, 0, 0] {
        answer.extend(count.to_be_bytes());
    }
    answer.extend(question);
    for record in found {
        // The name is that of the question, at byte 12.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend(INTERNET.to_be_bytes());
        answer.extend(60_u32.to_be_bytes());
        let data = record.data();
        answer.extend((data.len() as u16).to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

/// The name at the start, in lower case, and its length as it is there.
fn question_name(mut bytes: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut length = 0;
    loop {
        let (size, rest) = bytes.split_first()?;
        length += 1 + usize::from(*size);
        if *size == 0 {
            return Some((labels.join("."), length));
        }
        let (label, rest) = rest.split_at_checked(usize::from(*size))?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        bytes = rest;
    }
}

#[test]
fn a_question_is_answered_from_the_records() {
    let records = [
        Record::Srv("_s._tcp.x".to_owned(), "a.x".to_owned(), 258),
        Record::A("a.x".to_owned(), Ipv4Addr::LOCALHOST),
    ];
    let ask = |name: &[u8], kind: u8| {
        let message = [&[7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, kind, 0, 1]].concat();
        answer(&message, &records).expect("an answer")
    };
    let found = ask(b"\x02_S\x04_tcp\x01x\x00", 33);
    assert_eq!(found[..8], [7, 8, 0x85, 0x80, 0, 1, 0, 1]);
    assert!(found.ends_with(
        b"\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x0b\x00\x00\x00\x00\x01\x02\x01a\x01x\x00"
    ));
    assert!(ask(b"\x01a\x01x\x00", 1).ends_with(&[0, 4, 127, 0, 0, 1]));
    assert_eq!(ask(b"\x01a\x01x\x00", 28)[3..8], [0x80, 0, 1, 0, 0], "known, but not of this type");
    assert_eq!(ask(b"\x01b\x01x\x00", 1)[3] & 15, 3, "no such name");
    assert_eq!(answer(b"short", &records), None);
}
