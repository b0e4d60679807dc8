//! Users, hosts and origins.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use testkit::{Server, http};

use crate::{answer, ask, quorate};

/// Sends a request with these headers. Returns the whole answer.
fn raw(server: &Server, verb: &str, path: &str, headers: &str, json: &str) -> String {
    let mut stream = TcpStream::connect(server.client_address()).expect("a connection");
    let length = json.len();
    write!(
        stream,
        "{verb} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{json}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_token_says_who_asks() {
    let server = Server::start(&quorate(), &["--bcrypt-cost=4"]);
    for (path, json) in [
        ("auth/user/add", r#"{"name":"root","password":"secret"}"#),
        ("auth/role/add", r#"{"name":"root"}"#),
        ("auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("auth/enable", "{}"),
    ] {
        answer(&server, path, json);
    }
    let refused = ask(&server, "kv/range", r#"{"key":"YQ=="}"#);
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("etcdserver: user name is empty"), "{}", refused.body);
    let login = ask(&server, "auth/authenticate", r#"{"name":"root","password":"wrong"}"#);
    assert_eq!(login.status, 400, "{}", login.body);
    let login = answer(&server, "auth/authenticate", r#"{"name":"root","password":"secret"}"#);
    let token = login["token"].as_str().expect("a token");
    let get = |headers: &str| raw(&server, "POST", "/v3/kv/range", headers, r#"{"key":"YQ=="}"#);
    for header in ["Authorization", "authorization", "Grpc-Metadata-Token"] {
        let answer = get(&format!("Host: localhost\r\n{header}: {token}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{header}: {answer}");
    }
    let answer = get("Host: localhost\r\nAuthorization: nonsense.7\r\n");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("invalid auth token"), "{answer}");
    let answer = get("Host: localhost\r\nToken: abc\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "a header of no meaning: {answer}");
}

#[test]
fn hosts_and_origins_are_those_that_are_allowed() {
    let server =
        Server::start(&quorate(), &["--host-whitelist=localhost,127.0.0.1", "--cors=http://a.test:8080"]);
    let ask = |verb: &str, headers: &str| raw(&server, verb, "/v3/kv/range", headers, r#"{"key":"YQ=="}"#);
    let elsewhere = ask("POST", "Host: evil.test\r\n");
    assert!(elsewhere.starts_with("HTTP/1.1 421 "), "{elsewhere}");
    let nowhere = ask("POST", "");
    assert!(nowhere.starts_with("HTTP/1.1 400 "), "{nowhere}");
    let json = "Host: localhost\r\nContent-Type: application/json; charset=utf-8\r\n";
    let allowed = ask("POST", &format!("{json}Origin: http://a.test:8080\r\n"));
    assert!(allowed.starts_with("HTTP/1.1 200 "), "{allowed}");
    assert!(allowed.contains("access-control-allow-origin: http://a.test:8080\r\n"), "{allowed}");
    let other = ask("POST", &format!("{json}Origin: http://b.test:8080\r\n"));
    assert!(!other.contains("access-control-allow-origin"), "{other}");
    // What a browser sends for a page without asking first.
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let unasked = ask("POST", &format!("Host: localhost\r\n{kind}Origin: http://a.test:8080\r\n"));
        assert!(unasked.starts_with("HTTP/1.1 400 ") && unasked.contains("must say"), "{unasked}");
        let curl = ask("POST", &format!("Host: localhost\r\n{kind}"));
        assert!(curl.starts_with("HTTP/1.1 200 "), "{curl}");
    }
    let preflight = ask("OPTIONS", "Host: localhost\r\nOrigin: http://a.test:8080\r\n");
    assert!(
        preflight.starts_with("HTTP/1.1 200 ") && preflight.contains("access-control-allow-methods"),
        "{preflight}"
    );
}

#[test]
fn addresses_for_http_alone_have_the_gateway_and_those_for_metrics_do_not() {
    let (http_port, metrics_port) = (testkit::server::free_port(), testkit::server::free_port());
    let flags = [
        format!("--listen-client-http-urls=http://127.0.0.1:{http_port}"),
        format!("--listen-metrics-urls=http://127.0.0.1:{metrics_port}"),
    ];
    let mut server = Server::prepare(&quorate(), "one", &flags.each_ref().map(String::as_str));
    server.set_cluster(&server.peer_entry());
    server.spawn().expect("a process");
    let health = format!("127.0.0.1:{http_port}");
    testkit::wait::until("the member to serve", || http::try_get(&health, "/health").ok());
    let ask = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        http::request("POST", &address, "/v3/kv/range", r#"{"key":"YQ=="}"#).expect("an answer")
    };
    let found = ask(http_port);
    assert_eq!(found.status, 200, "{}", found.body);
    let found: Value = serde_json::from_str(&found.body).expect("JSON");
    assert!(found["header"]["revision"].is_string());
    assert_eq!(ask(metrics_port).status, 404);
    drop(server);
}
