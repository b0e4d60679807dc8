//! Who connects to the peer port and is no member, or a broken one (rule S9).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use engine::peers::Peers;
use raft::{Body, Membership, Message, SnapshotMeta};

use super::super::codec::{Frame, Pong};
use super::super::frame::{self, HEAD_BYTES};
use super::harness::*;
use crate::transport::limits::FRAME_BYTES_MAX;

/// Sends a request and reads everything until the end of the stream.
pub(super) fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(cluster: &str, from: &str, to: &str) -> String {
    format!(
        "GET /quorate/peer HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: quorate-peer/1\r\n\
         x-etcd-cluster-id: {cluster}\r\nx-server-from: {from}\r\nx-raft-to: {to}\r\nx-quorate-stream: messages\r\n\r\n"
    )
}

/// A stream of messages from the member 0xb to `member`, by hand.
fn intrude(member: &Member) -> TcpStream {
    let mut stream = TcpStream::connect(member.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request("c1", "b", &format!("{:x}", member.id.0)).as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

fn wire(frame: Frame) -> Vec<u8> {
    let mut out = BytesMut::new();
    assert!(frame::put(frame, &mut out));
    out.to_vec()
}

/// Waits for the other side to close the connection.
pub(super) fn wait_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

#[test]
fn strangers_are_refused_with_etcds_words() {
    let member = Member::start(0xa);
    member.transport.set_removed([raft::NodeId(0xd)].into());
    wait_until("the removal is known", || {
        let mut stream = TcpStream::connect(member.address).unwrap();
        stream.write_all(request("c1", "d", "a").as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        status == *b"HTTP/1.1 410"
    });
    for (cluster, from, to, status, text) in [
        ("c2", "b", "a", "412 Precondition Failed", "cluster ID mismatch"),
        ("c1", "b", "c", "421 Misdirected Request", "to field mismatch"),
        ("c1", "a", "a", "409 Conflict", "the caller claims the id of this member"),
        ("c1", "d", "a", "410 Gone", "removed member"),
    ] {
        let mut stream = TcpStream::connect(member.address).unwrap();
        let last = request(cluster, from, to).replace("connection: upgrade", "connection: upgrade, close");
        let answer = exchange(&mut stream, &last);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.contains("x-server-from: a\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{text}\n")), "{answer}");
    }
}

#[test]
fn garbage_ends_a_stream_and_nothing_else() {
    let member = Member::start(0xa);
    let too_long = (FRAME_BYTES_MAX as u32 + 1).to_le_bytes();
    let mut damaged = wire(Frame::Ping(1));
    *damaged.last_mut().unwrap() ^= 1;
    let out_of_place = wire(Frame::Pong(Pong { sent: 1, answered: 0 }));
    let for_another = wire(Frame::Message(append(&member, raft::NodeId(0xc), 1, "x")));
    let install = Message {
        from: raft::NodeId(0xb),
        incarnation: raft::Incarnation(1),
        to: member.id,
        term: raft::Term(1),
        body: Body::InstallSnapshot {
            session: raft::Session(1),
            snapshot: SnapshotMeta {
                last: raft::EntryId::ZERO,
                membership: Membership::new([member.id], []),
            },
        },
    };
    let cases: [(&str, Vec<u8>); 7] = [
        ("the message of a snapshot without one", wire(Frame::Message(install))),
        ("text", b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec()),
        ("zeros", vec![0; 100]),
        ("a length that is too great", [&too_long[..], &[0; 4]].concat()),
        ("a wrong checksum", damaged),
        ("an answer to no question", out_of_place),
        ("a message in another's name", for_another),
    ];
    for (what, bytes) in cases {
        let mut stream = intrude(&member);
        stream.write_all(&bytes).unwrap();
        wait_closed(&mut stream);
        member.engine.change(|state| assert!(state.messages.is_empty(), "{what}"));
    }
    // It listens still.
    let mut stream = intrude(&member);
    stream.write_all(&wire(Frame::Ping(77))).unwrap();
    let pong = read_pong(&mut stream);
    assert_eq!(pong.sent, 77);
    assert_ne!(pong.answered, 0, "it says what time it is");
}

/// The answer to a ping.
fn read_pong(stream: &mut TcpStream) -> Pong {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).unwrap();
    let [length, _] = [0, 4].map(|at| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()));
    let mut content = vec![0; length as usize];
    stream.read_exact(&mut content).unwrap();
    match Frame::decode(content.into()).unwrap() {
        Frame::Pong(pong) => pong,
        frame => panic!("{frame:?}"),
    }
}

#[test]
fn a_frame_that_is_cut_off_is_not_delivered() {
    let (one, two) = pair();
    let message = append(&two, one.id, 1, vec![7; 1000]);
    let member = Member::start(0xa);
    let mut stream = intrude(&member);
    let bytes = wire(Frame::Message(message));
    stream.write_all(&bytes[..bytes.len() - 1]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    wait_closed(&mut stream);
    member.engine.change(|state| assert!(state.messages.is_empty()));
}

/// A peer has one stream: a second one takes the place of the first.
#[test]
fn a_new_stream_of_a_peer_ends_its_old_one() {
    let member = Member::start(0xa);
    let mut first = intrude(&member);
    let mut second = intrude(&member);
    wait_closed(&mut first);
    second.write_all(&wire(Frame::Ping(1))).unwrap();
    assert_eq!(read_pong(&mut second).sent, 1);
}

/// A stream of this kind, if the member takes it.
fn taken(member: &Member, from: u64, kind: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(member.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = request("c1", &format!("{from:x}"), &format!("{:x}", member.id.0));
    stream.write_all(request.replace("stream: messages", &format!("stream: {kind}")).as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    let is_taken = status == *b"HTTP/1.1 101";
    assert!(is_taken || status == *b"HTTP/1.1 503", "{}", status.escape_ascii());
    is_taken.then_some(stream)
}

#[test]
fn callers_that_are_no_members_are_few() {
    let member = Member::start(0xa);
    // One more than there may be, or else the test would go on for ever.
    let streams: Vec<_> = (0x100..0x109).map_while(|from| taken(&member, from, "messages")).collect();
    assert_eq!(streams.len(), 8);
}

/// Each would have a descriptor of those that the log and the store need.
#[test]
fn those_who_would_send_a_snapshot_are_few_and_come_to_the_point() {
    let member = Member::start(0xa);
    let mut streams: Vec<_> = (0x100..0x111).map_while(|from| taken(&member, from, "snapshot")).collect();
    assert_eq!(streams.len(), 16);
    drop(streams.pop());
    wait_until("the place is free again", || taken(&member, 0x200, "snapshot").is_some());
    // What is skipped is no offer.
    let unknown = b"\x04\0\0\0\x85'\x83a\xfa\x3e\x01x";
    let mut stream = streams.remove(0);
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        while writing.write_all(unknown).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    wait_closed(&mut stream);
    writer.join().unwrap();
}
