//! `snapshot save`, from a real etcd.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::{Program, Server, require, wait};

use super::proxy::{self, AtLimit};
use super::{ctl, errors};

/// Enough for the snapshot to come in several pieces, of which a proxy lets the first through.
const VALUES: usize = 6;
const VALUE_BYTES: usize = 1 << 20;
const LIMIT: usize = 2 << 20;

/// An exit code: etcdctl's for streams that end before their time.
const INTERRUPTED: i32 = 5;

fn etcd_with_values(etcd: &Program) -> Server {
    let server = Server::start(etcd, &[]);
    for number in 0..VALUES {
        let mut put = ctl();
        put.args(["--endpoints", &server.client_address(), "put", &format!("key {number}")]);
        let mut child = put.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&vec![b'v'; VALUE_BYTES]).unwrap();
        assert!(child.wait().unwrap().success());
    }
    server
}

fn save(endpoint: &str, path: &Path) -> Child {
    ctl().args(["--endpoints", endpoint, "snapshot", "save"]).arg(path).spawn().unwrap()
}

/// The names in a directory, and what is printed by a command that has ended.
fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_snapshot_is_whole_and_its_owners_alone() {
    let etcd = require!("snapshot save", Program::etcd());
    let server = etcd_with_values(&etcd);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup.db");
    let output = save(&server.client_address(), &path).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(said.lines().next(), Some(&*format!("Snapshot saved at {}", path.display())));
    assert_eq!(errors(&output), "", "a pipe is shown no progress");
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.permissions().mode() & 0o777, file.len() % 512), (0o600, 32));
    assert!(file.len() > (VALUES * VALUE_BYTES) as u64);
    assert_eq!(names(&directory), ["backup.db"]);
}

#[test]
fn a_connection_that_is_cut_leaves_no_file() {
    let etcd = require!("snapshot save, cut", Program::etcd());
    let server = etcd_with_values(&etcd);
    let proxy = proxy::start(&server.client_address(), LIMIT, AtLimit::Cut);
    let directory = tempfile::tempdir().unwrap();
    let output = save(&proxy, &directory.path().join("backup.db")).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(INTERRUPTED));
    assert!(errors(&output).starts_with("Error: could not write snapshot: "), "{}", errors(&output));
    assert!(output.stdout.is_empty() && names(&directory).is_empty());
}

/// Starts a save that stops in the middle, stops it with a signal, and returns how it ended and what it printed.
fn stopped(server: &Server, directory: &TempDir, signal: Signal) -> (ExitStatus, String) {
    let proxy = proxy::start(&server.client_address(), LIMIT, AtLimit::Stall);
    let mut child = save(&proxy, &directory.path().join("backup.db"));
    let part = directory.path().join("backup.db.part");
    wait::until("the first piece", || fs::metadata(&part).ok().filter(|part| part.len() > 0));
    let id = Pid::from_child(&child);
    kill_process(id, signal).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (child.wait().unwrap(), errors)
}

#[test]
fn a_save_that_is_killed_leaves_no_whole_file_and_does_not_hinder_the_next() {
    let etcd = require!("snapshot save, killed", Program::etcd());
    let server = etcd_with_values(&etcd);
    let directory = tempfile::tempdir().unwrap();
    let (status, _) = stopped(&server, &directory, Signal::KILL);
    assert_eq!(status.code(), None);
    assert_eq!(names(&directory), ["backup.db.part"]);
    let again =
        save(&server.client_address(), &directory.path().join("backup.db")).wait_with_output().unwrap();
    assert!(again.status.success(), "{}", errors(&again));
    assert_eq!(names(&directory), ["backup.db"]);
}

#[test]
fn a_save_that_is_interrupted_takes_its_part_away() {
    let etcd = require!("snapshot save, interrupted", Program::etcd());
    let server = etcd_with_values(&etcd);
    let directory = tempfile::tempdir().unwrap();
    let (status, errors) = stopped(&server, &directory, Signal::INT);
    assert_eq!(
        (status.code(), errors.as_str()),
        (Some(INTERRUPTED), "Error: interrupted: nothing was saved\n")
    );
    assert!(names(&directory).is_empty());
}
