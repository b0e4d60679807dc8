//! The file of `apply`: the keys that should be there, and their values.
//!
//! A YAML (or JSON) map from key to value. Text is the value as it is; a map or a list is stored as JSON; null is a key
//! that should not be there. A bare number or truth value is refused: YAML reads `1.10` as 1.1 and `0123` as 123, and
//! what is stored should be what was written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::diff::{self, Detail};
use super::node::Node;
use super::text;

/// What a key should be: a value, or absent.
pub type Wanted = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Returns what a file wants.
///
/// # Errors
/// When it is not such a map: what is wrong.
pub fn read(text: &str) -> Result<Wanted, String> {
    let node: Node = serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))?;
    let Node::Map(entries) = node else {
        return Err("it is not a map from keys to values".to_owned());
    };
    let mut wanted = Wanted::new();
    for (key, value) in entries {
        let value = stored(value).map_err(|why| format!("{key}: {why}"))?;
        if key.is_empty() {
            return Err("a key is empty".to_owned());
        }
        match wanted.entry(key.into_bytes()) {
            Entry::Vacant(place) => place.insert(value),
            Entry::Occupied(place) => return Err(format!("{} is there twice", text::key(place.key()))),
        };
    }
    Ok(wanted)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The bytes of a value.
fn stored(value: Node) -> Result<Option<Vec<u8>>, String> {
    match value {
        Node::Null => Ok(None),
        Node::Text(text) => Ok(Some(text.into_bytes())),
        Node::Number(number) => {
            Err(format!("put the number {number} into quotes, so that it is stored as it is written"))
        }
        Node::Bool(truth) => Err(format!("put {truth} into quotes, so that it is stored as it is written")),
        Node::List(_) | Node::Map(_) => {
            serde_json::to_vec(&value).map(Some).map_err(|error| error.to_string())
        }
    }
}

/// A key as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that wrote it.
    pub mod_revision: i64,
}

/// A change that makes the server have what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// What is there now.
    pub before: Option<Present>,
    /// What should be there.
    pub after: Option<Vec<u8>>,
}

impl Change {
    /// Returns the lines that show it.
    pub fn lines(&self, detail: Detail) -> Vec<String> {
        let sign = match (&self.before, &self.after) {
            (None, _) => '+',
            (Some(_), None) => '-',
            (Some(_), Some(_)) => '~',
        };
        let mut lines = vec![format!("{sign} {}", text::key(&self.key))];
        if detail == Detail::Values {
            let before = self.before.as_ref().map_or(&b""[..], |present| &present.value);
            let after = self.after.as_deref().unwrap_or_default();
            lines.extend(diff::value_lines(before, after).into_iter().map(|line| format!("    {line}")));
        }
        lines
    }

    /// About how many bytes of a request it takes.
    fn bytes(&self) -> usize {
        self.key.len() * 2 + self.after.as_ref().map_or(0, Vec::len) + 32
    }
}

/// Returns the changes, in the order of their keys. `present` has the keys of the file that are there, and with
/// `--prune` every key below its prefix: those that the file does not name are removed.
pub fn changes(wanted: &Wanted, present: &BTreeMap<Vec<u8>, Present>) -> Vec<Change> {
    let pruned = present.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key, &None));
    let mut changes: Vec<Change> = wanted
        .iter()
        .chain(pruned)
        .map(|(key, after)| Change {
            key: key.clone(),
            before: present.get(key).cloned(),
            after: after.clone(),
        })
        .filter(|change| change.before.as_ref().map(|present| &present.value) != change.after.as_ref())
        .collect();
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// What one transaction may hold.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Operations: etcd's default of `--max-txn-ops` is 128.
    pub operations: usize,
    /// Bytes: etcd's default of `--max-request-bytes` is 1.5 MiB.
    pub bytes: usize,
}

/// What every server with default flags takes.
pub const ROOM: Room = Room { operations: 128, bytes: 1024 * 1024 };

/// Returns the changes cut into transactions: one, if they fit.
pub fn transactions(changes: &[Change], room: Room) -> Vec<&[Change]> {
    let mut all = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (place, change) in changes.iter().enumerate() {
        let is_full = place - start == room.operations || bytes + change.bytes() > room.bytes;
        if is_full && place > start {
            all.push(&changes[start..place]);
            (start, bytes) = (place, 0);
        }
        bytes += change.bytes();
    }
    if start < changes.len() {
        all.push(&changes[start..]);
    }
    all
}

/// Returns the line that sums the changes up: `2 created, 1 changed, 3 removed`.
pub fn summary(changes: &[Change]) -> String {
    let count =
        |sign: fn(&Change) -> bool| text::count(changes.iter().filter(|change| sign(change)).count() as u64);
    format!(
        "{} created, {} changed, {} removed",
        count(|change| change.before.is_none()),
        count(|change| change.before.is_some() && change.after.is_some()),
        count(|change| change.after.is_none()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
/app/text: |
  two
  lines
/app/object: {port: 2379, hosts: [a, b]}
/app/number: '1.10'
/app/gone:
";

    fn present(entries: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Present> {
        let entry = |(key, value): &(&str, &str)| {
            (key.as_bytes().to_vec(), Present { value: value.as_bytes().to_vec(), mod_revision: 7 })
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn a_file_is_keys_and_values() {
        let wanted = read(FILE).expect("a map");
        let value = |key: &str| {
            wanted[key.as_bytes()].as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
        };
        assert_eq!(value("/app/text").as_deref(), Some("two\nlines\n"));
        assert_eq!(value("/app/object").as_deref(), Some(r#"{"port":2379,"hosts":["a","b"]}"#));
        assert_eq!(value("/app/number").as_deref(), Some("1.10"));
        assert_eq!(value("/app/gone"), None);
        assert_eq!(read(r#"{"/a": "b"}"#).expect("JSON is YAML").len(), 1);
    }

    #[test]
    fn what_could_be_stored_otherwise_is_refused() {
        for (text, why) in [
            ("a: 1.10", "a: put the number 1.1 into quotes, so that it is stored as it is written"),
            ("a: true", "a: put true into quotes, so that it is stored as it is written"),
            ("- a", "it is not a map from keys to values"),
            ("'': b", "a key is empty"),
        ] {
            assert_eq!(read(text).expect_err(text), why);
        }
        read("a: x\na: y").expect_err("a key twice");
    }

    #[test]
    fn only_what_differs_is_changed() {
        let present =
            present(&[("/app/number", "1.10"), ("/app/gone", "x"), ("/app/old", "y"), ("/app/object", "{}")]);
        let changes = changes(&read(FILE).expect("a map"), &present);
        let lines: Vec<String> = changes.iter().flat_map(|change| change.lines(Detail::Values)).collect();
        assert_eq!(
            lines,
            [
                "- /app/gone",
                "    -x",
                "~ /app/object",
                "    -{}",
                "    +port: 2379",
                "    +hosts:",
                "    +- a",
                "    +- b",
                "- /app/old",
                "    -y",
                "+ /app/text",
                "    +two",
                "    +lines",
            ]
        );
        assert_eq!(summary(&changes), "1 created, 1 changed, 2 removed");
    }

    #[test]
    fn changes_are_cut_by_operations_and_bytes() {
        let change = |value: usize| Change { key: b"k".to_vec(), before: None, after: Some(vec![0; value]) };
        let lengths = |sizes: &[usize], room| -> Vec<usize> {
            let changes: Vec<Change> = sizes.iter().map(|size| change(*size)).collect();
            transactions(&changes, room).into_iter().map(<[Change]>::len).collect()
        };
        let room = Room { operations: 3, bytes: 200 };
        assert_eq!(lengths(&[], room), [0; 0]);
        assert_eq!(lengths(&[1, 1, 1], room), [3]);
        assert_eq!(lengths(&[1, 1, 1, 1], room), [3, 1]);
        assert_eq!(lengths(&[100, 100, 500, 1], room), [1, 1, 1, 1]);
    }
}
