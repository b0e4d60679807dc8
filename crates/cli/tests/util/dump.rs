//! What `dump` shows, held against golden files. `QUORATE_GOLDEN=write` writes them.

use std::path::Path;

use serde_json::Value;

use crate::subject::{Subject, program};
use crate::tool::run;

fn dump(dir: &Path, what: &str, more: &[&str]) -> String {
    let mut arguments = vec!["dump", "--data-dir", dir.to_str().unwrap(), "--what", what];
    arguments.extend(more);
    let ended = run(&arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    ended.stdout
}

/// Replaces what differs from run to run: what comes behind one of these, up to something that is no part of a number.
fn steady(text: &str) -> String {
    let mut steady = text.to_owned();
    for mark in ["ID:", "epoch ", "member ", "cluster id ", "127.0.0.1:", "applied "] {
        let mut parts = steady.split(mark);
        let first = parts.next().unwrap_or_default().to_owned();
        let is_number = |char: char| char.is_ascii_hexdigit() || char == '@';
        steady =
            parts.fold(first, |text, part| format!("{text}{mark}#{}", part.trim_start_matches(is_number)));
    }
    steady
}

fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/util/golden").join(name);
    if std::env::var("QUORATE_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{}", path.display());
}

/// What clients have asked for, without the entries that a member makes by itself, and without index and term.
fn of_clients(log: &str) -> String {
    let own = [
        "empty",
        "members",
        "cluster_bootstrap",
        "cluster_member_attr_set",
        "cluster_version_set",
        "state_hash",
    ];
    let mut lines = String::new();
    for line in log.lines() {
        let (_, command) = line.split_once(' ').unwrap();
        if !own.iter().any(|own| command.contains(own)) {
            lines = format!("{lines}{command}\n");
        }
    }
    lines
}

#[test]
fn log_history_and_state_are_shown_as_the_golden_files_have_them() {
    let program = testkit::require!("dump", program());
    let subject = Subject::new(&program);
    let dir = subject.dir();
    let log = dump(dir, "log", &[]);
    check("log.txt", &steady(&of_clients(&log)).replace(&"x".repeat(20_000), "(long)"));
    check("history.txt", &dump(dir, "history", &["--from", "20"]).replace(&"x".repeat(20_000), "(long)"));
    let state = dump(dir, "state", &[]).replace(&"x".repeat(20_000), "(long)");
    check("state.txt", &steady(&state));
    assert_eq!(dump(dir, "state", &["--from", "/k/18", "--to", "/k/19"]).lines().count(), 1);
    let meta = dump(dir, "meta", &[]);
    for start in [
        "marker member/quorate.json: member ",
        "hard state member/wal/hard-state-a: ",
        "entries member/wal/entries/",
        "checkpoint member/kv/current.redb: revision ",
        "history member/kv/history/",
    ] {
        assert!(meta.lines().any(|line| line.starts_with(start)), "{start}: {meta}");
    }
    let first = log.lines().next().unwrap().split('@').next().unwrap().to_owned();
    assert_eq!(dump(dir, "log", &["--from", &first, "--to", &first]).lines().count(), 1);
}

#[test]
fn json_is_one_object_a_line_and_says_the_same() {
    let program = testkit::require!("json", program());
    let subject = Subject::new(&program);
    let dir = subject.dir();
    for what in ["log", "history", "state", "meta"] {
        let (text, json) = (dump(dir, what, &[]), dump(dir, what, &["-w", "json"]));
        let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(objects.iter().all(Value::is_object));
        assert_eq!(objects.len(), text.lines().count(), "{what}");
    }
    let history = dump(dir, "history", &["-w", "json", "--from", "33", "--to", "33"]);
    check("history.json", &history);
}

#[test]
fn secrets_are_shown_to_who_asks_for_them_only() {
    let program = testkit::require!("secrets", program());
    let subject = Subject::new(&program);
    for what in ["log", "state"] {
        for format in ["simple", "json"] {
            let shown = dump(subject.dir(), what, &["-w", format]);
            assert!(shown.contains("(hidden)") || shown.contains("KGhpZGRlbik="), "{what}");
            assert!(!shown.contains("$2a$") && !shown.contains("JDJh"), "{what} {format}: {shown}");
        }
        let shown = dump(subject.dir(), what, &["--secrets"]);
        assert!(!shown.contains("(hidden)"), "{what}");
        assert!(shown.contains("$2a$") || shown.contains("JDJh"), "{what}: {shown}");
    }
}

#[test]
fn what_is_damaged_is_left_out_and_said() {
    let program = testkit::require!("damaged", program());
    let subject = Subject::new(&program);
    let path = subject.dir().join("member/kv/history/0000000000000001.wal");
    let whole = dump(subject.dir(), "history", &[]).lines().count();
    let mut content = std::fs::read(&path).unwrap();
    content[3000] ^= 1;
    std::fs::write(&path, &content).unwrap();
    let ended = run(&["dump", "--data-dir", subject.dir().to_str().unwrap(), "--what", "history"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("damage: ") && ended.stderr.contains("are left out"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), whole - 1);
}
