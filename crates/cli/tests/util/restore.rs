//! `snapshot restore`, `migrate`, and `hashkv` on a data directory.

use std::path::Path;
use std::process::{Command, Stdio};

use dbfile::etcd::{KeyValue, RevisionKey, bucket};
use dbfile::{PageSize, Plan};
use testkit::{Server, require};

use crate::backup::written;
use crate::subject::{Subject, program, put_more};
use crate::tool::{Ended, run, run_as, verify};

/// A restore into `data` in a directory, with these arguments besides.
fn restore(dir: &Path, arguments: &[&str]) -> Ended {
    let data = dir.join("data");
    run(&[&["snapshot", "restore", "--data-dir", data.to_str().unwrap()], arguments].concat())
}

fn hash(path: &Path) -> String {
    let ended = run(&["hashkv", path.to_str().unwrap()]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    ended.stdout
}

#[test]
fn a_file_becomes_the_directory_of_a_member() {
    let (dir, file) = written();
    let file = file.to_str().unwrap();
    let ended = restore(dir.path(), &[file]);
    assert_eq!((ended.code, &*ended.stdout), (0, ""), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert!(lines[0].starts_with("info\trestoring snapshot\t{\"path\": "), "{ended:?}");
    assert!(lines[0].contains("\"initial-memory-map-size\": 10737418240}"), "{ended:?}");
    assert!(lines[1].starts_with("warn\trevisions after the backup will be used again"), "{ended:?}");
    assert!(lines[2].starts_with("warn\tkeys are attached to leases"), "{ended:?}");
    assert!(lines[2].ends_with("{\"leases\": [\"0000000000000007\"]}"), "{ended:?}");
    let added = "info\tadded member\t{\"cluster-id\": \"cdf818194e3a8c32\", \"local-member-id\": \"0\", \
        \"added-peer-id\": \"8e9e05c52164694d\", \"added-peer-peer-urls\": [\"http://localhost:2380\"], \
        \"added-peer-is-learner\": false}";
    assert_eq!(lines[3], added);
    assert!(lines[4].starts_with("info\trestored snapshot\t"), "{ended:?}");
    let data = dir.path().join("data");
    assert_eq!(verify(&data).iter().filter(|found| found.is_damage).count(), 0);
    assert_eq!(hash(&data), hash(Path::new(file)));
    let again = restore(dir.path(), &[file]);
    let expected =
        format!("Error: data-dir {:?} not empty or could not be read\n", data.display().to_string());
    assert_eq!((again.code, again.stderr), (1, expected));
}

#[test]
fn a_raised_revision_is_said() {
    let (dir, file) = written();
    let arguments = ["--bump-revision=1000", "--mark-compacted", file.to_str().unwrap()];
    let ended = restore(dir.path(), &arguments);
    let expected = "bumping latest revision\t{\"latest-revision\": 3, \"bump-amount\": 1000, \"new-latest-revision\": 1003}";
    assert!(ended.stderr.contains(expected), "{ended:?}");
    assert!(ended.stderr.contains("marking revision compacted\t{\"revision\": 1003}"), "{ended:?}");
    assert!(!ended.stderr.contains("used again"), "{ended:?}");
    assert!(hash(&dir.path().join("data")).ends_with(", 1003, 1003\n"));
}

#[test]
fn what_cannot_be_restored_is_refused_in_etcdutls_words() {
    let (dir, file) = written();
    let file = file.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 16] = [
        (&[], 128, "snapshot restore requires exactly one argument"),
        (&[file, file], 128, "snapshot restore requires exactly one argument"),
        (&[file, "--from-data-dir", "/x"], 128, "snapshot restore takes a file or --from-data-dir, not both"),
        (&[file, "--mark-compacted"], 128, "--mark-compacted required if --revision-bump > 0"),
        (&[file, "--bump-revision", "5"], 128, "--mark-compacted required if --revision-bump > 0"),
        (
            &[file, "--bump-revision", "5", "--mark-compacted=false"],
            128,
            "--mark-compacted required if --revision-bump > 0",
        ),
        (
            &[file, "--bump-revision", "x"],
            1,
            "invalid argument \"x\" for \"--bump-revision\" flag: strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            &[file, "--skip-hash-check=x"],
            1,
            "invalid argument \"x\" for \"--skip-hash-check\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (&["/nonexistent"], 1, "open /nonexistent: no such file or directory"),
        (&[file, "--name", "n"], 1, "couldn't find local name \"n\" in the initial cluster configuration"),
        (
            &[file, "--initial-cluster", "default=http://localhost:1"],
            1,
            "--initial-cluster has default=http://localhost:1 but missing from \
             --initial-advertise-peer-urls=http://localhost:2380 (resolved urls: \"http://localhost:2380\" != \
             \"http://localhost:1\")",
        ),
        (
            &[file, "--initial-advertise-peer-urls", "x"],
            1,
            "URL scheme must be http, https, unix, or unixs: x",
        ),
        (&[file, "--initial-cluster", "a=x"], 1, "URL scheme must be http, https, unix, or unixs: x"),
        (&[file, "--wal-dir", dir.path().to_str().unwrap()], 1, " exists"),
        (&[file, "--bogus"], 1, "unknown flag: --bogus"),
        (&["--from-data-dir", "/nonexistent"], 1, "/nonexistent/member: no such directory"),
    ];
    for (arguments, code, expected) in cases {
        let ended = restore(dir.path(), arguments);
        assert_eq!((ended.code, &*ended.stdout), (code, ""), "{arguments:?}: {ended:?}");
        let error = ended.stderr.lines().find(|line| line.starts_with("Error: "));
        assert!(error.is_some_and(|line| line.contains(expected)), "{arguments:?}: {ended:?}");
        assert!(!dir.path().join("data").exists(), "{arguments:?}");
    }
    let mut bytes = std::fs::read(file).unwrap();
    let without = bytes.len() - 32;
    std::fs::write(file, &bytes[..without]).unwrap();
    let ended = restore(dir.path(), &[file]);
    assert!(
        ended.stderr.ends_with("Error: snapshot missing hash but --skip-hash-check=false\n"),
        "{ended:?}"
    );
    bytes[4200] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    let ended = restore(dir.path(), &[file]);
    assert!(ended.stderr.contains("Error: expected sha256 ["), "{ended:?}");
}

/// A file that takes a while: many keys, each changed several times.
fn write_long(path: &Path) {
    let rows = |take: &mut dyn FnMut(&[u8], &[u8])| {
        for main in 2..40_000_i64 {
            let (number, version) = (main % 8_000, main / 8_000 + 1);
            let create_revision = if number < 2 { number + 8_000 } else { number };
            let version = if number < 2 { version - 1 } else { version };
            let key = format!("key/{number}");
            let (key, value) = (key.as_bytes(), &[b'v'; 500][..]);
            let kv = KeyValue { key, create_revision, mod_revision: main, version, value, lease: 0 };
            take(&RevisionKey::put(main, 0).bytes(), &kv.encoded());
        }
    };
    let mut plan = Plan::new(PageSize::default());
    plan.bucket(bucket::KEY).unwrap();
    rows(&mut |key, value| plan.row(key.len(), value.len()).unwrap());
    plan.bucket(bucket::META).unwrap();
    let mut file = Vec::new();
    let mut writer = plan.finish().begin(&mut file);
    writer.bucket(bucket::KEY, &mut file).unwrap();
    rows(&mut |key, value| writer.row(key, value, &mut file).unwrap());
    writer.bucket(bucket::META, &mut file).unwrap();
    writer.finish(&mut file).unwrap();
    std::fs::write(path, file).unwrap();
}

/// Killed as soon as one file after the other is there: what is left is nobody's data, and the next restore is right.
#[test]
fn a_restore_that_was_killed_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("backup.db"), dir.path().join("data"));
    write_long(&file);
    let expected = hash(&file);
    for seen in ["lock", "kv/current.tmp", "kv/history", "kv/current.redb", "wal/hard-state-a"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorateutl"))
            .args(["snapshot", "restore", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let restoring = data.join("restoring");
        let has_ended = testkit::wait::until(&format!("{seen} to be made"), || {
            let ended = child.try_wait().unwrap();
            (ended.is_some() || restoring.join(seen).exists()).then_some(ended.is_some())
        });
        if has_ended {
            // It was faster than anybody looked.
            assert_eq!(hash(&data), expected);
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(data.join("member").exists() != restoring.exists(), "whole, or known for what it is");
        }
        if data.join("member").exists() {
            assert_eq!(hash(&data), expected, "killed when {seen} was there");
            std::fs::remove_dir_all(&data).unwrap();
        }
    }
    assert_eq!(restore(dir.path(), &[file.to_str().unwrap()]).code, 0);
    assert_eq!(hash(&data), expected);
}

/// The defaults of the flags name a member and a directory.
#[test]
fn under_etcdutls_name_it_restores_too() {
    let (dir, file) = written();
    let link = dir.path().join("etcdutl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quorateutl"), &link).unwrap();
    let data = dir.path().join("n.etcd");
    let arguments = [
        "snapshot",
        "restore",
        file.to_str().unwrap(),
        "--name=n",
        "--initial-cluster=n=http://localhost:2380",
        "--data-dir",
        data.to_str().unwrap(),
        "--skip-hash-check",
    ];
    let ended = run_as(&link, &arguments);
    assert_eq!((ended.code, &*ended.stdout), (0, ""), "{ended:?}");
    assert!(data.join("member/quorate.json").exists());
}

/// What a member has in its log and not in its state yet is in the hash, and in what is restored.
#[test]
fn the_directory_of_a_killed_member_is_hashed_and_restored() {
    let program = require!("the directory of a member", program());
    let mut subject = Subject::new(&program);
    subject.server.restart();
    put_more(&subject.server);
    subject.server.kill();
    let before = hash(subject.dir());
    let dir = tempfile::tempdir().unwrap();
    let from = subject.dir().to_str().unwrap().to_owned();
    let ended = restore(dir.path(), &["--from-data-dir", &from]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(hash(&dir.path().join("data")), before);
    assert_eq!(verify(&dir.path().join("data")).iter().filter(|found| found.is_damage).count(), 0);
    assert_eq!(hash(subject.dir()), before, "nothing is written");
    subject.server.restart();
    let running = run(&["hashkv", &from, "--timeout", "10ms"]);
    assert!(running.stderr.contains("a running member has locked it"), "{running:?}");
    subject.server.terminate();
    let restored = Server::start_at(&program, &[], &dir.path().join("data"));
    drop(restored);
    assert_eq!(hash(&dir.path().join("data")), before);
}

#[test]
fn migrate_checks_what_etcdutl_checks() {
    let program = require!("the directory of a member", program());
    let subject = Subject::new(&program);
    let dir = subject.dir().to_str().unwrap();
    let on = |arguments: &[&str]| run(&[&["migrate", "--data-dir", dir], arguments].concat());
    let done = on(&["--target-version", "3.7"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("storage version up-to-date\t{\"storage-version\": \"3.7\"}"), "{done:?}");
    let cases: [(&[&str], i32, &str); 4] = [
        (&[], 1, "required flag(s) \"target-version\" not set"),
        (&["--target-version", "3"], 128, "wrong target version format, expected \"X.Y\", got \"3\""),
        (&["--target-version", "3.4"], 128, "target version \"3.4\" not supported. Minimal \"3.5\""),
        (&["--target-version", "3.6"], 1, "make a snapshot, and restore it with etcdutl"),
    ];
    for (arguments, code, expected) in cases {
        let ended = on(arguments);
        assert!(ended.code == code && ended.stderr.contains(expected), "{arguments:?}: {ended:?}");
    }
}
