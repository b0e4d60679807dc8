//! A table of command lines: what each prints and how it ends.
//!
//! The files `*.table` beside this one are the table. Each is run from top to bottom against a fresh server, by our binary
//! under the name `etcdctl`, and by Debian's etcdctl against another fresh server of the same kind: rows without a mark must come
//! out the same. A row is
//!
//! ```text
//! # A comment.
//! $ ETCDCTL_HEX=true put k "a\n" --prev-kv      the command, in front of it variables of its environment
//! < a line of standard input
//! @ L                                           the lease that it grants is {L} from here on, {L:d} in decimal
//! ^ 3                                           it is interrupted (SIGINT) when it has printed three lines
//! ~ 3.4: has no such flag                       where etcdctl differs, and why; `~ all:` for every version
//! | a line of standard output
//! ! 128 Error: the exit code unless it is 0, and standard error
//! ```
//!
//! Addresses, ids, terms and times are put in braces before they are compared. Output that is no text is quoted, after
//! `|q`, without the header of the answer.
//!
//! `QUORATE_UPDATE=1` writes what came out into the files. `QUORATE_TEST_CTL=path` runs another etcdctl in place of
//! Debian's.

use std::path::{Path, PathBuf};

use testkit::{Program, Server, require};

mod normal;
mod row;
mod run;

use normal::Names;
use row::{Row, Script};
use run::Ctl;

/// Set to run another etcdctl than the one in `PATH`.
const CTL_VARIABLE: &str = "QUORATE_TEST_CTL";

/// Set to write what came out into the table.
const UPDATE_VARIABLE: &str = "QUORATE_UPDATE";

fn scripts() -> Vec<Script> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table");
    let entries = std::fs::read_dir(directory).expect("the directory of the table");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "table")).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there is no table");
    paths.iter().map(|path| Script::read(path)).collect()
}

/// Runs a script against a fresh server and returns its rows as they came out.
fn play(script: &Script, server: &Program, ctl: &Ctl) -> Vec<Row> {
    let server = Server::start(server, &[]);
    let mut names = Names::new(&server.client_address());
    names.learn_ids(&ctl.header(&server.client_address()));
    names.learn_peer_address(&server.peer_address());
    script.rows.iter().map(|row| ctl.run(row, &mut names)).collect()
}

#[test]
fn every_row_comes_out_as_it_is_written() {
    let server = require!("the table of quoratectl", Program::quorate());
    let ctl = Ctl::ours();
    let mut differences = Vec::new();
    for script in scripts() {
        let rows = play(&script, &server, &ctl);
        if std::env::var_os(UPDATE_VARIABLE).is_some() {
            script.update(&rows);
            continue;
        }
        for (expected, row) in script.rows.iter().zip(&rows) {
            if expected.outcome != row.outcome {
                differences.push(script.difference(expected, row));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn etcdctl_prints_the_same() {
    let server = require!("the table of etcdctl", Program::quorate());
    let ctl = require!("the table of etcdctl", Ctl::theirs());
    let mut differences = Vec::new();
    for script in scripts() {
        for (ours, theirs) in script.rows.iter().zip(play(&script, &server, &ctl)) {
            if !ours.differs_from(ctl.version) && !theirs.outcome.is_like(&ours.outcome) {
                differences.push(script.difference(ours, &theirs));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
