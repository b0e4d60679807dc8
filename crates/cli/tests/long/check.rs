//! `check`, with loads that do not take a minute.

use testkit::{Program, Server, require};

use super::{errors, printed, run};

#[test]
fn a_check_of_writes_judges_and_leaves_nothing_behind() {
    let quorate = require!("check perf", Program::quorate());
    let server = Server::start(&quorate, &[]);
    let output = run(&server, &["check", "perf", "--duration", "300ms", "--auto-compact", "--auto-defrag"]);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    // Whether this machine is fast enough is not what is tested.
    assert!(lines[0].starts_with("Compacting with revision "), "{said}{}", errors(&output));
    assert!(lines[1].starts_with("Compacted with revision "), "{said}");
    assert_eq!(lines[2], format!("Defragmenting \"{}\"", server.client_address()));
    assert_eq!(lines[3], format!("Defragmented \"{}\"", server.client_address()));
    assert!(lines[4].contains("Throughput") && lines[4].ends_with(" writes/s"), "{said}");
    assert!(lines[5].contains("lowest request took") && lines[6].contains("Stddev"), "{said}");
    let code = if lines[7] == "PASS" { 0 } else { 1 };
    assert_eq!((output.status.code(), lines.len()), (Some(code), 8), "{said}");
    assert_eq!(printed(&server, &["get", "", "--prefix"]), "");
}

#[test]
fn a_check_of_memory_reads_the_metrics() {
    let quorate = require!("check datascale", Program::quorate());
    let server = Server::start(&quorate, &[]);
    let said = printed(&server, &["check", "datascale", "--keys", "200"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        "Start data scale check for work load [200 key-value pairs, 1024 bytes per key-value, 50 concurrent clients]."
    );
    assert!(
        lines[1].starts_with("PASS: Approximate system memory used : ") && lines[1].ends_with(" MB."),
        "{said}"
    );
    assert_eq!(lines.len(), 2);
    assert_eq!(printed(&server, &["get", "", "--prefix"]), "");
}

#[test]
fn keys_that_are_there_are_not_touched() {
    let quorate = require!("check of a prefix in use", Program::quorate());
    let server = Server::start(&quorate, &[]);
    printed(&server, &["put", "/mine/k", "v"]);
    let perf = run(&server, &["check", "perf", "--prefix", "/mine/"]);
    assert_eq!(perf.status.code(), Some(3));
    assert_eq!(
        errors(&perf),
        "Error: prefix \"/mine/\" has keys. Delete with 'etcdctl del --prefix /mine/' first\n"
    );
    let datascale = run(&server, &["check", "datascale", "--prefix", "/mine/"]);
    assert_eq!(datascale.status.code(), Some(3));
    assert_eq!(
        errors(&datascale),
        "Error: prefix \"/mine/\" has keys. Delete with etcdctl del --prefix /mine/ first\n"
    );
    assert_eq!(printed(&server, &["get", "/mine/k"]), "/mine/k\nv\n");
}
