//! The kit itself, tried on a real etcd.

use testkit::{Program, Server, http, require, server};

#[test]
fn a_server_starts_serves_and_comes_back_after_a_kill_on_the_same_ports() {
    let etcd = require!("testkit::etcd", Program::etcd());
    let mut server = Server::start(&etcd, &[]);
    assert_eq!(http::get(&server.client_address(), "/health").status, 200);
    server.kill();
    assert!(http::try_get(&server.client_address(), "/health").is_err());
    server.restart();
    assert_eq!(http::get(&server.client_address(), "/health").status, 200);
    assert!(server.log().contains("ready to serve client requests"));
    assert!(!server.terminate().success(), "etcd ends by re-raising SIGTERM");
}

#[test]
fn a_program_that_refuses_its_flags_is_seen_to_end() {
    let etcd = require!("testkit::etcd", Program::etcd());
    let ended = server::run_to_end(&etcd, &["--no-such-flag".to_owned()]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("no-such-flag"));
}
