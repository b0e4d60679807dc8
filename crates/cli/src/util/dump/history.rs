//! The history of the keys: a change a line.

use mvcc::inspect::{Seen, inspect_history};
use mvcc::{Before, Change, Item};
use serde_json::{Value, json};

use super::Numbers;
use super::lines::{Lines, base64, quoted};
use crate::util::disk::ReadOnlyDisk;
use crate::util::failure::Failure;
use crate::util::held::Held;

pub(super) fn dump(held: &Held, wanted: Numbers, lines: &mut Lines<'_>) -> Result<(), Failure> {
    let disk = ReadOnlyDisk::default();
    let mut see = |seen: Seen<'_>| match seen {
        Seen::Change(_, change) if wanted.contain(change.revision.main.cast_unsigned()) => {
            show(change, lines)
        }
        Seen::Finding(finding) => lines.finding(&finding),
        _ => {}
    };
    let done = inspect_history(&disk, &held.layout.store(), None, None, &wal::InTurn, &mut see);
    done.map(drop).map_err(|error| Failure::error(error.to_string()))
}

fn show(change: &Change, lines: &mut Lines<'_>) {
    let text = || {
        let key = quoted(&change.key);
        let what = match &change.after {
            Some(item) => format!("put {key} {}", version_text(item)),
            None => format!("delete {key}"),
        };
        let before = change.before.meta().map(|meta| format!(" before {}", meta.mod_revision));
        let lost = change.before.lost().map_or("", |_| ", whose value is lost");
        format!("{} {what}{}{lost}", change.revision, before.unwrap_or_default())
    };
    let json = || {
        json!({
            "revision": change.revision.main,
            "sub": change.revision.sub,
            "type": if change.is_put() { "PUT" } else { "DELETE" },
            "key": base64(&change.key),
            "after": change.after.as_ref().map(version_json),
            "before": before_json(&change.before),
        })
    };
    lines.line(text, json);
}

/// What a key was before a change; of a version whose value is lost, the rest.
fn before_json(before: &Before) -> Option<Value> {
    match before {
        Before::Nothing => None,
        Before::Item(item) => Some(version_json(item)),
        other => {
            other.meta().map(|meta| json!({ "modRevision": meta.mod_revision.main, "valueIsLost": true }))
        }
    }
}

/// A version of a key, without the key.
fn version_text(item: &Item) -> String {
    let meta = &item.meta;
    let lease = if meta.lease.0 == 0 { String::new() } else { format!(" lease {:x}", meta.lease.0) };
    let value = quoted(item.value_bytes());
    format!("{value} create {} version {}{lease}", meta.create_revision, meta.version)
}

fn version_json(item: &Item) -> Value {
    let meta = &item.meta;
    json!({
        "createRevision": meta.create_revision,
        "modRevision": meta.mod_revision.main,
        "version": meta.version,
        "lease": meta.lease.0,
        "value": base64(item.value_bytes()),
    })
}
