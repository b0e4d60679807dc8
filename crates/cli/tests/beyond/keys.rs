//! Commands about keys: tree, diff, history, edit, get, apply, export and import.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use super::run::{Tool, server};

#[test]
fn a_tree_counts_keys_and_bytes() {
    let (_server, tool) = server();
    for (key, value) in [("/a/x/1", "1234"), ("/a/x/2", "1"), ("/a/y", ""), ("/b", "12")] {
        tool.put(key, value);
    }
    let expected = "     KEYS    BYTES  PATH
        4     25 B  /
        3     21 B  ├─ a/
        2     17 B  │  ├─ x/
        1      4 B  │  └─ y
        1      4 B  └─ b
";
    assert_eq!(tool.ok(&["tree", "/"]), expected);
    assert_eq!(tool.ok(&["tree", "/a/", "--depth", "0"]).lines().last().unwrap(), "        3     21 B  /a/");
    assert_eq!(tool.ok(&["tree"]).lines().nth(1).unwrap(), "        4     25 B  (all keys)");
    assert!(tool.ok(&["tree", "/", "--top=1"]).contains("└─ … 1 more"));
}

#[test]
fn a_tree_of_many_pages_counts_every_key() {
    let (_server, tool) = server();
    let lines: String = (0..3000).map(|key| format!("{{\"key\":\"/k/{key}\",\"value\":\"v\"}}\n")).collect();
    let file =
        format!("{{\"export\":1,\"revision\":1,\"prefix\":\"\"}}\n{lines}{{\"end\":true,\"keys\":3000}}\n");
    let ran = tool.run_with(&["import", "-"], &file);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "3,000 keys written\n"), "{ran:?}");
    assert!(tool.ok(&["tree", "/k/", "--depth=0"]).contains("    3,000 "));
}

#[test]
fn revisions_are_compared() {
    let (_server, tool) = server();
    tool.put("/a", "old");
    tool.put("/b", "same");
    let older = tool.put("/c", "gone").to_string();
    tool.put("/a", "new");
    tool.ok(&["del", "/c"]);
    let newer = tool.put("/d", "added").to_string();
    tool.put("/e", "later");
    let expected = "~ /a  (3 B, revision 5)\n    -old\n    +new\n- /c  (4 B, revision 4)\n    -gone\n+ /d  (5 B, revision 7)\n    +added\n";
    assert_eq!(tool.ok(&["diff", "--rev", &older, "--rev", &newer, "/"]), expected);
    let short = tool.ok(&["diff", "--rev", &older, "--keys-only"]);
    assert_eq!(short.lines().map(|line| &line[..4]).collect::<Vec<_>>(), ["~ /a", "- /c", "+ /d", "+ /e"]);
    assert_eq!(tool.run(&["diff", "/"]).code, Some(128));
    tool.ok(&["compaction", &newer]);
    let ran = tool.run(&["diff", "--rev", &older]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("required revision has been compacted"), "{ran:?}");
}

#[test]
fn the_history_of_a_key_has_deletions_and_begins_at_the_compaction() {
    let (_server, tool) = server();
    tool.put("k", "one");
    tool.put("k", "two");
    tool.ok(&["del", "k"]);
    tool.put("other", "x");
    tool.put("k", "three");
    let all = "\
REVISION  VERSION  WHAT        SIZE  TIME                  VALUE
       2        1  created      3 B  -                     one
       3        2  changed      3 B  -                     two
       4        -  deleted
       6        1  created      5 B  -                     three
";
    assert_eq!(tool.ok(&["history", "k"]), all);
    let last: Vec<&str> = all.lines().skip(4).collect();
    assert_eq!(tool.ok(&["history", "k", "--last=1"]).lines().skip(1).collect::<Vec<_>>(), last);
    tool.ok(&["compaction", "3"]);
    let lines = tool.ok(&["history", "k"]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[1], "       3  what was before this revision is compacted");
    assert_eq!(lines[2..], all.lines().skip(2).collect::<Vec<_>>());
    assert_eq!(tool.ok(&["history", "never"]).lines().count(), 2);
}

#[test]
fn values_are_written_decoded_or_raw() {
    let (_server, tool) = server();
    tool.put("/j", r#"{"z":1,"a":["x"]}"#);
    let yaml = "---\nkey: /j\ncreate_revision: 2\nmod_revision: 2\nversion: 1\nform: json\nvalue:\n  z: 1\n  a:\n  - x\n";
    assert_eq!(tool.ok(&["get", "/j", "-w", "yaml"]), yaml);
    assert_eq!(tool.ok(&["get", "/j", "-w", "raw"]), r#"{"z":1,"a":["x"]}"#);
    assert_eq!(tool.run(&["get", "/j", "-w", "toml"]).code, Some(4));
    assert_eq!(tool.run(&["tree", "-w", "json"]).code, Some(4));
}

/// An executable script, as an editor.
fn script(directory: &Path, text: &str) -> String {
    let path = directory.join("editor");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn editing(tool: Tool, directory: &Path, text: &str) -> Tool {
    let editor = script(directory, text);
    let directory = directory.display().to_string();
    Tool {
        variables: vec![("EDITOR", editor), ("PATH", "/usr/bin:/bin".into()), ("TMPDIR", directory)],
        ..tool
    }
}

#[test]
fn a_value_is_edited() {
    let (server, tool) = server();
    tool.put("k", "hello\n");
    let directory = tempfile::tempdir().unwrap();
    let editor = editing(Tool::of(&server), directory.path(), "sed -i s/hello/bye/ \"$1\"");
    assert_eq!(editor.ok(&["edit", "k"]), "k written at revision 3\n");
    assert_eq!(editor.ok(&["edit", "k"]), "k is as it was\n");
    assert_eq!(tool.ok(&["get", "k", "-w", "raw"]), "bye\n");
    let creator = editing(Tool::of(&server), directory.path(), "echo new > \"$1\"");
    assert_eq!(creator.ok(&["edit", "fresh"]), "fresh written at revision 4\n");
    let quitter = editing(Tool::of(&server), directory.path(), "exit 1");
    assert_eq!(quitter.run(&["edit", "k"]).code, Some(1));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "no file is left but the script");
}

#[test]
fn a_conflict_keeps_the_edited_text() {
    let (server, tool) = server();
    tool.put("k", "before");
    let directory = tempfile::tempdir().unwrap();
    let other =
        format!("{} --endpoints {} put k theirs", env!("CARGO_BIN_EXE_quoratectl"), server.client_address());
    let editor =
        editing(Tool::of(&server), directory.path(), &format!("{other} >/dev/null; echo mine > \"$1\""));
    let ran = editor.run(&["edit", "k"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (said, path) = ran.stderr.trim_end().split_once(": your text is kept in ").unwrap();
    assert_eq!(said, "Error: k was changed by somebody else meanwhile, so that nothing was written");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "mine\n");
    assert_eq!(tool.ok(&["get", "k", "-w", "raw"]), "theirs");
}

#[test]
fn a_file_is_applied() {
    let (_server, tool) = server();
    tool.put("/app/a", "old");
    tool.put("/app/stale", "x");
    let file = "/app/a: new\n/app/object: {port: 1}\n/app/absent:\n";
    let dry = tool.run_with(&["apply", "-f", "-", "--prune", "/app/", "--dry-run"], file);
    let shown = "~ /app/a\n    -old\n    +new\n+ /app/object\n    +port: 1\n- /app/stale\n    -x\n1 created, 1 changed, 1 removed";
    assert!(dry.stdout.starts_with(shown), "{dry:?}");
    assert_eq!(tool.ok(&["get", "/app/a", "-w", "raw"]), "old");
    let ran = tool.run_with(&["apply", "-f", "-", "--prune", "/app/"], file);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(tool.ok(&["get", "/app/", "--prefix"]), "/app/a\nnew\n/app/object\n{\"port\":1}\n");
    assert_eq!(tool.put("x", "x"), 5, "one transaction, one revision");
    let again = tool.run_with(&["apply", "-f", "-", "--prune", "/app/"], file);
    assert_eq!(again.stdout, "0 created, 0 changed, 0 removed, 3 as they should be\n");
    let wrong = tool.run_with(&["apply", "-f", "-"], "/app/a: 1.10\n");
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("put the number 1.1 into quotes"), "{wrong:?}");
}

#[test]
fn a_file_that_is_too_big_for_a_transaction_is_applied_in_several() {
    let (_server, tool) = server();
    let file: String = (0..300).map(|key| format!("/k{key:03}: v\n")).collect();
    let ran = tool.run_with(&["apply", "-f", "-"], &file);
    let last = ran.stdout.lines().last().unwrap();
    assert_eq!(
        last,
        "300 created, 0 changed, 0 removed, 0 as they should be (in 3 transactions: more than 128 changes)"
    );
    assert!(tool.ok(&["tree", "/k", "--depth=0"]).contains("      300 "));
}

#[test]
fn what_is_exported_can_be_imported() {
    let (_one, from) = server();
    let (_two, to) = server();
    from.put("/a", "1");
    from.ok(&["put", "--hex", "\\xff\\x00", "\\xfe"]);
    let lease = from.ok(&["lease", "grant", "500"]);
    let lease = lease.split(' ').nth(1).unwrap();
    from.ok(&["put", "/leased", "2", "--lease", lease]);
    let file = from.ok(&["export", "--leases"]);
    assert_eq!(file.lines().next().unwrap(), r#"{"export":1,"revision":4,"prefix":""}"#);
    assert_eq!(file.lines().last().unwrap(), r#"{"end":true,"keys":3}"#);
    assert!(to.run_with(&["import", "--dry-run", "-"], &file).stdout.starts_with("3 keys of revision 4"));
    assert_eq!(to.ok(&["get", "", "--from-key"]), "");
    let ran = to.run_with(&["import", "--leases", "-"], &file);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "3 keys written\n"), "{ran:?}");
    assert!(to.ok(&["lease", "list"]).starts_with("found 1 leases"));
    let body = |line: &str| line.split(",\"lease").next().unwrap().trim_end_matches('}').to_owned();
    let bodies =
        |file: &str| file.lines().filter(|line| line.contains("value")).map(body).collect::<Vec<_>>();
    assert_eq!(bodies(&to.ok(&["export"])), bodies(&file));
    let cut: String = file.lines().take(2).map(|line| format!("{line}\n")).collect();
    let ran = to.run_with(&["import", "-"], &cut);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("it was cut off"), "{ran:?}");
}

#[test]
fn a_pipe_that_closes_ends_it_quietly() {
    let (_server, tool) = server();
    let value = "v".repeat(100_000);
    for key in 0..20 {
        tool.put(&format!("/{key}"), &value);
    }
    let mut command = tool.command(&["export"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn as_etcdctl_it_has_no_more_than_etcdctl() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("etcdctl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quoratectl"), &link).unwrap();
    let help = |program: &Path| {
        let output = std::process::Command::new(program).arg("--help").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(!help(&link).contains("doctor"));
    assert!(help(Path::new(env!("CARGO_BIN_EXE_quoratectl"))).contains("Commands beyond etcdctl"));
}
