//! Addresses of all kinds at once.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::client::{config, exchange, get, put};
use crate::{Kit, secured, set_extra, start_secured};

#[tokio::test]
async fn one_address_may_be_listed_with_tls_and_without() {
    let kit = Kit::new();
    let (mut server, _) = secured("default", &[]);
    let address = server.client_address();
    let mut flags = kit.client_flags();
    flags.push(format!("--listen-client-urls=http://{address},https://{address}"));
    set_extra(&mut server, &flags);
    server.restart();
    let alice = config(&kit.ca.pem(), Some(&kit.client("alice")));
    put(&address, &alice, "k").await.expect("gRPC with TLS");
    get(&address, "/version", &alice).expect("HTTP with TLS");
    get(&address, "/version", &config(&kit.ca.pem(), None)).expect_err("with TLS, a certificate is a must");
    assert_eq!(testkit::http::get(&address, "/version").status, 200, "HTTP without TLS");
}

#[test]
fn unix_sockets_serve_with_tls_and_without_and_outlive_a_crash() {
    let kit = Kit::new();
    let (plain, secure) = (kit.file("plain.sock"), kit.file("secure.sock"));
    let (mut server, _) = secured("default", &[]);
    let mut flags = kit.client_flags();
    flags.push(format!(
        "--listen-client-urls=http://{},unix://{plain},unixs://{secure}",
        server.client_address()
    ));
    set_extra(&mut server, &flags);
    server.restart();
    let ask = || {
        let mut socket = UnixStream::connect(&plain).expect("a Unix socket");
        write!(socket, "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let alice = config(&kit.ca.pem(), Some(&kit.client("alice")));
        let socket = UnixStream::connect(&secure).expect("a Unix socket");
        let answer = exchange(socket, "/version", &alice).expect("an answer over TLS");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let socket = UnixStream::connect(&secure).expect("a Unix socket");
        exchange(socket, "/version", &config(&kit.ca.pem(), None)).expect_err("a certificate is a must");
    };
    ask();
    server.kill();
    server.restart();
    ask();
}

#[test]
fn a_file_that_is_no_socket_is_not_removed_for_one() {
    let kit = Kit::new();
    let path = kit.write("precious", "data");
    let (mut server, _) = secured("default", &[]);
    let urls = format!("--listen-client-urls=http://{},unix://{}", server.client_address(), path.display());
    set_extra(&mut server, &[urls]);
    let log = server.try_restart().expect_err("the path is taken");
    assert!(log.contains("bind"), "{log}");
    assert_eq!(std::fs::read(path).expect("it is still there"), b"data");
}

#[test]
fn hundreds_of_unfinished_handshakes_do_not_keep_a_client_out() {
    let kit = Kit::new();
    let (_server, secure) = start_secured(&kit.client_flags());
    let alice = config(&kit.ca.pem(), Some(&kit.client("alice")));
    let silent: Vec<_> = (0..300)
        .map(|_| {
            let mut socket = crate::client::connect(&secure).expect("a connection");
            socket.write_all(&[22, 3, 1]).expect("the begin of a greeting");
            socket
        })
        .collect();
    for _ in 0..10 {
        get(&secure, "/health", &alice).expect("an answer");
    }
    drop(silent);
}
