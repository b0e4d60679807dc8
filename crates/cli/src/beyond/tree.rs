//! How many keys and bytes are below each segment of a path.
//!
//! A segment ends with a slash (`registry/`), the last one of a key is a leaf (`default`). What lies deeper than the
//! depth that is shown is counted where it disappears, so that the memory needed does not grow with the keys.

use std::collections::BTreeMap;

use super::text;

/// What is below a prefix.
#[derive(Debug, Default)]
pub struct Tree {
    keys: u64,
    bytes: u64,
    children: BTreeMap<Vec<u8>, Tree>,
}

/// How much of a tree is shown.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many segments below the prefix.
    pub depth: usize,
    /// How many children of a segment, the biggest first.
    pub children: usize,
}

impl Tree {
    /// Counts a key (without the prefix) and its bytes, down to a depth.
    pub fn add(&mut self, key: &[u8], bytes: u64, depth: usize) {
        self.keys += 1;
        self.bytes += bytes;
        let (segment, rest) = split(key);
        if depth > 0 && !segment.is_empty() {
            self.children.entry(segment.to_vec()).or_default().add(rest, bytes, depth - 1);
        }
    }

    /// Returns how many keys were counted.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Returns the lines that show it, below a title.
    pub fn lines(&self, prefix: &[u8], limits: Limits) -> Vec<String> {
        let title = if prefix.is_empty() { "(all keys)".into() } else { text::key(prefix) };
        let mut lines = vec![format!("{:>9}  {:>7}  PATH", "KEYS", "BYTES"), self.line(&title)];
        self.child_lines("", limits, &mut lines);
        lines
    }

    fn line(&self, path: &str) -> String {
        format!("{:>9}  {:>7}  {path}", text::count(self.keys), text::size(self.bytes))
    }

    fn child_lines(&self, indent: &str, limits: Limits, lines: &mut Vec<String>) {
        let mut children: Vec<_> = self.children.iter().collect();
        children.sort_by_key(|(_, child)| std::cmp::Reverse((child.bytes, child.keys)));
        let hidden = children.split_off(children.len().min(limits.children));
        let last = children.len() + usize::from(!hidden.is_empty());
        for (place, (segment, child)) in children.into_iter().enumerate() {
            let (branch, below) = if place + 1 == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            lines.push(child.line(&format!("{indent}{branch}{}", text::key(segment))));
            child.child_lines(&format!("{indent}{below}"), limits, lines);
        }
        if !hidden.is_empty() {
            let rest = Tree {
                keys: hidden.iter().map(|(_, child)| child.keys).sum(),
                bytes: hidden.iter().map(|(_, child)| child.bytes).sum(),
                children: BTreeMap::new(),
            };
            lines.push(rest.line(&format!("{indent}└─ … {} more", text::count(hidden.len() as u64))));
        }
    }
}

/// The first segment, with its slash, and the rest.
fn split(key: &[u8]) -> (&[u8], &[u8]) {
    let end = key.iter().position(|byte| *byte == b'/').map_or(key.len(), |slash| slash + 1);
    key.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(depth: usize, keys: &[(&str, u64)]) -> Tree {
        let mut tree = Tree::default();
        keys.iter().for_each(|(key, bytes)| tree.add(key.as_bytes(), *bytes, depth));
        tree
    }

    const KEYS: [(&str, u64); 6] = [
        ("pods/default/a", 1000),
        ("pods/default/b", 2000),
        ("pods/kube-system/c", 500),
        ("services/x", 20),
        ("services/y", 30),
        ("lock", 5),
    ];

    #[test]
    fn the_biggest_comes_first_and_what_is_deeper_is_counted() {
        let lines = tree(2, &KEYS).lines(b"/registry/", Limits { depth: 2, children: 10 });
        assert_eq!(
            lines,
            [
                "     KEYS    BYTES  PATH",
                "        6   3.6 kB  /registry/",
                "        3   3.5 kB  ├─ pods/",
                "        2   3.0 kB  │  ├─ default/",
                "        1    500 B  │  └─ kube-system/",
                "        2     50 B  ├─ services/",
                "        1     30 B  │  ├─ y",
                "        1     20 B  │  └─ x",
                "        1      5 B  └─ lock",
            ]
        );
    }

    #[test]
    fn what_there_are_too_many_of_is_summed_up() {
        let lines = tree(1, &KEYS).lines(b"", Limits { depth: 1, children: 1 });
        assert_eq!(
            lines[1..],
            [
                "        6   3.6 kB  (all keys)",
                "        3   3.5 kB  ├─ pods/",
                "        3     55 B  └─ … 2 more"
            ]
        );
    }

    #[test]
    fn a_key_that_is_the_prefix_and_a_depth_of_nothing() {
        let lines = tree(0, &[("", 3), ("a/b", 4)]).lines(b"/a", Limits { depth: 0, children: 9 });
        assert_eq!(lines[1..], ["        2      7 B  /a"]);
    }
}
