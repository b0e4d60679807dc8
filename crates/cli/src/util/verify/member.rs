//! The marker, and which files are there that do not belong.

use std::path::Path;

use datadir::{DataDirError, Layout, Marker, State};
use wal::{Disk, Finding};

use super::collected::Collected;

/// Looks at the marker and at the names in the directories. Returns what the marker says, if it says something.
pub(super) fn inspect(
    layout: &Layout,
    wal: &Path,
    disk: &dyn Disk,
    collected: &mut Collected,
) -> Option<Marker> {
    check_names(layout, wal, collected);
    let path = layout.marker();
    match Marker::read(disk, &path) {
        Ok(Some(marker)) => {
            if marker.state == State::StartingOver {
                let what =
                    "log and store are to be thrown away at the next start, and fetched from the others";
                collected.add(Finding::note(&path, 0, 0, what));
            }
            Some(marker)
        }
        Ok(None) => {
            collected.add(Finding::damage(
                &path,
                0,
                0,
                "the marker is missing: whose data this is, is not said",
            ));
            None
        }
        Err(error) => {
            let bytes = path.metadata().map_or(0, |metadata| metadata.len());
            let what = match error {
                DataDirError::Marker { what, .. } => what,
                other => other.to_string(),
            };
            collected.add(Finding::damage(&path, 0, bytes, what));
            None
        }
    }
}

/// Notes what lies about: what a crash has left, and what nobody here knows.
fn check_names(layout: &Layout, wal: &Path, collected: &mut Collected) {
    let is_wal_here = layout.wal() == wal;
    let known = |name: &str| match name {
        "quorate.json" | "lock" | "kv" => None,
        "wal" if is_wal_here => None,
        _ if name.starts_with("incoming-") => Some("what an interrupted transfer of a snapshot has left"),
        "kv.next" | "kv.old" => Some("what a crash during the installation of a snapshot has left"),
        "quorate.tmp" => Some("what a crash has left of a new marker"),
        _ => Some("no file of a member"),
    };
    note_names(&layout.member(), known, collected);
    let known = |name: &str| match name {
        "hard-state-a" | "hard-state-b" | "entries" => None,
        "hard-state-a.tmp" | "hard-state-b.tmp" => Some("what a crash has left of a copy of the hard state"),
        _ => Some("no file of a raft log"),
    };
    note_names(wal, known, collected);
    let known = |name: &str| match name {
        "current.redb" | "history" => None,
        "current.tmp" => Some("what a crash has left of a new database"),
        _ => Some("no file of a store"),
    };
    note_names(&layout.store(), known, collected);
}

fn note_names(dir: &Path, known: impl Fn(&str) -> Option<&'static str>, collected: &mut Collected) {
    let Ok(entries) = dir.read_dir() else { return };
    for entry in entries.filter_map(Result::ok) {
        if let Some(what) = known(&entry.file_name().to_string_lossy()) {
            collected.add(Finding::note(&entry.path(), 0, 0, what));
        }
    }
}
