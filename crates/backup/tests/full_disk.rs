//! A disk that is full at any moment of a restore: it says so, leaves nothing that a member would take for its data, and goes
//! through when there is space.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

#[allow(dead_code, reason = "the other tests use more of it")]
mod support;

use std::path::{Path, PathBuf};

use backup::restore::{Founding, Options, Progress, RestoreError, Restored, Target, restore_file};
use datadir::url::{parse_cluster, parse_list};
use datadir::{Layout, Marker, Origin, State};
use dbfile::etcd::MetaRows;
use support::{Change, Row, file, history};
use testkit::{Random, Tmpfs, require};
use wal::OsDisk;

/// Sizes of disks in KiB, from one on which nothing fits; the last ones are around the history's file (32 MiB).
const SIZES: [u32; 9] = [4, 64, 600, 2_000, 8_000, 16_000, 30_000, 33_000, 34_000];

/// How many of them are too small, at least.
const TOO_SMALL: usize = 7;

/// Room for all of it.
const LARGE: u32 = 400_000;

/// A size as `mount` takes it.
fn size(kibibytes: u32) -> String {
    format!("{kibibytes}k")
}

fn origin() -> Origin {
    let founding = Founding {
        name: "a".to_owned(),
        members: parse_cluster("a=http://127.0.0.1:1").unwrap(),
        token: "t".to_owned(),
        advertised: parse_list("http://127.0.0.1:1").unwrap(),
    };
    founding.origin().unwrap()
}

fn restore(backup: &Path, data_dir: PathBuf) -> Result<Restored, RestoreError> {
    let target = Target { data_dir, wal_dir: None };
    restore_file(backup, &origin(), &target, Options::default(), &mut Progress::none())
}

/// The error and what caused it.
fn whole_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn a_full_disk_is_said_and_space_is_all_that_it_takes() {
    let rows: Vec<Row> = history(&mut Random::new(2), 2_000, 200).iter().map(Change::row).collect();
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("backup.db");
    std::fs::write(&backup, file(&rows, &MetaRows::default(), &[])).unwrap();
    let mut refused = 0;
    for kibibytes in SIZES {
        let disk = require!("restoring on a full disk", Tmpfs::new(&size(kibibytes)));
        let data_dir = disk.path().join("data");
        let Err(error) = restore(&backup, data_dir.clone()) else { continue };
        refused += 1;
        let error = whole_text(&error);
        let lower = error.to_lowercase();
        assert!(lower.contains("space"), "{kibibytes} KiB: {error}");
        let marker = Marker::read(&OsDisk, &Layout::of(&data_dir).marker()).unwrap();
        assert!(marker.is_none(), "{kibibytes} KiB: there is a member");
        disk.resize(&size(LARGE));
        let restored = restore(&backup, data_dir.clone()).unwrap();
        assert_eq!(restored.revision, 2_000, "{kibibytes} KiB");
        let marker = Marker::read(&OsDisk, &Layout::of(&data_dir).marker()).unwrap().unwrap();
        assert_eq!(marker.state, State::Complete, "{kibibytes} KiB");
    }
    assert!(refused >= TOO_SMALL, "{refused}");
}
