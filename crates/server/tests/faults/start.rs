//! A start that cannot be: one clear line on standard error, exit code 1, nothing changed.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
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
    let mut server = Server::start(&program, &[]);
    server.kill();
    for address in [server.client_address(), server.peer_address()] {
        let _other = TcpListener::bind(&address).expect("the server is gone");
        let ended = run_to_end(&program, &server.flags());
        // The system's words, as Rust and as Go write them.
        assert_refused(&ended, 1, &[&format!("listen tcp {address}: bind: "), "ddress already in use"]);
    }
    server.restart();
}

#[test]
fn a_unix_socket_in_use_is_named_and_its_user_goes_on() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "etcd takes it over");
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let metrics = format!("--listen-metrics-urls=unix://{}", socket.display());
    let mut server = Server::start(&program, &[&metrics]);
    let mut flags = flags(&directory.path().join("data"), free_port());
    flags.push(metrics);
    let ended = run_to_end(&program, &flags);
    let named = format!("listen unix {}: bind: Address already in use", socket.display());
    assert_refused(&ended, 1, &[&named]);
    assert!(!server.has_ended());
    std::os::unix::net::UnixStream::connect(&socket).expect("it is still the first one's");
    server.kill();
    server.restart();
}

#[test]
fn a_data_directory_in_use_is_named_and_its_user_goes_on() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "etcd waits for the lock instead");
    }
    let mut server = Server::start(&program, &[]);
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    let named = format!("data directory {} is in use by another process", server.data_dir().display());
    assert_refused(&ended, 1, &[&named]);
    assert!(!server.has_ended());
    server.kill();
    server.restart();
}

/// Other directories may name the same log, and their lock is not this one's.
#[test]
fn a_log_in_use_is_named_and_its_user_goes_on() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "etcd waits for the lock instead");
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let wal_dir = format!("--wal-dir={}", log.display());
    let mut server = Server::start(&program, &[&wal_dir]);
    let mut flags = flags(&directory.path().join("data"), free_port());
    flags.push(wal_dir);
    let ended = run_to_end(&program, &flags);
    assert_refused(&ended, 1, &[&format!("the raft log in {} is in use by another process", log.display())]);
    assert!(!server.has_ended());
    server.kill();
    server.restart();
}

/// A new log would know nothing of what the member has acknowledged. The directory of the old one may have other files: a
/// file system of its own has some from the beginning.
#[test]
fn a_log_that_is_gone_is_missed_whatever_else_is_in_its_directory() {
    let program = require!("faults::start", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::start", "etcd begins anew");
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let wal_dir = format!("--wal-dir={}", log.display());
    let mut server = Server::start(&program, &[&wal_dir]);
    // Not stopped: nothing of it is in the store yet.
    server.kill();
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&log, &elsewhere).unwrap();
    for files in [&[][..], &["lost+found"], &["entries"]] {
        fs::create_dir(&log).unwrap();
        files.iter().for_each(|file| fs::create_dir(log.join(file)).unwrap());
        let ended = run_to_end(&program, &[server.flags(), vec![wal_dir.clone()]].concat());
        assert_refused(&ended, 1, &[&format!("the raft log in {} is missing", log.display()), "--wal-dir"]);
        let left: Vec<_> = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, files, "it is as it was");
        fs::remove_dir_all(&log).unwrap();
    }
    fs::rename(&elsewhere, &log).unwrap();
    server.restart();
}

#[test]
fn a_data_directory_that_is_none_is_named() {
    let program = require!("faults::start", subject());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let ended = run_to_end(&program, &flags(&file, free_port()));
    assert_refused(&ended, 1, &[&file.display().to_string()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "not a directory");
}

#[test]
fn a_data_directory_that_cannot_be_read_is_named() {
    let program = require!("faults::start", subject());
    let mut server = Server::start(&program, &[]);
    server.kill();
    let member = server.data_dir().join("member");
    fs::set_permissions(&member, Permissions::from_mode(0o000)).expect("the directory is ours");
    if fs::read_dir(&member).is_ok() {
        return testkit::skip::excuse("faults::start", "this user (root) reads every directory");
    }
    let ended = run_to_end(&program, &server.flags());
    assert_refused(&ended, 1, &[&member.display().to_string(), "ermission denied"]);
    fs::set_permissions(&member, Permissions::from_mode(0o700)).expect("the directory is ours");
    server.restart();
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
    let text = fs::read_to_string(&marker).unwrap();
    let mut fields: serde_json::Value = serde_json::from_str(&text).unwrap();
    fields["format"] = 99.into();
    fs::write(&marker, fields.to_string()).unwrap();
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    assert_refused(&ended, 1, &["format 99", &server.data_dir().display().to_string()]);
    let left: serde_json::Value = serde_json::from_str(&fs::read_to_string(&marker).unwrap()).unwrap();
    assert_eq!(left, fields, "it is as it was");
    fs::write(&marker, text).unwrap();
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
    fs::write(&marker, "{").unwrap();
    let ended = run_to_end(&program, &flags(server.data_dir(), free_port()));
    assert_refused(&ended, 1, &["quorate.json", "damaged"]);
}

#[test]
fn a_flag_that_is_unknown_or_out_of_bounds_is_named() {
    let program = require!("faults::start", subject());
    let ended = run_to_end(&program, &["--no-such-flag=1".to_owned()]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no-such-flag"), "{ended:?}");
    if program.is_quorate() {
        let flags = ["--enable-distributed-tracing", "--distributed-tracing-sampling-rate=1000001"];
        let ended = run_to_end(&program, &flags.map(str::to_owned));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("sampling rate must be between 0 and 1000000"), "{ended:?}");
    }
    let ended = run_to_end(&program, &["stray".to_owned()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("stray"), "{ended:?}");
}
