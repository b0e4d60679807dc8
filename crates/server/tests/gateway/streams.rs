//! Streams: watches, renewals, snapshots, an election that is followed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use testkit::Server;

use crate::{answer, quorate};

/// A request whose answer comes line by line.
pub(crate) struct Stream {
    requests: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Stream {
    /// Sends the head and a first piece of the body, which is not complete. HTTP/1.0, so that the answer is not in chunks: its
    /// end is that of the connection.
    pub(crate) fn open(server: &Server, path: &str, length: usize, json: &str) -> Stream {
        let mut requests = TcpStream::connect(server.client_address()).expect("a connection");
        let head = format!(
            "POST /v3/{path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
            server.client_address()
        );
        requests.write_all(format!("{head}{json}").as_bytes()).expect("a request");
        let mut lines = BufReader::new(requests.try_clone().expect("a socket"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a status");
        assert!(line.contains(" 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).expect("a header");
        }
        Stream { requests, lines }
    }

    /// Sends all of a body.
    pub(crate) fn of(server: &Server, path: &str, json: &str) -> Stream {
        Self::open(server, path, json.len(), json)
    }

    pub(crate) fn send(&mut self, json: &str) {
        self.requests.write_all(json.as_bytes()).expect("more of the request");
    }

    /// Returns the next line; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    /// Returns what the next line has as its result.
    pub(crate) fn result(&mut self) -> Value {
        let mut line = self.line().expect("a line");
        assert!(line["error"].is_null(), "{line}");
        line["result"].take()
    }
}

#[test]
fn a_watch_goes_on_after_its_request_has_ended() {
    let server = Server::start(&quorate(), &[]);
    let mut watch = Stream::of(&server, "watch", r#"{"create_request":{"key":"YQ==","range_end":"eg=="}}"#);
    assert_eq!(watch.result()["created"], true);
    answer(&server, "kv/put", r#"{"key":"YQ==","value":"MQ=="}"#);
    assert_eq!(
        watch.result()["events"],
        json!([{ "kv": {
            "key": "YQ==", "create_revision": "2", "mod_revision": "2", "version": "1", "value": "MQ==",
        }}])
    );
    answer(&server, "kv/deleterange", r#"{"key":"YQ=="}"#);
    let events = watch.result()["events"].take();
    assert_eq!(events, json!([{ "type": "DELETE", "kv": { "key": "YQ==", "mod_revision": "3" } }]));
}

#[test]
fn requests_of_a_stream_are_taken_as_they_come() {
    let server = Server::start(&quorate(), &[]);
    let requests = [
        r#"{"create_request":{"key":"YQ==","watch_id":"5"}}"#,
        r#" {"create_request":{"key":"Yg==","watch_id":6,"note":"}{"}}"#,
        r#"{"progress_request":{}}{"cancel_request":{"watch_id":"5"}}"#,
    ];
    let length = requests.iter().map(|request| request.len()).sum();
    let mut watch = Stream::open(&server, "watch", length, "");
    // The first line of the answer was there before the first request: so a client may wait for it.
    for request in requests {
        let (front, back) = request.split_at(9);
        watch.send(front);
        watch.send(back);
        let response = watch.result();
        assert!(response["created"] == true || response["events"].is_null(), "{response}");
    }
    let canceled = watch.result();
    assert_eq!((&canceled["watch_id"], &canceled["canceled"]), (&json!("5"), &json!(true)));
}

#[test]
fn a_lease_is_renewed() {
    let server = Server::start(&quorate(), &[]);
    answer(&server, "lease/grant", r#"{"ID":"7","TTL":"600"}"#);
    let mut renewals = Stream::of(&server, "lease/keepalive", r#"{"ID":"7"}{"ID":7}{"ID":"8"}"#);
    for (id, ttl) in [("7", json!("600")), ("7", json!("600")), ("8", Value::Null)] {
        let renewal = renewals.result();
        assert_eq!((&renewal["ID"], &renewal["TTL"]), (&json!(id), &ttl));
    }
    assert_eq!(renewals.line(), None, "the requests have ended");
}

#[test]
fn a_snapshot_comes_in_pieces() {
    let server = Server::start(&quorate(), &[]);
    let value = "x".repeat(300_000);
    answer(&server, "kv/put", &json!({ "key": "YQ==", "value": value }).to_string());
    let mut snapshot = Stream::of(&server, "maintenance/snapshot", "");
    let (mut pieces, mut left) = (0, None);
    while let Some(mut line) = snapshot.line() {
        let piece = line["result"].take();
        assert!(piece["blob"].is_string(), "{line}");
        pieces += 1;
        left = Some(piece["remaining_bytes"].clone());
    }
    assert!(pieces > 4, "{pieces}");
    assert_eq!(left, Some(Value::Null), "nothing is left, and zero is not shown");
}

#[test]
fn an_election_is_followed() {
    let server = Server::start(&quorate(), &[]);
    answer(&server, "lease/grant", r#"{"ID":"7","TTL":"600"}"#);
    let mut observed = Stream::of(&server, "election/observe", r#"{"name":"ZQ=="}"#);
    let campaign = answer(&server, "election/campaign", r#"{"name":"ZQ==","lease":"7","value":"MQ=="}"#);
    assert_eq!(observed.result()["kv"]["value"], "MQ==");
    let proclaim = json!({ "leader": campaign["leader"], "value": "Mg==" });
    answer(&server, "election/proclaim", &proclaim.to_string());
    assert_eq!(observed.result()["kv"]["value"], "Mg==");
}
