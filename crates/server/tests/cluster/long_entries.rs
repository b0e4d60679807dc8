//! What is longer than a file of the raft log is refused, whoever sends it: in the log, it would end the process that cannot store
//! it, and each one after it that took over.

use std::io::{Read, Write};
use std::net::TcpStream;

use prost::Message;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::quoratepb as peer;
use proto::quoratepb::peer_frame::Content;
use proto::quoratepb::{peer_entry, peer_message};
use testkit::Server;
use tonic::Code;

use super::client::{channel, get, put, status};
use super::program;

/// The longest entry that a file of 64 MiB takes.
const ENTRY_BYTES_MAX: usize = 66_059_748;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_clients_request_that_is_longer_than_the_log_takes_is_refused() {
    let flag = format!("--max-request-bytes={ENTRY_BYTES_MAX}");
    let member = Server::start(&program(), &[&flag]);
    runtime().block_on(async {
        let value = vec![7; ENTRY_BYTES_MAX - 10];
        let request = pb::PutRequest { key: "long".into(), value: value.into(), ..Default::default() };
        let refused =
            KvClient::new(channel(&member)).put(request).await.expect_err("its envelope is too much");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::InvalidArgument, "etcdserver: request is too large")
        );
        put(&member, "k", "v").await.expect("the member lives");
    });
}

/// A caller of the peer port that is no member: `101`, and the stream for frames.
fn call(member: &Server, cluster: u64, id: u64) -> TcpStream {
    let mut stream = TcpStream::connect(member.peer_address()).expect("the peer port listens");
    let head = format!(
        "GET /quorate/peer HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: quorate-peer/1\r\n\
         x-etcd-cluster-id: {cluster:x}\r\nx-server-from: {CALLER:x}\r\nx-raft-to: {id:x}\r\n\
         x-server-version: 3.7.1\r\nx-peerurls: http://127.0.0.1:1\r\nx-quorate-stream: messages\r\n\
         x-quorate-process: 1\r\n\r\n",
        member.peer_address()
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

const CALLER: u64 = 0xabc;

fn send(stream: &mut TcpStream, content: Content) {
    let body = peer::PeerFrame { content: Some(content) }.encode_to_vec();
    let length = (body.len() as u32).to_le_bytes();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(&body);
    for part in [&length[..], &crc.finalize().to_le_bytes(), &body] {
        stream.write_all(part).expect("written");
    }
}

/// Returns when the member has read everything that was sent before: it answers a ping behind it.
fn await_pong(stream: &mut TcpStream) {
    send(stream, Content::Ping(peer::PeerPing { sent: 9, ..Default::default() }));
    let mut head = [0; 8];
    stream.read_exact(&mut head).expect("a pong");
    let mut body = vec![0; u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize];
    stream.read_exact(&mut body).expect("a pong");
    let frame = peer::PeerFrame::decode(&body[..]).expect("a frame");
    assert!(matches!(frame.content, Some(Content::Pong(_))), "{frame:?}");
}

fn proposals(bytes: usize) -> Content {
    let proposal = peer::PeerProposal { id: 1, command: vec![7; bytes].into() };
    Content::Proposals(peer::PeerProposals { proposals: vec![proposal] })
}

/// From one who says that it leads a later term.
fn append(to: u64, bytes: usize) -> Content {
    let payload = peer_entry::Payload::Command(vec![7; bytes].into());
    let entry = peer::PeerEntry { index: 1_000, term: 50, payload: Some(payload) };
    let previous = Some(peer::PeerEntryId { index: 999, term: 50 });
    let append = peer_message::Append { session: 1, previous, entries: vec![entry], commit: 0 };
    Content::Message(peer::PeerMessage {
        from: CALLER,
        incarnation: 1,
        to,
        term: 50,
        body: Some(peer_message::Body::Append(append)),
    })
}

#[test]
fn a_peers_entry_that_is_longer_than_the_log_takes_is_refused() {
    let member = Server::start(&program(), &[]);
    runtime().block_on(async {
        put(&member, "k", "v").await.expect("a member that serves");
        let before = status(&member).await.expect("it serves");
        let header = before.header.expect("a reply has a header");
        for content in [proposals(ENTRY_BYTES_MAX + 1), append(header.member_id, ENTRY_BYTES_MAX + 1)] {
            let mut stream = call(&member, header.cluster_id, header.member_id);
            send(&mut stream, content);
            await_pong(&mut stream);
            put(&member, "k", "w").await.expect("the member lives");
        }
        let after = status(&member).await.expect("it serves");
        assert_eq!(after.raft_index, before.raft_index + 2, "nothing came into the log but the puts");
        assert_eq!(after.raft_term, before.raft_term, "a refused append moves no term");
        assert_eq!(get(&member, "k").await.expect("it serves").as_deref(), Some("w"));
    });
}
