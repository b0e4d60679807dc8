//! The roots of runs that are kept in memory: as many as there is room for.
//!
//! A root is read when a reader first asks its run for something. All of them together grow with the history (1/300 of it), so
//! beyond a bound a root takes the place of the one that was not asked for longest. It does so only now and then. A read at an
//! old revision asks all runs after it in turn, and if each root took another's place, the next such read would find none.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wal::Position;

use super::run::Root;

/// Bytes of roots that are kept: those of about 20 GiB of history.
const BYTES_MAX: usize = 64 << 20;
/// One root of so many that find no room takes the place of others.
const REPLACES_ONE_OF: u64 = 8;

/// The roots that are kept, by their places in the log, where no place is used twice.
#[derive(Debug)]
pub(crate) struct Roots(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    roots: BTreeMap<Position, (Arc<Root>, u64)>,
    /// The same by when they were last asked for.
    by_use: BTreeMap<u64, Position>,
    uses: u64,
    without_room: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Default for Roots {
    fn default() -> Self {
        Self::bounded(BYTES_MAX)
    }
}

impl Roots {
    fn bounded(bytes_max: usize) -> Self {
        let (roots, by_use) = (BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(Kept { roots, by_use, uses: 0, without_room: 0, bytes: 0, bytes_max }))
    }

    /// Returns the root at a place if it is kept.
    pub(super) fn get(&self, place: Position) -> Option<Arc<Root>> {
        let kept = &mut *self.0.lock();
        let (root, used) = kept.roots.get_mut(&place)?;
        kept.by_use.remove(used);
        kept.uses += 1;
        *used = kept.uses;
        kept.by_use.insert(kept.uses, place);
        Some(root.clone())
    }

    /// Keeps a root that was read, if it is its turn.
    pub(super) fn put(&self, place: Position, root: &Arc<Root>) {
        let kept = &mut *self.0.lock();
        // Another reader may have read it too.
        if kept.roots.contains_key(&place) {
            return;
        }
        if kept.bytes + root.bytes() > kept.bytes_max {
            kept.without_room += 1;
            if !kept.without_room.is_multiple_of(REPLACES_ONE_OF) {
                return;
            }
        }
        kept.uses += 1;
        kept.bytes += root.bytes();
        kept.roots.insert(place, (root.clone(), kept.uses));
        kept.by_use.insert(kept.uses, place);
        while kept.bytes > kept.bytes_max && kept.roots.len() > 1 {
            let Some((_, place)) = kept.by_use.pop_first() else { return };
            kept.forget(place);
        }
    }

    /// Forgets the roots before a place: they are not on the disk any more.
    pub(crate) fn release_before(&self, segment: u64) {
        let kept = &mut *self.0.lock();
        let gone = Position { segment, offset: 0 };
        while let Some((&place, &(_, used))) =
            kept.roots.first_key_value().filter(|(place, _)| **place < gone)
        {
            kept.by_use.remove(&used);
            kept.forget(place);
        }
    }
}

impl Kept {
    fn forget(&mut self, place: Position) {
        if let Some((root, _)) = self.roots.remove(&place) {
            self.bytes -= root.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u64) -> Position {
        Position { segment, offset: 1 }
    }

    /// Asks for all roots in turn; returns how many were kept.
    fn ask(roots: &Roots, of: std::ops::Range<u64>) -> usize {
        let root = Arc::new(Root::of_bytes(1000));
        let is_kept = |number: &u64| {
            let kept = roots.get(place(*number)).is_some();
            if !kept {
                roots.put(place(*number), &root);
            }
            kept
        };
        of.filter(is_kept).count()
    }

    fn bytes(roots: &Roots) -> usize {
        let kept = roots.0.lock();
        assert_eq!(kept.bytes, kept.roots.values().map(|(root, _)| root.bytes()).sum::<usize>());
        assert_eq!(kept.roots.len(), kept.by_use.len());
        kept.bytes
    }

    #[test]
    fn what_is_kept_is_bounded_and_reads_of_all_runs_find_a_part_of_it() {
        let roots = Roots::bounded(50_000);
        let mut found = 0;
        for _ in 0..20 {
            found += ask(&roots, 0..100);
            assert!(bytes(&roots) <= 50_000);
        }
        assert!(found > 20 * 100 / 4, "{found} of 2000");
        // Others are asked for now: they come in.
        let found: usize = (0..40).map(|_| ask(&roots, 200..230)).sum();
        assert!(found > 0);
        assert_eq!(ask(&roots, 200..230), 30);
    }

    #[test]
    fn what_is_not_on_the_disk_any_more_is_not_kept() {
        let roots = Roots::bounded(50_000);
        ask(&roots, 0..30);
        roots.release_before(20);
        assert!(bytes(&roots) < 12_000);
        assert_eq!(ask(&roots, 20..30), 10);
        assert_eq!(ask(&roots, 0..20), 0);
    }

    #[test]
    fn one_that_is_longer_than_the_bound_is_kept_alone() {
        let roots = Roots::bounded(100);
        for _ in 0..8 {
            ask(&roots, 0..1);
        }
        assert_eq!(ask(&roots, 0..1), 1);
    }
}
