//! Starts that are refused: in one line that names the reason, with exit code 1, and nothing changed.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use testkit::Server;
use testkit::server::{free_port, run_to_end};

use crate::client::{program, refusal};

#[test]
fn a_port_in_use_is_named() {
    let mut server = Server::start(&program(), &[]);
    server.kill();
    for address in [server.client_address(), server.peer_address()] {
        let _other = TcpListener::bind(&address).expect("the server is gone");
        let reason = refusal(&run_to_end(server.program(), &server.flags()));
        let expected = format!("listen tcp {address}: bind: Address already in use");
        assert!(reason.starts_with(&expected), "{reason}");
    }
    server.restart();
}

#[test]
fn a_data_directory_in_use_is_named() {
    let mut server = Server::start(&program(), &[]);
    let mut flags = server.flags();
    for flag in ["listen-client-urls", "advertise-client-urls", "listen-peer-urls"] {
        flags.retain(|other| !other.starts_with(&format!("--{flag}=")));
        flags.push(format!("--{flag}=http://127.0.0.1:{}", free_port()));
    }
    let reason = refusal(&run_to_end(server.program(), &flags));
    let expected = format!("data directory {} is in use by another process", server.data_dir().display());
    assert_eq!(reason, expected);
    assert!(!server.has_ended());
}

#[test]
fn data_of_a_newer_version_is_left_alone() {
    let mut server = Server::start(&program(), &[]);
    server.kill();
    let marker = server.data_dir().join("member/quorate.json");
    let content = fs::read_to_string(&marker).expect("a founded member has a marker");
    let newer = content.replace("\"format\": 1", "\"format\": 2");
    assert_ne!(newer, content);
    fs::write(&marker, &newer).expect("the marker can be written");
    let reason = refusal(&run_to_end(server.program(), &server.flags()));
    assert!(reason.ends_with("has format 2, and this version reads formats up to 1"), "{reason}");
    assert_eq!(fs::read_to_string(&marker).expect("it is still there"), newer);
    fs::write(&marker, content).expect("the marker can be written");
    server.restart();
}

#[test]
fn a_directory_that_cannot_be_read_is_named() {
    let mut server = Server::start(&program(), &[]);
    server.kill();
    let member = server.data_dir().join("member");
    fs::set_permissions(&member, Permissions::from_mode(0o000)).expect("the directory is ours");
    if fs::read_dir(&member).is_ok() {
        return testkit::skip::excuse(
            "start::a_directory_that_cannot_be_read",
            "this user (root) reads everything",
        );
    }
    let reason = refusal(&run_to_end(server.program(), &server.flags()));
    let expected = format!("{}", member.display());
    assert!(reason.contains(&expected) && reason.contains("Permission denied"), "{reason}");
    fs::set_permissions(&member, Permissions::from_mode(0o700)).expect("the directory is ours");
    server.restart();
}
