//! Who gets the console, over a socket.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use testkit::{Server, http};

use crate::{answer, quorate};

#[test]
fn this_machine_gets_the_console_unless_it_is_turned_off() {
    let server = Server::start(&quorate(), &[]);
    let first = http::get(&server.client_address(), "/console/");
    assert_eq!(first.status, 200);
    assert!(first.headers.contains("content-security-policy: default-src 'none'; script-src 'self'"));
    assert!(first.headers.contains("x-content-type-options: nosniff"));
    assert!(first.body.contains("<title>Quorate console</title>"));
    let moved = http::get(&server.client_address(), "/console");
    assert_eq!(moved.status, 308);
    assert!(moved.headers.contains("location: /console/"));
    // The other members are those that the page may ask, and they are named.
    assert!(first.headers.contains(&format!("connect-src 'self' http://{};", server.client_address())));

    for flags in [&["--console=off"][..], &["--enable-grpc-gateway=false"]] {
        let server = Server::start(&quorate(), flags);
        let answer = http::get(&server.client_address(), "/console/");
        assert_eq!((answer.status, answer.body.as_str()), (404, "404 page not found\n"), "{flags:?}");
    }
}

#[test]
fn the_rule_about_hosts_is_the_consoles_too() {
    let server = Server::start(&quorate(), &["--console=on", "--host-whitelist=127.0.0.1"]);
    assert_eq!(http::get(&server.client_address(), "/console/").status, 200);
    let mut stream = TcpStream::connect(server.client_address()).expect("a connection");
    write!(stream, "GET /console/ HTTP/1.0\r\nHost: elsewhere\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.0 421 "), "{answer}");
}

#[test]
fn the_other_listeners_have_no_console() {
    let port = testkit::server::free_port();
    let server = Server::start(&quorate(), &[&format!("--listen-metrics-urls=http://127.0.0.1:{port}")]);
    assert_eq!(http::get(&format!("127.0.0.1:{port}"), "/console/").status, 404);
    assert_eq!(http::get(&server.peer_address(), "/console/").status, 404);
}

#[test]
fn asking_for_the_console_without_the_gateway_is_refused() {
    let flags = ["--console=on", "--enable-grpc-gateway=false"].map(str::to_owned);
    let ended = testkit::server::run_to_end(&quorate(), &flags);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--console=on needs the JSON gateway"), "{}", ended.stderr);
}

/// The pages are for everybody who asks: what they may see is decided by the calls that they make.
#[test]
fn with_users_the_pages_are_shown_and_the_calls_are_refused() {
    let server = Server::start(&quorate(), &[]);
    answer(&server, "auth/user/add", &json!({ "name": "root", "password": "p" }));
    answer(&server, "auth/role/add", &json!({ "name": "root" }));
    answer(&server, "auth/user/grant", &json!({ "user": "root", "role": "root" }));
    answer(&server, "auth/enable", &json!({}));
    assert_eq!(http::get(&server.client_address(), "/console/").status, 200);
    assert_eq!(crate::ask(&server, "kv/range", &json!({ "key": "AA==" })).status, 400);
}
