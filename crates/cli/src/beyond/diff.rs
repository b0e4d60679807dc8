//! What differs between two revisions of a range.
//!
//! Both sides come in the order of their keys, page by page, and are merged as they come.

use std::cmp::Ordering;

use super::linediff::{self, Change};
use super::text;
use super::values;

/// A key as one of the two sides has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// The revision that wrote the value.
    pub mod_revision: i64,
}

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only the newer side has it.
    Added(Entry),
    /// Only the older side has it.
    Removed(Entry),
    /// Both have it, written by different revisions; older side first.
    Changed(Entry, Entry),
}

/// Returns what is to be done with the heads of the two sides: a difference, if there is one, and which heads are used up
/// (older, newer). `None` when both sides have ended.
pub fn step(older: Option<&Entry>, newer: Option<&Entry>) -> Option<(Option<Difference>, bool, bool)> {
    match (older, newer) {
        (None, None) => None,
        (Some(older), None) => Some((Some(Difference::Removed(older.clone())), true, false)),
        (None, Some(newer)) => Some((Some(Difference::Added(newer.clone())), false, true)),
        (Some(older), Some(newer)) => Some(match older.key.cmp(&newer.key) {
            Ordering::Less => (Some(Difference::Removed(older.clone())), true, false),
            Ordering::Greater => (Some(Difference::Added(newer.clone())), false, true),
            Ordering::Equal if older.mod_revision == newer.mod_revision => (None, true, true),
            Ordering::Equal => (Some(Difference::Changed(older.clone(), newer.clone())), true, true),
        }),
    }
}

/// How much of a difference is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The key and the sizes.
    Keys,
    /// The lines of the values as well.
    Values,
}

impl Difference {
    /// Returns the lines that show it: `+`, `-` or `~` and the key, then the lines of the value.
    pub fn lines(&self, detail: Detail) -> Vec<String> {
        let (head, old, new): (String, &[u8], &[u8]) = match self {
            Difference::Added(entry) => (head('+', entry), b"", &entry.value),
            Difference::Removed(entry) => (head('-', entry), &entry.value, b""),
            Difference::Changed(older, newer) => {
                let written = match older.value == newer.value {
                    true => ", the same value written again",
                    false => "",
                };
                (format!("{}{written}", head('~', newer)), &older.value, &newer.value)
            }
        };
        let mut lines = vec![head];
        if detail == Detail::Values {
            lines.extend(value_lines(old, new).into_iter().map(|line| format!("    {line}")));
        }
        lines
    }
}

fn head(sign: char, entry: &Entry) -> String {
    let size = text::size(entry.value.len() as u64);
    format!("{sign} {}  ({size}, revision {})", text::key(&entry.key), entry.mod_revision)
}

/// Returns the lines that differ between two values, with two lines around each change. A value that is empty has none.
pub fn value_lines(old: &[u8], new: &[u8]) -> Vec<String> {
    let readable = |value: &[u8]| if value.is_empty() { String::new() } else { values::readable(value) };
    let (old, new) = (readable(old), readable(new));
    let mut lines = Vec::new();
    for group in linediff::groups(&linediff::changes(&old, &new), 2) {
        if !lines.is_empty() {
            lines.push("…".to_owned());
        }
        for change in group {
            let (sign, line) = match change {
                Change::Removed(line) => ('-', line),
                Change::Added(line) => ('+', line),
                Change::Kept(line) => (' ', line),
            };
            lines.push(format!("{sign}{}", line.trim_end_matches('\n')));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str, mod_revision: i64) -> Entry {
        Entry { key: key.into(), value: value.into(), mod_revision }
    }

    fn differences(older: &[Entry], newer: &[Entry]) -> Vec<Difference> {
        let (mut older, mut newer) = (older.iter().peekable(), newer.iter().peekable());
        let mut all = Vec::new();
        while let Some((difference, used_older, used_newer)) =
            step(older.peek().copied(), newer.peek().copied())
        {
            all.extend(difference);
            if used_older {
                older.next();
            }
            if used_newer {
                newer.next();
            }
        }
        all
    }

    #[test]
    fn two_sides_are_merged_in_key_order() {
        let older = [entry("a", "1", 2), entry("b", "x", 3), entry("d", "same", 4), entry("e", "s", 5)];
        let newer = [entry("a", "1", 2), entry("c", "new", 7), entry("d", "same", 8), entry("e", "t", 9)];
        let lines: Vec<String> =
            differences(&older, &newer).iter().flat_map(|d| d.lines(Detail::Values)).collect();
        assert_eq!(
            lines,
            [
                "- b  (1 B, revision 3)",
                "    -x",
                "+ c  (3 B, revision 7)",
                "    +new",
                "~ d  (4 B, revision 8), the same value written again",
                "~ e  (1 B, revision 9)",
                "    -s",
                "    +t",
            ]
        );
    }

    #[test]
    fn values_with_a_structure_are_compared_line_by_line() {
        let old = br#"{"a":1,"b":{"c":[1,2],"d":"x"},"e":5,"f":6,"g":7,"h":8}"#;
        let new = br#"{"a":2,"b":{"c":[1,2],"d":"x"},"e":5,"f":6,"g":7,"h":9}"#;
        assert_eq!(
            value_lines(old, new),
            ["-a: 1", "+a: 2", " b:", "   c:", "…", " f: 6", " g: 7", "-h: 8", "+h: 9"]
        );
    }
}
