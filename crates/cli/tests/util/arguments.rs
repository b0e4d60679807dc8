//! The command line: what etcdutl answers, and what is wrong with the arguments.

use crate::tool::{run, run_as};

#[test]
fn the_version_is_etcdutls_under_its_name() {
    let ended = run(&["version"]);
    let expected = format!(
        "quorateutl version: 3.7.1\nAPI version: 3.7\nQuorate version: {}\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!((ended.code, ended.stdout, ended.stderr.as_str()), (0, expected, ""));
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("etcdutl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quorateutl"), &link).unwrap();
    let ended = run_as(&link, &["ver"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "etcdutl version: 3.7.1\nAPI version: 3.7\n"));
    let ended = run_as(&link, &["bogus"]);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.stderr.lines().next(), Some("Error: unknown command \"bogus\" for \"etcdutl\""));
}

#[test]
fn bad_arguments_are_refused_with_a_line_and_a_code() {
    let cases: [(&[&str], i32, &str); 12] = [
        (&["bogus"], 1, "unknown command \"bogus\" for \"quorateutl\""),
        (&["--bogus"], 1, "unknown flag: --bogus"),
        (&["defrag"], 1, "required flag(s) \"data-dir\" not set"),
        (&["defrag", "--data-dir"], 1, "flag needs an argument: --data-dir"),
        (&["completion"], 1, "accepts 1 arg(s), received 0"),
        (&["completion", "foo"], 1, "invalid argument \"foo\" for \"quorateutl completion\""),
        (&["--timeout", "x", "version"], 1, "time: invalid duration \"x\""),
        (
            &["-w", "fields", "verify", "--data-dir", "/nonexistent"],
            4,
            "fields not supported as output format",
        ),
        (&["-w", "bogus", "verify", "--data-dir", "/nonexistent"], 4, "unsupported output format"),
        (&["dump", "--data-dir", "/x", "--what", "all"], 128, "--what must be log, history, state or meta"),
        (
            &["dump", "--data-dir", "/x", "--what", "meta", "--from", "1"],
            128,
            "mean nothing with --what meta",
        ),
        (&["verify", "--data-dir", "/nonexistent"], 1, "/nonexistent/member: no such directory"),
    ];
    for (arguments, code, expected) in cases {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.starts_with("Error: ") && ended.stderr.contains(expected),
            "{arguments:?}: {ended:?}"
        );
    }
    let number = run(&["dump", "--data-dir", "/proc", "--what", "log", "--from", "x"]);
    assert_ne!(number.code, 0);
}

#[test]
fn every_shell_gets_its_script_and_help_is_given() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ended = run(&["completion", shell]);
        assert_eq!(ended.code, 0, "{shell}");
        assert!(ended.stdout.contains("verify") && ended.stdout.contains("quorateutl"), "{shell}");
    }
    for arguments in [&[][..], &["--help"], &["help"], &["help", "verify"], &["dump", "--help"]] {
        let ended = run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        assert!(ended.stdout.contains("Usage:"), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let ended = run(&["man", directory.path().to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
    let page = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(page("quorateutl.1").contains("write\\-out"));
    assert!(page("quorateutl-snapshot-restore.1").contains("data\\-dir"));
    assert!(!directory.path().join("quorateutl-man.1").exists());
    assert_eq!(run(&["man"]).code, 1);
}

/// The command for pages does not take a shortcut of etcdutl's away.
#[test]
fn m_is_short_for_migrate() {
    let ended = run(&["m"]);
    assert!(ended.stderr.contains("required flag(s) \"data-dir\""), "{}", ended.stderr);
}
