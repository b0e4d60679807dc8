//! What `verify` says of directories that are whole.

use std::path::Path;

use testkit::{Cluster, Server};

use crate::subject::{Subject, copy, files, fill, program, put_more};
use crate::tool::{run, verify};

/// Content and time of each file.
fn state(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>, std::time::SystemTime)> {
    let of = |path: std::path::PathBuf| {
        let modified = path.metadata().unwrap().modified().unwrap();
        (path.clone(), std::fs::read(&path).unwrap(), modified)
    };
    files(dir).into_iter().map(of).collect()
}

fn is_damaged(dir: &Path) -> bool {
    verify(dir).iter().any(|found| found.is_damage)
}

#[test]
fn a_member_that_was_stopped_or_killed_is_whole_and_stays_as_it_is() {
    let program = testkit::require!("verify", program());
    let mut subject = Subject::new(&program);
    subject.server.restart();
    put_more(&subject.server);
    subject.server.kill();
    let before = state(subject.dir());
    let dir = subject.dir().to_str().unwrap();
    let ended = run(&["verify", "--data-dir", dir]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().filter(|line| !line.starts_with("note: ")).collect();
    let starts = ["member ", "raft log: entries ", "state: revision ", "ok: "];
    let are_these = lines.len() == 4 && lines.iter().zip(starts).all(|(line, start)| line.starts_with(start));
    assert!(are_these, "{lines:?}");
    for what in ["log", "history", "state", "meta"] {
        let ended = run(&["dump", "--data-dir", dir, "--what", what]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{what}: {ended:?}");
    }
    assert!(before == state(subject.dir()), "nothing is written");
    assert!(!is_damaged(subject.dir()));
    subject.server.restart();
}

#[test]
fn the_members_of_a_cluster_are_whole_each() {
    let program = testkit::require!("cluster", program());
    let mut cluster = Cluster::start(&program, 3, &[]);
    fill(cluster.member(0));
    for index in 0..3 {
        cluster.member_mut(index).kill();
        assert!(!is_damaged(cluster.member(index).data_dir()));
    }
}

#[test]
fn the_directory_of_a_running_member_is_refused_and_a_copy_of_it_is_not() {
    let program = testkit::require!("running", program());
    let server = Server::start(&program, &[]);
    fill(&server);
    let dir = server.data_dir().to_str().unwrap();
    for arguments in [
        &["verify", "--timeout=50ms", "--data-dir", dir][..],
        &["dump", "--timeout=50ms", "--data-dir", dir, "--what", "meta"],
        &["defrag", "--timeout=50ms", "--data-dir", dir],
    ] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
        assert!(ended.stderr.contains("a running member has locked it"), "{ended:?}");
    }
    let other = tempfile::tempdir().unwrap();
    // All of it at one moment, as a snapshot of the file system has it.
    server.pause();
    copy(server.data_dir(), &other.path().join("copy"));
    server.resume();
    assert!(!is_damaged(&other.path().join("copy")));
}

#[test]
fn what_is_no_directory_of_a_member_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let ended = run(&["verify", "--data-dir", path]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("member: no such directory"), "{ended:?}");
    std::fs::create_dir_all(dir.path().join("member/snap")).unwrap();
    let ended = run(&["verify", "--data-dir", path]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("data of etcd"), "{ended:?}");
}
