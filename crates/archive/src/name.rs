//! The names of objects, which say what is in them: what there is to be restored is known from a
//! list alone.
//!
//! ```text
//!  <cluster, 16 hex>/full-<revision, 20>-<time, 13>-<chain, 16 hex>-<tag, 8 hex>.db      and .json beside it
//!  <cluster, 16 hex>/piece-<from, 20>-<to, 20>-<time, 13>-<before, 16 hex>-<after, 16 hex>-<tag, 8 hex>.piece
//! ```
//!
//! Numbers are decimal with leading zeros, so that names sort by revision. Times are milliseconds
//! since 1970. The tag of a full backup is random, that of a piece is the beginning of its digest.

use std::fmt;

use crate::chain::Short;

/// A time, in milliseconds since 1970 (UTC).
pub type Millis = u64;

/// A full backup, as its name says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullName {
    /// The newest revision in it.
    pub revision: i64,
    /// When it was made: its state is of this moment.
    pub time: Millis,
    /// The chain at its revision.
    pub chain: Short,
    /// What tells it from another one of that moment.
    pub tag: u32,
}

/// A piece, as its name says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceName {
    /// The first revision in it.
    pub from: i64,
    /// The last revision in it.
    pub to: i64,
    /// When it was made.
    pub time: Millis,
    /// The chain before its first revision.
    pub before: Short,
    /// The chain at its last revision.
    pub after: Short,
    /// The beginning of its digest.
    pub tag: u32,
}

/// An object of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A full backup.
    Full(FullName),
    /// Its manifest.
    Manifest(FullName),
    /// A piece.
    Piece(PieceName),
}

impl FullName {
    /// Returns the name of its manifest.
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{}.json", self.stem())
    }

    fn stem(&self) -> String {
        let Self { revision, time, chain, tag } = self;
        format!("full-{revision:020}-{time:013}-{chain:016x}-{tag:08x}")
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.db", self.stem())
    }
}

impl fmt::Display for PieceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, time, before, after, tag } = self;
        write!(f, "piece-{from:020}-{to:020}-{time:013}-{before:016x}-{after:016x}-{tag:08x}.piece")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(name) => name.fmt(f),
            Self::Manifest(name) => f.write_str(&name.manifest()),
            Self::Piece(name) => name.fmt(f),
        }
    }
}

impl Name {
    /// Reads a name without its directory. `None`: it is none of ours, to the letter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = Self::parse_loosely(text)?;
        (name.to_string() == text).then_some(name)
    }

    fn parse_loosely(text: &str) -> Option<Self> {
        let (stem, kind) = text.rsplit_once('.')?;
        let words: Vec<&str> = stem.split('-').collect();
        match (words[..].split_first()?, kind) {
            ((&"full", [revision, time, chain, tag]), "db" | "json") => {
                let full = FullName {
                    revision: number(revision)?,
                    time: time.parse().ok()?,
                    chain: Short::from_str_radix(chain, 16).ok()?,
                    tag: u32::from_str_radix(tag, 16).ok()?,
                };
                Some(if kind == "db" { Self::Full(full) } else { Self::Manifest(full) })
            }
            ((&"piece", [from, to, time, before, after, tag]), "piece") => {
                let piece = PieceName {
                    from: number(from)?,
                    to: number(to)?,
                    time: time.parse().ok()?,
                    before: Short::from_str_radix(before, 16).ok()?,
                    after: Short::from_str_radix(after, 16).ok()?,
                    tag: u32::from_str_radix(tag, 16).ok()?,
                };
                (piece.from <= piece.to).then_some(Self::Piece(piece))
            }
            _ => None,
        }
    }
}

/// A revision.
fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number > 0)
}

/// Returns the directory of a cluster.
#[must_use]
pub fn directory_of(cluster: u64) -> String {
    format!("{cluster:016x}")
}

/// Reads the directory of a cluster.
#[must_use]
pub fn cluster_of(directory: &str) -> Option<u64> {
    let cluster = u64::from_str_radix(directory, 16).ok()?;
    (directory_of(cluster) == directory).then_some(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is_ours() {
        let full = FullName { revision: 1_000, time: 1_700_000_000_000, chain: 7, tag: 0xab };
        let piece = PieceName { from: 2, to: 30, time: 9, before: 1, after: u64::MAX, tag: 1 };
        for name in [Name::Full(full.clone()), Name::Manifest(full.clone()), Name::Piece(piece)] {
            assert_eq!(Name::parse(&name.to_string()), Some(name.clone()), "{name}");
        }
        let text = full.to_string();
        assert_eq!(text, "full-00000000000000001000-1700000000000-0000000000000007-000000ab.db");
        let upper = text.replace("ab.db", "AB.db");
        let short = text.replace("00000000000000001000", "1000");
        let signed = text.replace("00000000000000001000", "+0000000000000001000");
        for other in ["", "x", "full-.db", &text[1..], &upper, &short, &signed, &format!("{text}.tmp")] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
        let backwards = "piece-00000000000000000030-00000000000000000002-0000000000009-\
            0000000000000001-0000000000000002-00000001.piece";
        assert_eq!(Name::parse(backwards), None);
    }

    #[test]
    fn names_sort_by_revision() {
        let name = |revision| FullName { revision, time: 5, chain: 0, tag: 0 }.to_string();
        assert!(name(9) < name(10) && name(99) < name(i64::MAX));
    }

    #[test]
    fn a_directory_is_a_cluster_in_one_spelling() {
        assert_eq!(cluster_of(&directory_of(0xab)), Some(0xab));
        for other in ["ab", "00000000000000AB", "", "00000000000000ab0"] {
            assert_eq!(cluster_of(other), None);
        }
    }
}
