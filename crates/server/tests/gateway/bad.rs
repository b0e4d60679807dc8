//! Requests that are none: each gets a clear error, and the member goes on.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;
use testkit::{Server, http};

use crate::streams::Stream;
use crate::{answer, ask, quorate};

/// Path, body, HTTP status, code, and what the message begins with.
const REFUSED: &[(&str, &str, u16, i64, &str)] = &[
    ("kv/range", "{", 400, 3, "EOF while parsing"),
    ("kv/range", "[]", 400, 3, "invalid type"),
    ("kv/range", r#"{"key":"YQ=="} more"#, 400, 3, "trailing characters"),
    ("kv/range", r#"{"key":7}"#, 400, 3, "invalid type"),
    ("kv/range", r#"{"key":"%"}"#, 400, 3, "invalid base64"),
    ("kv/range", r#"{"limit":"many","key":"YQ=="}"#, 400, 3, ""),
    ("kv/range", "", 400, 3, "etcdserver: key is not provided"),
    (
        "kv/range",
        r#"{"key":"YQ==","revision":"99"}"#,
        400,
        11,
        "etcdserver: mvcc: required revision is a future revision",
    ),
    ("kv/put", r#"{"key":"YQ==","lease":"5"}"#, 404, 5, "etcdserver: requested lease not found"),
    ("lease/grant", r#"{"TTL":"9999999999"}"#, 400, 11, "etcdserver: too large lease TTL"),
    ("auth/user/get", r#"{"name":"nobody"}"#, 400, 9, "etcdserver: user name not found"),
    ("auth/enable", "{}", 400, 9, "etcdserver: root user does not exist"),
    ("lock/lock", r#"{"name":"bA==","lease":"5"}"#, 500, 2, "etcdserver: requested lease not found"),
    ("election/leader", r#"{"name":"bA=="}"#, 500, 2, "election: no leader"),
    ("nothing/here", "{}", 404, 5, "Not Found"),
    ("kv/range/", "{}", 404, 5, "Not Found"),
];

#[test]
fn each_mistake_has_its_error() {
    let server = Server::start(&quorate(), &[]);
    for (path, body, http, code, message) in REFUSED {
        let response = ask(&server, path, body);
        let error: Value = serde_json::from_str(&response.body).expect("JSON");
        let seen = (response.status, error["code"].as_i64());
        assert_eq!(seen, (*http, Some(*code)), "{path} {body}: {}", response.body);
        assert!(
            error["message"].as_str().is_some_and(|text| text.starts_with(message)),
            "{path} {body}: {error}"
        );
    }
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let response =
            http::request(method, &server.client_address(), "/v3/kv/range", "").expect("an answer");
        assert_eq!(response.status, 501, "{method}");
    }
    answer(&server, "kv/range", r#"{"key":"YQ=="}"#);
}

#[test]
fn a_stream_that_is_none_ends_with_its_error() {
    let server = Server::start(&quorate(), &[]);
    for body in ["[]", "{} 7", r#"{"ID":[],"create_request":7}"#, r#"{"ID":"#] {
        for path in ["lease/keepalive", "watch"] {
            let mut stream = Stream::of(&server, path, body);
            let last = std::iter::from_fn(|| stream.line()).last().expect("a line");
            assert_eq!(last["error"]["code"], 3, "{path} {body}: {last}");
        }
    }
}

#[test]
fn what_is_too_long_is_refused_and_what_is_just_not_is_taken() {
    let server = Server::start(&quorate(), &[]);
    let put = |bytes: usize| format!(r#"{{"key":"YQ==","value":"{}"}}"#, "AAAA".repeat(bytes / 3));
    answer(&server, "kv/put", &put(1_500_000));
    let response = ask(&server, "kv/put", &put(1_800_000));
    assert_eq!(response.status, 400, "{}", response.body);
    assert!(response.body.contains("etcdserver: request is too large"), "{}", response.body);
    for bytes in [2_400_000, 20_000_000] {
        // The member need not read what it refuses to the end.
        if let Ok(response) = http::request("POST", &server.client_address(), "/v3/kv/put", &put(bytes)) {
            assert_eq!(response.status, 429, "{}", response.body);
        }
    }
    let kept = answer(&server, "kv/range", r#"{"key":"YQ=="}"#);
    assert_eq!(kept["kvs"][0]["version"], "1");
}

/// Hundreds of clients that send half a request and wait take nothing from others.
#[test]
fn bodies_that_do_not_end_keep_nobody_waiting() {
    let server = Server::start(&quorate(), &[]);
    let address = server.client_address();
    let slow: Vec<_> = (0..300)
        .map(|_| {
            let mut client = TcpStream::connect(&address).expect("a connection");
            write!(
                client,
                "POST /v3/kv/put HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000000\r\n\r\n{{\"key\":"
            )
            .expect("half a request");
            client
        })
        .collect();
    answer(&server, "kv/put", r#"{"key":"YQ==","value":"MQ=="}"#);
    drop(slow);
    answer(&server, "kv/range", r#"{"key":"YQ=="}"#);
}

#[test]
fn the_gateway_can_be_left_out() {
    let server = Server::start(&quorate(), &["--enable-grpc-gateway=false"]);
    let response = ask(&server, "kv/range", r#"{"key":"YQ=="}"#);
    assert_eq!((response.status, response.body.as_str()), (404, "404 page not found\n"));
}
