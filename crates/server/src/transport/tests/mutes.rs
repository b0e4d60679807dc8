//! Who has a connection and does not use it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use engine::peers::{Peer, Peers};
use raft::NodeId;

use super::super::context::Context;
use super::super::{Settings, door};
use super::harness::*;
use super::intruders::wait_closed;
use crate::config::MetricsDetail;
use crate::ids::{ClusterId, Identity, MemberId};
use crate::transport::limits::PEER_QUEUE_BYTES_MAX;

/// For what is expected to happen soon, and must.
const SHORT: Duration = Duration::from_millis(50);

/// A member 2 that accepts streams and then neither reads nor says anything.
struct Mute(TcpListener);

impl Mute {
    fn start() -> Mute {
        Mute(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn peer(&self) -> Peer {
        Peer { id: NodeId(2), urls: vec![format!("http://{}", self.0.local_addr().unwrap())] }
    }

    /// Accepts one stream.
    fn accept(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: quorate-peer/1\r\n\
            x-etcd-cluster-id: c1\r\nx-server-from: 2\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        stream
    }
}

#[test]
fn a_peer_that_does_not_answer_pings_is_called_again() {
    let mute = Mute::start();
    let one = Member::impatient(1, [SHORT, PATIENCE]);
    one.transport.set_peers(vec![mute.peer()]);
    let _first = mute.accept();
    let _second = mute.accept();
    assert!(one.metrics.peers.of(2).disconnected.get() >= 1);
}

#[test]
fn a_peer_that_does_not_read_costs_a_bounded_queue_and_is_called_again() {
    let mute = Mute::start();
    let one = Member::impatient(1, [PATIENCE, SHORT]);
    one.transport.set_peers(vec![mute.peer()]);
    let _first = mute.accept();
    one.wait_connected(NodeId(2));
    let chunk = 1 << 20;
    for number in 1..=2 * (PEER_QUEUE_BYTES_MAX / chunk) as u64 {
        one.transport.send(vec![append(&one, NodeId(2), number, vec![1; chunk])]);
    }
    let _second = mute.accept();
    let metrics = one.metrics.peers.of(2);
    assert!(metrics.disconnected.get() >= 1);
    assert!(metrics.sent_failures.get() > 0);
    // What was queued for the first connection is not sent on the second one.
    let sent = metrics.sent_bytes.get() as usize;
    assert!(sent < PEER_QUEUE_BYTES_MAX, "{sent} bytes are in the buffers of a socket");
}

/// A peer that is another member than it should be is not spoken to, though it accepts.
#[test]
fn an_answer_in_another_members_name_is_not_believed() {
    let mute = Mute::start();
    let one = Member::start(1);
    one.transport.set_peers(vec![Peer { id: NodeId(3), ..mute.peer() }]);
    let mut first = mute.accept();
    wait_closed(&mut first);
    assert_eq!(one.transport.active_since(NodeId(3)), None);
}

/// Somebody who sends the head of a request byte by byte, or not at all, is shut out.
#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = Settings {
        identity: Identity { cluster: ClusterId(CLUSTER), member: MemberId(1) },
        advertised: Vec::new(),
        read_timeout: PATIENCE,
        write_timeout: PATIENCE,
        connector: crate::tls::Connector::for_tests(),
    };
    let metrics = crate::metrics::of_server(MetricsDetail::Basic);
    let context = Context::new(settings, Default::default(), inbound(Default::default()), metrics.into());
    // Ends with the test's process.
    std::thread::spawn(move || {
        runtime.block_on(door::accept(crate::tls::Listener::Tcp(listener), SHORT, http(), context))
    });
    for begun in ["", "G", "GET /quorate/peer HTTP/1.1\r\nhost: x\r\nconnection: up"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        wait_closed(&mut stream);
    }
}
