//! Completion with what a cluster has.

use testkit::{Program, Server, require};

use super::{ctl, printed};

/// Returns what is completed at the end of a line. It is asked as the script of fish asks.
fn completed(server: &Server, line: &[&str]) -> Vec<String> {
    let mut command = ctl();
    command.env("QUORATECTL_COMPLETE", "fish").args([
        "--",
        "quoratectl",
        "--endpoints",
        &server.client_address(),
    ]);
    let output = command.args(line).output().unwrap();
    let candidates = String::from_utf8(output.stdout).unwrap();
    candidates.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn keys_members_users_and_roles_are_completed() {
    let quorate = require!("completion", Program::quorate());
    let server = Server::start(&quorate, &[]);
    for key in ["/a/1", "/a/2", "/b"] {
        printed(&server, &["put", key, "v"]);
    }
    printed(&server, &["user", "add", "alice", "--no-password"]);
    printed(&server, &["role", "add", "reader"]);
    assert_eq!(completed(&server, &["get", "/"]), ["/a/", "/b"]);
    assert_eq!(completed(&server, &["get", "/a/"]), ["/a/1", "/a/2"]);
    assert_eq!(completed(&server, &["user", "get", "al"]), ["alice"]);
    assert_eq!(completed(&server, &["user", "grant-role", "alice", "r"]), ["reader"]);
    let members = printed(&server, &["member", "list"]);
    let id = members.split(',').next().unwrap();
    assert_eq!(completed(&server, &["move-leader", &id[..4]]), [id]);
}

#[test]
fn without_a_cluster_there_are_no_values_and_no_complaints() {
    let mut command = ctl();
    command.env("QUORATECTL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "4");
    let output =
        command.args(["--", "quoratectl", "--endpoints", "127.0.0.1:1", "get", "/"]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}
