//! A start that cannot be: one clear line on standard error, exit code 1, nothing changed.

use std::net::TcpListener;
use std::path::Path;

use testkit::server::{Ended, free_port, run_to_end};
use testkit::{Server, require};

use crate::subject;

/// Flags for a member of its own in `data`.
fn flags(data: &Path, client_port: u16) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{}", free_port());
    vec![
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

/// The refusal is one line at level error or fatal; it has every one of `words`.
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let faults: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| {
            !["info", "warn", "debug"].iter().any(|level| line.contains(&format!("\"level\":\"{level}\"")))
        })
        .collect();
    assert_eq!(faults.len(), 1, "one line that says why, not {faults:#?}");
    for word in words {
        assert!(faults[0].contains(word), "no {word:?} in {}", faults[0]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let program = require!("faults::start", subject());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let ended = run_to_end(&program, &flags(&directory.path().join("data"), port));
    assert_refused(&ended, 1, &[&format!("127.0.0.1:{port}"), "in use"]);
}

#[test]
fn a_data_directory_in_use_is_named_and_its_user_goes_on() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "etcd waits for the lock instead");
    }
    let mut server = Server::start(&program, &[]);
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    assert_refused(&ended, 1, &[&server.data_dir().display().to_string(), "in use"]);
    assert!(!server.has_ended());
    server.kill();
    server.restart();
}

#[test]
fn a_data_directory_that_is_none_is_named() {
    let program = require!("faults::start", subject());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let ended = run_to_end(&program, &flags(&file, free_port()));
    assert_refused(&ended, 1, &[&file.display().to_string()]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a directory");
}

#[test]
fn a_data_directory_of_a_newer_version_is_left_alone() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "the marker file is quorate's");
    }
    let mut server = Server::start(&program, &[]);
    server.terminate();
    let marker = server.data_dir().join("member/quorate.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    let mut fields: serde_json::Value = serde_json::from_str(&text).unwrap();
    fields["format"] = 99.into();
    std::fs::write(&marker, fields.to_string()).unwrap();
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    assert_refused(&ended, 1, &["format 99", &server.data_dir().display().to_string()]);
    std::fs::write(&marker, text).unwrap();
    server.restart();
}

#[test]
fn a_data_directory_of_etcd_is_left_alone() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "it is etcd's own");
    }
    let etcd = require!("faults::start", testkit::Program::etcd());
    let mut server = Server::start(&etcd, &[]);
    server.terminate();
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    assert_refused(&ended, 1, &["etcd", &server.data_dir().display().to_string()]);
    server.restart();
}

#[test]
fn a_damaged_marker_is_named() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "the marker file is quorate's");
    }
    let mut server = Server::start(&program, &[]);
    server.terminate();
    let marker = server.data_dir().join("member/quorate.json");
    std::fs::write(&marker, "{").unwrap();
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    assert_refused(&ended, 1, &["quorate.json", "damaged"]);
}

#[test]
fn a_flag_that_is_unknown_or_not_served_is_named() {
    let program = require!("faults::start", subject());
    let ended = run_to_end(&program, &["--no-such-flag=1".to_owned()]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no-such-flag"), "{ended:?}");
    if program.is_quorate() {
        let ended = run_to_end(&program, &["--discovery-srv=example.invalid".to_owned()]);
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains("discovery-srv"), "{ended:?}");
    }
    let ended = run_to_end(&program, &["stray".to_owned()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("stray"), "{ended:?}");
}
