//! Connections seen from the client's side of the wire, byte by byte.

mod heads;
mod libraries;
mod names;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::connection::{self, Budgets, Http2Settings, Terms};
use crate::grpc::body::ResponseBody;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END: u8 = 0x4 | 0x1;

const HOUR: Duration = Duration::from_secs(3600);

const SHORT: Duration = Duration::from_millis(20);

fn settings(ping_min_time: Duration) -> Http2Settings {
    Http2Settings {
        max_concurrent_streams: 100,
        keepalive_interval: None,
        keepalive_timeout: HOUR,
        ping_min_time,
        head_within: HOUR,
    }
}

/// A client's end of a connection.
struct Client(TcpStream);

/// The other end.
struct Server {
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

/// A frame's type, flags and payload.
type Frame = (u8, u8, Vec<u8>);

impl Client {
    /// Connects to a server that answers `/wait` never, `/later` a little later, `/long` with many bytes, and anything else
    /// with the request's authority, or `none`.
    async fn connect_to(settings: Http2Settings) -> Self {
        Self::connect_under(Terms::new(settings, Budgets::default())).await
    }

    /// As [`connect_to`](Self::connect_to), on terms that other connections have as well.
    async fn connect_under(terms: Terms) -> Self {
        let (client, server) = Self::connect_to_one_that_stops(terms).await;
        // The word to stop never comes.
        std::mem::forget(server.stop);
        client
    }

    /// As [`connect_under`](Self::connect_under), to a server that can be stopped.
    async fn connect_to_one_that_stops(terms: Terms) -> (Self, Server) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (not_told, _) = mpsc::channel(1);
            connection::serve(stream.into(), None, terms, Arc::new(respond), stopped, not_told).await;
        });
        (Self(TcpStream::connect(address).await.unwrap()), Server { stop, served })
    }

    /// A client that has begun to speak HTTP/2.
    async fn http2(ping_min_time: Duration) -> Self {
        let mut client = Self::connect_to(settings(ping_min_time)).await;
        client.write(PREFACE).await;
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    /// Asserts that the connection is there still, and that a request on it is answered.
    async fn is_served(&mut self, stream: u32) {
        self.send(HEADERS, END, stream, b"\x82\x86\x84").await;
        assert_eq!(self.next(&[DATA, GOAWAY]).await.map(|frame| frame.2), Some(b"none".to_vec()));
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.write(&frame(kind, flags, stream, payload)).await;
    }

    /// The next frame of one of these types; `None` at the end of the connection.
    async fn next(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let mut header = [0; 9];
            self.0.read_exact(&mut header).await.ok()?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.ok()?;
            if kinds.contains(&header[3]) {
                return Some((header[3], header[4], payload));
            }
        }
    }

    async fn ping(&mut self) -> Option<Frame> {
        self.send(PING, 0, 0, b"are you?").await;
        self.next(&[PING, GOAWAY]).await
    }

    /// The body of the answer to the request that was just sent.
    async fn body(&mut self) -> Vec<u8> {
        let (_, _, body) = self.next(&[DATA]).await.expect("an answer");
        body
    }
}

/// A frame in wire form.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn respond(request: Request<Incoming>) -> Response<ResponseBody> {
    match request.uri().path() {
        "/wait" => std::future::pending().await,
        "/later" => tokio::time::sleep(SHORT).await,
        _ => {}
    }
    if request.uri().path() == "/long" {
        return Response::new(ResponseBody::Full(Some(Bytes::from(vec![7; LONG_BYTES]))));
    }
    let authority = request.uri().authority().map_or("none", |authority| authority.as_str());
    Response::new(ResponseBody::Full(Some(Bytes::copy_from_slice(authority.as_bytes()))))
}

/// `:method: GET`, `:scheme: http`, `:path: /wait`.
const WAIT: &[u8] = b"\x82\x86\x44\x05/wait";

/// The same for `/long`.
const LONG: &[u8] = b"\x82\x86\x44\x05/long";
/// More than a socket takes at once.
const LONG_BYTES: usize = 16 << 20;

fn is_answer(frame: &Option<Frame>) -> bool {
    matches!(frame, Some((PING, ACK, data)) if data == b"are you?")
}

/// The GOAWAY of grpc-go: last stream, ENHANCE_YOUR_CALM, and why.
fn too_many_pings(last_stream: u8) -> Frame {
    (GOAWAY, 0, [&[0, 0, 0, last_stream, 0, 0, 0, 0xb], b"too_many_pings".as_slice()].concat())
}

#[tokio::test]
async fn old_clients_that_send_a_url_as_authority_are_served() {
    let mut client = Client::http2(HOUR).await;
    // Literal, and to be put into the table: `:authority: http://127.0.0.1:2379` in grpc-go's Huffman code.
    let literal = b"\x82\x86\x84\x41\x8f\x9d\x29\xae\xe3\x0c\x04\x4e\xae\x05\xc0\xb8\x6e\x09\x97\x5f";
    client.send(HEADERS, END, 1, literal).await;
    assert_eq!(client.body().await.escape_ascii().to_string(), "http---127-0-0-1-2379");
    // From then on by its place in the table.
    client.send(HEADERS, END, 3, b"\x82\x86\x84\xbe").await;
    assert_eq!(client.body().await.escape_ascii().to_string(), "http---127-0-0-1-2379");
    // What others send is an authority, and stays what it is.
    client.send(HEADERS, END, 5, b"\x82\x86\x84\x41\x0e127.0.0.1:2379").await;
    assert_eq!(client.body().await, b"127.0.0.1:2379");
    client.send(HEADERS, END, 7, b"\x82\x86\x84\x41\x00").await;
    assert_eq!(client.body().await, b"none", "an empty one is left out");
}

/// gRPC's C++ core (Python, C#) with two endpoints: `:path` and `:authority` come first, each with its name spelled out,
/// then `:method` and `:scheme`.
#[tokio::test]
async fn pseudo_headers_may_come_after_a_malformed_authority() {
    let mut client = Client::http2(HOUR).await;
    let block = b"\x40\x05:path\x01/\x40\x0a:authority\x07a:1,b:2\x82\x86\x40\x02te\x08trailers";
    client.send(HEADERS, END, 1, block).await;
    assert_eq!(client.body().await, b"a-1-b-2");
    // All of them by their places in the table.
    client.send(HEADERS, END, 3, b"\xc0\xbf\x82\x86\xbe").await;
    assert_eq!(client.body().await, b"a-1-b-2");
}

#[tokio::test]
async fn a_client_that_pings_without_a_request_is_turned_away_at_the_fourth() {
    let mut client = Client::http2(Duration::from_nanos(1)).await;
    for number in 1..=3 {
        assert!(is_answer(&client.ping().await), "ping {number}");
    }
    assert_eq!(client.ping().await, Some(too_many_pings(0)));
    assert_eq!(client.next(&[PING, GOAWAY]).await, None, "and the connection is closed");
}

#[tokio::test]
async fn while_a_request_is_open_the_least_time_counts() {
    let mut patient = Client::http2(Duration::from_nanos(1)).await;
    patient.send(HEADERS, END, 1, WAIT).await;
    for _ in 0..20 {
        assert!(is_answer(&patient.ping().await));
    }
    let mut hasty = Client::http2(HOUR).await;
    hasty.send(HEADERS, END, 1, WAIT).await;
    for _ in 0..3 {
        assert!(is_answer(&hasty.ping().await));
    }
    assert_eq!(hasty.ping().await, Some(too_many_pings(1)));
}

#[tokio::test]
async fn a_client_may_ping_after_every_answer() {
    let mut client = Client::http2(HOUR).await;
    for stream in (1..21).step_by(2) {
        client.send(HEADERS, END, stream, b"\x82\x86\x84").await;
        client.body().await;
        assert!(is_answer(&client.ping().await));
    }
}

#[tokio::test]
async fn a_client_may_measure_the_connection_with_a_long_answer() {
    let mut client = Client::http2(HOUR).await;
    // As much as it takes is to be sent to the connection and to the stream.
    client.send(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
    client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()).await;
    client.send(HEADERS, END, 1, LONG).await;
    let (mut received, mut is_measuring) = (0, false);
    while received < LONG_BYTES {
        let (kind, _, payload) = client.next(&[DATA, PING]).await.expect("the answer goes on");
        if kind == DATA {
            received += payload.len();
        }
        // One ping at a time, as grpc-go does to find out how much fits into the connection.
        if kind == PING || !is_measuring {
            client.send(PING, 0, 0, b"are you?").await;
            is_measuring = true;
        }
    }
}

#[tokio::test]
async fn who_says_nothing_or_half_a_word_is_not_waited_for() {
    for word in [b"".as_slice(), &PREFACE[..10], PREFACE] {
        let mut client = Client::connect_to(Http2Settings { head_within: SHORT, ..settings(HOUR) }).await;
        // Here as well the connection may be closed already.
        let _ = client.0.write_all(word).await;
        let mut rest = Vec::new();
        let _ = client.0.read_to_end(&mut rest).await;
    }
}

/// What it sends afterwards is surely not looked at, and the connection is not reset under its hands: it would not know
/// whether its request was read.
#[tokio::test]
async fn a_client_that_has_not_spoken_is_turned_away_without_a_reset() {
    for word in [b"".as_slice(), &PREFACE[..10], PREFACE] {
        let terms = Terms::new(settings(HOUR), Budgets::default());
        let (mut client, server) = Client::connect_to_one_that_stops(terms).await;
        client.write(word).await;
        server.stop.send(true).unwrap();
        assert_eq!(client.next(&[GOAWAY]).await, Some((GOAWAY, 0, vec![0; 8])), "no stream was looked at");
        assert_eq!(client.next(&[GOAWAY, DATA, HEADERS]).await, None, "and no more will be said");
        for stream in [1, 3, 5] {
            client.send(HEADERS, END, stream, b"\x82\x86\x84").await;
        }
        drop(client);
        server.served.await.unwrap();
    }
}

/// It sends on while the member says which of its requests it has looked at, and must be able to read that.
#[tokio::test]
async fn a_client_that_is_sent_away_finds_no_reset() {
    let terms = Terms::new(settings(HOUR), Budgets::default());
    let (mut client, server) = Client::connect_to_one_that_stops(terms).await;
    client.write(PREFACE).await;
    client.send(SETTINGS, 0, 0, &[]).await;
    client.is_served(1).await;
    server.stop.send(true).unwrap();
    assert_eq!(
        client.next(&[GOAWAY]).await.map(|frame| frame.2[..4].to_vec()),
        Some(vec![0x7f, 0xff, 0xff, 0xff])
    );
    let (_, _, word) = client.next(&[PING]).await.expect("is asked whether it has read that");
    client.send(PING, ACK, 0, &word).await;
    assert_eq!(
        client.next(&[GOAWAY]).await,
        Some((GOAWAY, 0, vec![0, 0, 0, 1, 0, 0, 0, 0])),
        "one was looked at"
    );
    assert_eq!(client.next(&[GOAWAY, DATA, HEADERS]).await, None, "and no more will be said");
    for stream in [3, 5, 7] {
        client.send(HEADERS, END, stream, b"\x82\x86\x84").await;
        assert!(!server.served.is_finished());
    }
    drop(client);
    server.served.await.unwrap();
}
