//! The state as of the last checkpoint: a row of a side table, or a live key, a line.
//!
//! What the raft log has behind the checkpoint is not in it; `--what meta` says which entry was the last.

use std::sync::Arc;

use machine::inspect::Row;
use mvcc::Meta;
use mvcc::inspect::{Checkpoint, Seen};
use serde_json::json;
use wal::Finding;

use super::lines::{Lines, base64, quoted};
use super::rows;
use crate::util::disk::ReadOnlyDisk;
use crate::util::failure::Failure;
use crate::util::held::Held;

pub(super) fn dump(
    held: &Held,
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    secrets: bool,
    lines: &mut Lines<'_>,
) -> Result<(), Failure> {
    let is_whole = from.is_none() && to.is_none();
    let dir = held.layout.store();
    let disk = Arc::new(ReadOnlyDisk::default());
    let opened = Checkpoint::open(disk, &dir, None, &mut |seen| show_finding(seen, lines));
    let Some(checkpoint) = opened else { return Ok(()) };
    checkpoint.inspect(&mut |seen| match seen {
        Seen::Row(table, key, value) if is_whole => match Row::decode(table, key, value) {
            Ok(row) => rows::show(&row, secrets, lines),
            Err(error) => lines.finding(&Finding::damage(checkpoint.path(), 0, 0, error.to_string())),
        },
        Seen::Key(key, meta, value) => {
            let is_wanted =
                from.as_deref().is_none_or(|from| from <= key) && to.as_deref().is_none_or(|to| key < to);
            if is_wanted {
                show_key(key, meta, value, lines);
            }
        }
        seen => show_finding(seen, lines),
    });
    Ok(())
}

fn show_finding(seen: Seen<'_>, lines: &mut Lines<'_>) {
    if let Seen::Finding(finding) = seen {
        lines.finding(&finding);
    }
}

fn show_key(key: &[u8], meta: &Meta, value: &[u8], lines: &mut Lines<'_>) {
    let text = || {
        let lease = if meta.lease.0 == 0 { String::new() } else { format!(" lease {:x}", meta.lease.0) };
        let (key, value) = (quoted(key), quoted(value));
        let Meta { create_revision, mod_revision, version, .. } = meta;
        format!("key {key} {value} create {create_revision} mod {mod_revision} version {version}{lease}")
    };
    let json = || {
        json!({
            "table": "keys",
            "key": base64(key),
            "value": base64(value),
            "createRevision": meta.create_revision,
            "modRevision": meta.mod_revision.main,
            "sub": meta.mod_revision.sub,
            "version": meta.version,
            "lease": meta.lease.0,
        })
    };
    lines.line(text, json);
}
