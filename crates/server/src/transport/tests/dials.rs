//! What a member is told that calls where it should not.

use std::net::TcpListener;

use engine::peers::Peers;
use raft::NodeId;

use super::super::Settings;
use super::super::context::Context;
use super::super::dial::dial;
use super::super::handshake::StreamKind;
use super::harness::*;
use crate::config::{MetricsDetail, Url};
use crate::ids::{ClusterId, Identity, MemberId};
use crate::tls::Connector;

/// Calls the member `to` at `url`. If that fails, why: the text, and whether it is that the caller was removed.
fn call(cluster: u64, from: u64, to: u64, url: &str) -> Option<(String, bool)> {
    let identity = Identity { cluster: ClusterId(cluster), member: MemberId(from) };
    let settings = Settings {
        identity,
        advertised: Vec::new(),
        read_timeout: PATIENCE,
        write_timeout: PATIENCE,
        connector: Connector::for_tests(),
    };
    let metrics = crate::metrics::of_server(MetricsDetail::Basic);
    let context = Context::new(settings, Default::default(), inbound(Default::default()), metrics.into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let urls = [Url::parse(url).unwrap()];
    let dialed = runtime.block_on(dial(NodeId(to), &urls, StreamKind::Messages, &context));
    dialed.err().map(|error| (error.to_string(), error.is_removed()))
}

#[test]
fn a_caller_that_is_refused_learns_why() {
    let member = Member::start(0xa);
    let url = format!("http://{}", member.address);
    member.transport.set_removed([NodeId(0xd)].into());
    wait_until("the removal is known", || {
        call(CLUSTER, 0xd, 0xa, &url).is_some_and(|(_, is_removed)| is_removed)
    });
    for (cluster, from, to, is_removed, why) in [
        (0xc2, 0xb, 0xa, false, "refused with 412 Precondition Failed: cluster ID mismatch"),
        (CLUSTER, 0xb, 0xe, false, "refused with 421 Misdirected Request: to field mismatch"),
        (CLUSTER, 0xa, 0xa, false, "refused with 409 Conflict: the caller claims the id of this member"),
        (CLUSTER, 0xd, 0xa, true, "refused with 410 Gone: removed member"),
    ] {
        assert_eq!(call(cluster, from, to, &url), Some((format!("{url}: {why}"), is_removed)));
    }
}

#[test]
fn a_caller_that_reaches_nobody_learns_why() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nowhere}");
    let (text, _) = call(CLUSTER, 1, 2, &url).unwrap();
    assert!(text.starts_with(&format!("{url}: Connection refused")), "{text}");
    let missing = "unix:///nosuch: No such file or directory (os error 2)";
    assert_eq!(call(CLUSTER, 1, 2, "unix:///nosuch"), Some((missing.to_owned(), false)));
}

/// Something that speaks HTTP, and is no member.
#[test]
fn a_caller_that_reaches_something_else_learns_what() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 19\r\n\r\n404 page not found\n";
        std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
        std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
    });
    let (text, _) = call(CLUSTER, 1, 2, &url).unwrap();
    server.join().unwrap();
    assert_eq!(text, format!("{url}: refused with 404 Not Found: 404 page not found"));
}
