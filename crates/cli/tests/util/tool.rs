//! Runs of the tool.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `quorateutl`.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_as(Path::new(env!("CARGO_BIN_EXE_quorateutl")), arguments)
}

/// Runs it under another name.
pub(crate) fn run_as(program: &Path, arguments: &[&str]) -> Ended {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code().expect("it ends by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Something that `verify` found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) is_damage: bool,
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) what: String,
}

impl Found {
    /// Whether it is about this byte of this file, or one in the same sector.
    pub(crate) fn is_near(&self, path: &Path, offset: u64) -> bool {
        let (sector, region) = (offset / 512 * 512, self.offset..self.offset + self.bytes.max(1));
        Path::new(&self.file) == path && (region.contains(&offset) || region.contains(&sector))
    }
}

/// What `verify -w json` says of a directory. Exit code and report agree, and no panic shows.
pub(crate) fn verify(dir: &Path) -> Vec<Found> {
    let ended = run(&["verify", "--timeout=100ms", "-w=json", "--data-dir", dir.to_str().unwrap()]);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let report: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let found: Vec<Found> = report["findings"].as_array().unwrap().iter().map(found).collect();
    let damages = found.iter().filter(|found| found.is_damage).count();
    assert_eq!((report["ok"] == true, ended.code), (damages == 0, i32::from(damages > 0)), "{ended:?}");
    found
}

fn found(value: &Value) -> Found {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    Found {
        is_damage: value["severity"] == "damage",
        file: text("file"),
        offset: value["offset"].as_u64().unwrap(),
        bytes: value["bytes"].as_u64().unwrap(),
        what: text("what"),
    }
}
