//! Clients that do what no client should, or more of it than usual: the member answers or refuses them, keeps its memory,
//! and others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use testkit::{Program, Server, http, require, skip};
use tokio_stream::StreamExt;
use tonic::{Code, Request};

use crate::{connect, put, runtime, subject};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method: POST`, `:scheme: http`, `:path`, `content-type: application/grpc`.
fn head(path: &str) -> Vec<u8> {
    let content_type = b"application/grpc";
    let (path_start, type_start) =
        ([0x83, 0x86, 0x04, path.len() as u8], [0x0f, 0x10, content_type.len() as u8]);
    [&path_start, path.as_bytes(), &type_start, content_type].concat()
}

fn range_head() -> Vec<u8> {
    head("/etcdserverpb.KV/Range")
}

/// A client that speaks HTTP/2 by hand.
fn http2(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.client_address()).expect("a server that serves accepts");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).expect("a server that serves reads");
    stream
}

/// The value of a metric without labels.
fn metric(server: &Server, name: &str) -> f64 {
    http::metric(&server.client_address(), name).unwrap_or_else(|| panic!("{name} is exposed"))
}

/// What a client sends for thousands of leases while a member is paused: one small frame each.
#[test]
fn keepalives_that_gather_while_a_member_is_paused_are_all_answered() {
    const KEEPALIVES_MAX: usize = 150_000;
    let program = require!("faults::keepalives", subject());
    let server = Server::start(&program, &[]);
    let mut client = http2(&server);
    let window = stream_window(&mut client);
    client
        .write_all(&frame(HEADERS, END_HEADERS, 1, &head("/etcdserverpb.Lease/LeaseKeepAlive")))
        .expect("it is read");
    // Lease 7, which there is not: that is answered, too.
    let keepalive = frame(DATA, 0, 1, b"\0\0\0\0\x02\x08\x07");
    let keepalives = keepalive.repeat((window / 7).min(KEEPALIVES_MAX));
    server.pause();
    // As much of them as the sockets take.
    client.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let mut rest = &keepalives[..];
    while let Ok(written @ 1..) = client.write(rest) {
        rest = &rest[written..];
    }
    server.resume();
    client.set_write_timeout(None).expect("a socket");
    client.write_all(rest).expect("it is read");
    client
        .write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &head("/none.None/None")))
        .expect("it is read");
    assert!(answers(&mut client, 3), "no GOAWAY before it");
}

/// As in etcd, whatever the client does. A client that ends the call by itself at its deadline does not see it; this one
/// only names a deadline.
#[test]
fn a_call_ends_at_the_deadline_that_the_client_named() {
    let program = require!("faults::deadlines", subject());
    runtime().block_on(async {
        let server = Server::start(&program, &[]);
        let channel = connect(&server).await;
        let create = pb::WatchRequest {
            request_union: Some(pb::watch_request::RequestUnion::CreateRequest(pb::WatchCreateRequest {
                key: "k".into(),
                ..Default::default()
            })),
        };
        let mut request = Request::new(tokio_stream::iter([create]).chain(tokio_stream::pending()));
        request.metadata_mut().insert("grpc-timeout", "300m".parse().expect("a header"));
        let mut watch = WatchClient::new(channel.clone()).watch(request).await.expect("a watch").into_inner();
        assert!(watch.message().await.expect("an answer").expect("an answer").created);
        let status = watch.message().await.expect_err("the end");
        if program.is_quorate() {
            assert_eq!(
                (status.code(), status.message()),
                (Code::DeadlineExceeded, "context deadline exceeded")
            );
        }
        // One that is over at once is tried in `grpc::admission`: this client would end it by itself.
        let mut request = Request::new(pb::RangeRequest { key: "k".into(), ..Default::default() });
        request.metadata_mut().insert("grpc-timeout", "abc".parse().expect("a header"));
        let status = KvClient::new(channel).range(request).await.expect_err("no answer");
        let why = "malformed grpc-timeout: transport: timeout unit is not recognized: \"abc\"";
        assert_eq!((status.code(), status.message()), (Code::Internal, why));
    });
}

/// Dashboards take what was started and not handled for what is under way.
#[test]
fn a_call_that_ends_before_its_answer_is_counted_as_handled() {
    let program = require!("faults::given_up", subject());
    if !program.is_quorate() {
        return skip::excuse("faults::given_up", "etcd counts a call when its message is there");
    }
    let server = Server::start(&program, &[]);
    let sum = |name: &str| -> f64 {
        let text = http::get(&server.client_address(), "/metrics").body;
        let lines =
            text.lines().filter(|line| line.starts_with(name) && line.contains("grpc_method=\"Put\""));
        lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")).sum()
    };
    let mut client = http2(&server);
    let timeout = b"\x00\x0cgrpc-timeout\x021m";
    let mut calls = Vec::new();
    for stream in (1..401).step_by(4) {
        calls.extend(frame(HEADERS, END_HEADERS, stream, &head("/etcdserverpb.KV/Put")));
        calls.extend(frame(DATA, END_STREAM, stream, b"\0\0\0\0\x03\x0a\x01k"));
        calls.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        // One whose message never comes.
        let late = [&head("/etcdserverpb.KV/Put"), &timeout[..]].concat();
        calls.extend(frame(HEADERS, END_HEADERS, stream + 2, &late));
    }
    client.write_all(&calls).expect("it is read");
    testkit::wait::until("all of them to be counted", || {
        (sum("grpc_server_handled_total") == 200.0 && sum("grpc_server_started_total") == 200.0).then_some(())
    });
}

/// The subject, with these limits (soft and hard) on open files.
fn limited(soft: u32, hard: u32) -> Result<Program, String> {
    let program = subject()?;
    let path = program.path().display().to_string();
    Program::within(Path::new("/usr/bin/prlimit"), &[&format!("--nofile={soft}:{hard}"), &path])
}

#[test]
fn the_limit_on_open_files_is_raised_as_far_as_it_goes() {
    let program = require!("faults::descriptor_limit", limited(64, 1000));
    let server = Server::start(&program, &[]);
    // Go leaves one free.
    assert!((999.0..=1000.0).contains(&metric(&server, "process_max_fds")));
}

#[test]
fn idle_connections_take_no_descriptors_from_the_store() {
    let program = require!("faults::descriptors", limited(256, 256));
    if !subject().is_ok_and(|program| program.is_quorate()) {
        return skip::excuse("faults::descriptors", "etcd needs a higher limit");
    }
    runtime().block_on(async {
        let server = Server::start(&program, &[]);
        let channel = connect(&server).await;
        let mut kv = KvClient::new(channel.clone());
        put(&mut kv, "k", "before").await.expect("a put");
        let mut idle = Vec::new();
        for _ in 0..400 {
            idle.push(TcpStream::connect(server.client_address()).expect("the system completes connections"));
        }
        // Those that there is no place for are closed at once, and the process goes on.
        let is_closed = |mut stream: &TcpStream| {
            stream.set_nonblocking(true).expect("a socket");
            stream.read(&mut [0]).is_ok_and(|read| read == 0)
        };
        let descriptors =
            || std::fs::read_dir(format!("/proc/{}/fd", server.id())).map_or(0, Iterator::count);
        testkit::wait::until("the server to have what it takes of them", || {
            (idle.iter().any(is_closed) || descriptors() >= 256).then_some(())
        });
        // Checkpoints, and more history than one file holds.
        let value = "v".repeat(1 << 20);
        for number in 0..160 {
            put(&mut kv, &format!("{number}"), &value).await.expect("a put");
        }
        MaintenanceClient::new(channel).defragment(pb::DefragmentRequest {}).await.expect("a checkpoint");
        put(&mut kv, "k", "after").await.expect("a put");
        drop(idle);
        let served = testkit::wait::until("a new connection to be served", || {
            http::try_get(&server.client_address(), "/health").ok()
        });
        assert_eq!(served.status, 200);
    });
}

#[test]
fn the_watchers_of_all_workers_are_counted_wherever_a_scrape_comes_to() {
    let program = require!("faults::watch_gauges", subject());
    runtime().block_on(async {
        let server = Server::start(&program, &[]);
        let mut watches = Vec::new();
        for _ in 0..6 {
            let create = pb::WatchRequest {
                request_union: Some(pb::watch_request::RequestUnion::CreateRequest(pb::WatchCreateRequest {
                    key: "k".into(),
                    ..Default::default()
                })),
            };
            // A connection of its own.
            let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
            let mut client = WatchClient::new(connect(&server).await);
            let mut watch = client.watch(requests).await.expect("a watch").into_inner();
            assert!(watch.message().await.expect("an answer").expect("an answer").created);
            watches.push(watch);
        }
        for _ in 0..6 {
            assert_eq!(metric(&server, "etcd_debugging_mvcc_watch_stream_total"), 6.0);
            assert_eq!(metric(&server, "etcd_debugging_mvcc_watcher_total"), 6.0);
        }
    });
}

/// Levels share `--max-txn-ops`, but the lists of a level do not: what all of them come to would be a million.
#[test]
fn a_transaction_of_more_operations_than_anybody_sends_is_refused() {
    let program = require!("faults::txn_operations", subject());
    if !program.is_quorate() {
        return skip::excuse("faults::txn_operations", "etcd has no limit on all operations together");
    }
    let operation = |request| pb::RequestOp { request: Some(request) };
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    let ranges = vec![operation(pb::request_op::Request::RequestRange(range)); 40];
    let nested = |success| {
        operation(pb::request_op::Request::RequestTxn(pb::TxnRequest { success, ..Default::default() }))
    };
    let txn = |lists: usize| pb::TxnRequest {
        success: vec![nested(vec![nested(ranges.clone()); 40]); lists],
        ..Default::default()
    };
    runtime().block_on(async {
        let server = Server::start(&program, &[]);
        let mut kv = KvClient::new(connect(&server).await);
        kv.txn(txn(4)).await.expect("6,000 operations");
        let status = kv.txn(txn(5)).await.expect_err("8,000 operations, and those that have them");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "etcdserver: too many operations in txn request");
    });
}

/// Clients that never read, send megabytes of a head that never ends, announce gigabytes, or give up what they ask for.
#[test]
fn bad_clients_are_refused_and_others_do_not_notice() {
    const RESIDENT_BYTES_MAX: f64 = (600 << 20) as f64;
    let program = require!("faults::bad_clients", subject());
    if !program.is_quorate() {
        return skip::excuse("faults::bad_clients", "etcd takes as much memory as it is sent");
    }
    runtime().block_on(async {
        let server = Server::start(&program, &[]);
        let mut kv = KvClient::new(connect(&server).await);
        put(&mut kv, "k", "v").await.expect("a put");
        let mut bad = Vec::new();
        for number in 0..64 {
            let mut client = http2(&server);
            let piece = frame(CONTINUATION, 0, 1, &[b'v'; 1 << 14]);
            // A field of 15 MiB, of which the last byte never comes.
            let start = [&range_head(), &b"\x00\x01x\x7f\x81\xff\xbf\x07"[..]].concat();
            client.write_all(&frame(HEADERS, 0, 1, &start)).expect("it is read");
            for _ in 0..959 {
                // It is refused when all of them together have too much.
                if client.write_all(&piece).is_err() {
                    break;
                }
            }
            bad.push(client);
            put(&mut kv, "k", &format!("{number}")).await.expect("a put amid it");
        }
        let mut hasty = http2(&server);
        for stream in (1..20_000).step_by(2) {
            let request = frame(HEADERS, END_HEADERS, stream, &range_head());
            hasty
                .write_all(&[request, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat())
                .expect("it is read");
        }
        let mut large = http2(&server);
        large.write_all(&frame(HEADERS, END_HEADERS, 1, &range_head())).expect("it is read");
        large.write_all(&frame(DATA, 0, 1, b"\x00\xff\xff\xff\xff")).expect("it is read");
        for number in 0..100 {
            put(&mut kv, "k", &format!("{number}")).await.expect("a put amid it");
        }
        let resident = metric(&server, "process_resident_memory_bytes");
        assert!(resident < RESIDENT_BYTES_MAX, "{resident} bytes of memory");
        drop(bad);
        // The connection that gave up ten thousand requests is good for more.
        hasty.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        hasty
            .write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 20_001, &range_head()))
            .expect("it is read");
        assert!(answers(&mut hasty, 20_001), "no GOAWAY before it");
    });
}

/// Returns how much may be sent in a stream: SETTINGS_INITIAL_WINDOW_SIZE of the server's first frame, or the default.
fn stream_window(client: &mut TcpStream) -> usize {
    let mut header = [0; 9];
    client.read_exact(&mut header).expect("the server's settings");
    assert_eq!(header[3], SETTINGS);
    let mut settings = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
    client.read_exact(&mut settings).expect("all of them");
    let window = settings.chunks(6).find(|setting| setting[..2] == [0, 4]);
    window.map_or(65_535, |window| u32::from_be_bytes(window[2..].try_into().expect("4 bytes")) as usize)
}

/// Reads frames until one of this stream comes. Returns whether one did.
fn answers(client: &mut TcpStream, stream: u32) -> bool {
    let mut header = [0; 9];
    while client.read_exact(&mut header).is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
        if client.read_exact(&mut payload).is_err() {
            return false;
        }
        if header[5..] == stream.to_be_bytes() {
            return true;
        }
    }
    false
}
