//! The binary's answers to command lines that do not start a member: output, log line and exit code.

use std::process::{Command, Output};

/// Runs the binary in an empty environment.
fn quorate(line: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(line).env_clear().envs(environment.iter().copied());
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

#[test]
fn version_and_help_go_to_stdout_and_end_well() {
    for (line, start) in [(["--version"], "etcd Version: 3.7.1\nGit SHA: "), (["-h"], "Usage:\n")] {
        let output = quorate(&line, &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).starts_with(start));
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_line_that_cannot_be_read_shows_the_usage_and_ends_with_2() {
    for (flag, message) in [
        ("--nosuch", "flag provided but not defined: -nosuch\n"),
        ("--pre-vote=x", "invalid boolean value \"x\" for -pre-vote: parse error\n"),
    ] {
        let output = quorate(&[flag], &[]);
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with(message) && stderr.contains("Usage:\n"), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn settings_that_cannot_be_served_are_one_log_line_and_end_with_1() {
    let cases = [
        ("x", "\"x\" is not a valid flag"),
        ("--election-timeout=0", "--election-timeout must be >0 (set to 0ms)"),
        (
            "--enable-log-rotation",
            "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        ),
        ("--config-file=/nosuch", "open /nosuch: No such file or directory (os error 2)"),
    ];
    for (flag, message) in cases {
        let log = refusal(&[flag], &[]);
        assert_eq!((&log["level"], &log["msg"]), (&"error".into(), &"failed to verify flags".into()));
        assert_eq!(log["error"], message);
    }
}

#[test]
fn a_variable_beside_its_flag_is_fatal_and_found_by_its_message() {
    let log = refusal(&["--name=a"], &[("ETCD_NAME", "b")]);
    let message = log["msg"].as_str().expect("the message is a text");
    let start = "conflicting environment variable is shadowed by corresponding command-line flag";
    assert!(message.starts_with(start), "{message}");
    assert_eq!((&log["level"], &log["environment-variable"]), (&"fatal".into(), &"ETCD_NAME".into()));
}

/// The one log line with which a start is refused.
fn refusal(line: &[&str], environment: &[(&str, &str)]) -> serde_json::Value {
    let output = quorate(line, environment);
    assert_eq!(output.status.code(), Some(1), "{line:?}");
    serde_json::from_str(text(&output.stderr).trim_end()).expect("one line of JSON")
}
