//! Where lines go: a file that is rotated, the journal. And memory that is locked, which is seen from outside as well.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::server::run_to_end;
use testkit::{Server, skip, wait};

use crate::{lines, program};

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_log_file_is_rotated_and_compressed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("logs/etcd.log");
    fs::create_dir(path.parent().expect("a parent")).expect("a directory");
    // Nearly full, and as old as the hills.
    fs::write(&path, "x".repeat((1 << 20) - 100)).expect("a file");
    let flags = [
        "--enable-log-rotation".to_owned(),
        format!("--log-outputs={}", path.display()),
        "--log-rotation-config-json={\"maxsize\": 1, \"maxbackups\": 2, \"compress\": true}".to_owned(),
    ];
    let server = Server::start(&program(), &flags.each_ref().map(String::as_str));
    wait::until("the old file to be compressed", || {
        let names = names(path.parent().expect("a parent"));
        let is_old = |name: &String| name.starts_with("etcd-2") && name.ends_with(".log.gz");
        (names.len() == 2 && names.iter().any(is_old)).then_some(())
    });
    // Another thread says so than the one that opens the listeners.
    wait::until("the new file to have what came after", || {
        let log = fs::read_to_string(&path).expect("the new file");
        (lines(&log, "ready to serve client requests").len() == 1).then_some(())
    });
    assert!(server.log().is_empty(), "nothing on standard error");
}

#[test]
fn without_a_journal_there_is_no_logging_to_it() {
    if Path::new("/run/systemd/journal/socket").exists() {
        return skip::excuse("without_a_journal_there_is_no_logging_to_it", "there is a journal");
    }
    let ended = run_to_end(&program(), &["--log-outputs=systemd/journal".to_owned()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("can't find journal ("), "{}", ended.stderr);
}

/// A process that may lock 64 KiB and has no privilege.
#[test]
fn memory_that_may_not_be_locked_is_said() {
    const TEST: &str = "memory_that_may_not_be_locked_is_said";
    let directory = tempfile::tempdir().expect("a temporary directory");
    let limited = Command::new("setpriv")
        .args([
            "--bounding-set=-ipc_lock",
            "--inh-caps=-ipc_lock",
            "sh",
            "-c",
            "ulimit -l 64; exec \"$@\"",
            "sh",
        ])
        .arg(program().path())
        .args(["--memory-mlock", &format!("--data-dir={}", directory.path().join("data").display())])
        .output();
    let output = match limited {
        Ok(output) => output,
        Err(error) => return skip::excuse(TEST, &format!("setpriv: {error}")),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.starts_with("setpriv") {
        return skip::excuse(TEST, &stderr);
    }
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let reason =
        "--memory-mlock keeps all memory of the process locked, and only 65536 bytes may be (RLIMIT_MEMLOCK)";
    assert!(stderr.contains(reason), "{stderr}");
    assert!(!directory.path().join("data").exists(), "nothing was begun");
}

#[test]
fn memory_is_locked_or_the_member_says_why_not() {
    let mut server = Server::prepare(&program(), "default", &["--memory-mlock"]);
    if let Err(why) = server.try_restart() {
        let limit = "only {} bytes may be (RLIMIT_MEMLOCK)".split_once("{}").expect("two parts").1;
        assert!(
            why.contains("--memory-mlock") && (why.contains(limit) || why.contains("cannot be locked")),
            "{why}"
        );
        return skip::excuse(
            "memory_is_locked_or_the_member_says_why_not",
            "this process may not lock memory",
        );
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("the process's status");
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line of Linux");
    let kibibytes: u64 = locked.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kibibytes > 0, "{status}");
}
