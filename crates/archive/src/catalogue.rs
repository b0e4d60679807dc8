//! What an archive has of a cluster, and which objects make up a revision: from the names alone.
//!
//! Full backups and pieces are a graph. A node is a revision with its chain; a full backup is at
//! one, and a piece leads from one to another. A revision can be restored if there is a way to it,
//! or into the piece that has it. Two members that wrote at once leave two ways, and either is
//! right: they lead to the same nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::ArchiveError;
use crate::chain::Short;
use crate::name::{FullName, Millis, Name, PieceName};
use crate::store::Listed;

/// A revision with its chain.
pub type Node = (i64, Short);

/// What is to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The newest revision there is.
    Newest,
    /// A revision.
    Revision(i64),
    /// What the newest revision was at a time.
    Time(Millis),
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest revision"),
            Self::Revision(revision) => write!(f, "revision {revision}"),
            Self::Time(time) => write!(f, "the time {}.{:03} (seconds since 1970)", time / 1000, time % 1000),
        }
    }
}

/// Objects that are read to restore a revision, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The full backup.
    pub full: FullName,
    /// The pieces after it.
    pub pieces: Vec<PieceName>,
}

/// Everything that is listed of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Full backups that were finished, and their lengths; the oldest first.
    pub fulls: Vec<(FullName, u64)>,
    /// Pieces, and their lengths; by revision.
    pub pieces: Vec<(PieceName, u64)>,
    /// Halves of full backups: the file or its manifest.
    pub halves: Vec<Name>,
}

/// Ways from a node: to each node that is reached, the piece by which.
type Ways<'c> = BTreeMap<Node, Option<&'c PieceName>>;

impl Catalogue {
    /// Sorts a list. What has a name that is not ours is not looked at.
    #[must_use]
    pub fn of(listed: &[Listed]) -> Self {
        let mut catalogue = Self::default();
        let mut files: BTreeMap<FullName, u64> = BTreeMap::new();
        let mut manifests = BTreeSet::new();
        for object in listed {
            match Name::parse(&object.name) {
                Some(Name::Full(name)) => drop(files.insert(name, object.bytes)),
                Some(Name::Manifest(name)) => drop(manifests.insert(name)),
                Some(Name::Piece(name)) => catalogue.pieces.push((name, object.bytes)),
                None => {}
            }
        }
        for (name, bytes) in files {
            match manifests.remove(&name) {
                true => catalogue.fulls.push((name, bytes)),
                false => catalogue.halves.push(Name::Full(name)),
            }
        }
        catalogue.halves.extend(manifests.into_iter().map(Name::Manifest));
        catalogue.fulls.sort_by_key(|(name, _)| (name.time, name.clone()));
        catalogue.pieces.sort();
        catalogue
    }

    /// Returns the catalogue without an object, if it has that.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.fulls.retain(|(full, _)| full.to_string() != name);
        rest.pieces.retain(|(piece, _)| piece.to_string() != name);
        rest
    }

    /// Returns the way from the newest full backup to the newest revision after it; `None`: there
    /// is no full backup.
    #[must_use]
    pub fn end(&self) -> Option<Plan> {
        let (full, _) = self.fulls.last()?;
        Some(self.furthest(full))
    }

    /// Returns the objects that make up what is wanted. For a time, the last piece is the first one
    /// that was made after it, and only its content says which revision it was.
    ///
    /// # Errors
    /// Which revision is missing, and what there is.
    pub fn choose(&self, wanted: Wanted) -> Result<Plan, ArchiveError> {
        match wanted {
            Wanted::Newest => self.end().ok_or(ArchiveError::NoFull),
            Wanted::Revision(revision) => self.choose_revision(revision),
            Wanted::Time(time) => self.choose_time(time),
        }
    }

    /// Returns the pieces that lead on from any of these full backups.
    #[must_use]
    pub fn reachable<'c>(&'c self, fulls: impl IntoIterator<Item = &'c FullName>) -> BTreeSet<&'c PieceName> {
        let edges = self.edges();
        let mut reached = BTreeSet::new();
        for full in fulls {
            for node in ways(&edges, node_of(full)).keys() {
                reached.extend(edges.get(node).into_iter().flatten());
            }
        }
        reached
    }

    /// Returns the newest revision that can be reached from a full backup.
    #[must_use]
    pub fn newest_after(&self, full: &FullName) -> i64 {
        self.furthest(full).pieces.last().map_or(full.revision, |piece| piece.to)
    }

    fn choose_revision(&self, revision: i64) -> Result<Plan, ArchiveError> {
        let edges = self.edges();
        let candidates =
            || self.fulls.iter().rev().map(|(full, _)| full).filter(|full| full.revision <= revision);
        for full in candidates() {
            let ways = ways(&edges, node_of(full));
            if full.revision == revision {
                return Ok(Plan { full: full.clone(), pieces: Vec::new() });
            }
            let has_it = |piece: &&&PieceName| piece.from <= revision && revision <= piece.to;
            let into = ways.keys().filter_map(|node| edges.get(node)).flatten().find(has_it);
            if let Some(last) = into {
                let mut pieces = way_to(&ways, (last.from - 1, last.before));
                pieces.push((*last).clone());
                return Ok(Plan { full: full.clone(), pieces });
            }
        }
        let wanted = Wanted::Revision(revision).to_string();
        let newest = candidates().map(|full| self.newest_after(full)).max();
        Err(match newest {
            None => match self.fulls.iter().map(|(full, _)| full.revision).min() {
                None => ArchiveError::NoFull,
                Some(oldest) => ArchiveError::TooOld { wanted, oldest },
            },
            Some(newest) => match self.next_after(newest) {
                Some(next) => ArchiveError::Gap { wanted, missing: newest + 1, next, newest },
                None => ArchiveError::TooNew { wanted, newest },
            },
        })
    }

    /// The first revision after this one that an object begins with or has.
    fn next_after(&self, newest: i64) -> Option<i64> {
        let pieces = self.pieces.iter().map(|(piece, _)| piece.from);
        let fulls = self.fulls.iter().map(|(full, _)| full.revision);
        pieces.chain(fulls).filter(|revision| *revision > newest).min()
    }

    fn choose_time(&self, time: Millis) -> Result<Plan, ArchiveError> {
        let full = self.fulls.iter().rev().map(|(full, _)| full).find(|full| full.time <= time);
        let Some(full) = full else {
            let oldest = self.fulls.iter().map(|(full, _)| full.revision).min();
            let wanted = Wanted::Time(time).to_string();
            return Err(oldest.map_or(ArchiveError::NoFull, |oldest| ArchiveError::TooOld { wanted, oldest }));
        };
        let mut plan = self.furthest(full);
        let later = plan.pieces.iter().position(|piece| piece.time > time);
        let end = plan.pieces.last().map_or(full.revision, |piece| piece.to);
        if let Some(later) = later {
            plan.pieces.truncate(later + 1);
        } else if let Some((next, _)) =
            self.pieces.iter().find(|(piece, _)| piece.from > end + 1 && piece.time <= time)
        {
            // What is missing was made before that time.
            let wanted = Wanted::Time(time).to_string();
            return Err(ArchiveError::Gap { wanted, missing: end + 1, next: next.from, newest: end });
        }
        Ok(plan)
    }

    /// The way from a full backup to the newest revision that can be reached.
    fn furthest(&self, full: &FullName) -> Plan {
        let edges = self.edges();
        let ways = ways(&edges, node_of(full));
        let last = ways.keys().next_back().copied().unwrap_or(node_of(full));
        Plan { full: full.clone(), pieces: way_to(&ways, last) }
    }

    /// The pieces by the node that they begin at; the longest first.
    fn edges(&self) -> BTreeMap<Node, Vec<&PieceName>> {
        let mut edges: BTreeMap<Node, Vec<&PieceName>> = BTreeMap::new();
        for (piece, _) in &self.pieces {
            edges.entry((piece.from - 1, piece.before)).or_default().push(piece);
        }
        edges.values_mut().for_each(|pieces| pieces.sort_by_key(|piece| (-piece.to, *piece)));
        edges
    }
}

/// Where a full backup is.
#[must_use]
pub fn node_of(full: &FullName) -> Node {
    (full.revision, full.chain)
}

/// Finds all nodes that can be reached. Pieces lead to later revisions only, so the nodes come in
/// their order.
fn ways<'c>(edges: &BTreeMap<Node, Vec<&'c PieceName>>, start: Node) -> Ways<'c> {
    let mut ways: Ways<'c> = BTreeMap::from([(start, None)]);
    let mut next = Some(start);
    while let Some(node) = next {
        for piece in edges.get(&node).into_iter().flatten() {
            ways.entry((piece.to, piece.after)).or_insert(Some(piece));
        }
        let later = (std::ops::Bound::Excluded(node), std::ops::Bound::Unbounded);
        next = ways.range(later).next().map(|(node, _)| *node);
    }
    ways
}

/// The pieces that lead to a node that was reached.
fn way_to(ways: &Ways<'_>, mut node: Node) -> Vec<PieceName> {
    let mut pieces = Vec::new();
    while let Some(Some(piece)) = ways.get(&node) {
        pieces.push((*piece).clone());
        node = (piece.from - 1, piece.before);
    }
    pieces.reverse();
    pieces
}

#[cfg(test)]
mod tests;
