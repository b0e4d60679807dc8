//! How many keys a range had at an old revision.
//!
//! A *life* of a key is from its creation to its deletion. At revision r a range has as many keys as there are lives of
//! them that began at r or before and ended after r, or have not ended:
//!
//! * those that have not ended are live keys of the index, with a create revision of r or before;
//! * those that ended in the tail are of keys that are in the index, dead or in a later life, and their first change in the
//!   tail after r knows in which life the key was before it;
//! * those that ended in a run are in the run's blocks of lives.
//!
//! So no values are read, nor the places of all changes: the cost is that of the range's keys in the index and of its
//! deletions since. The index is gone through piece by piece while the writer goes on. For each piece it is known up to
//! where the runs went then, the *floor*: what ended before it is counted in the runs, and what ended after it was seen in
//! the tail, or alive.
//!
//! Where the changes since are few and the keys many, they are gone through instead, and the count of now corrected. How many
//! there are is known from the tail and, about, from the runs' marks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::history::Life;
use crate::read::Cursor;
use crate::scanner::Scanner;
use crate::shared::{ENTRIES_PER_HOLD, Hold, Inner, Parts, Shared, Wanted};
use crate::{Error, KeyRange, ReadError, Revision};

/// Keys of the index that are gone through in the time that one change since takes.
const KEYS_FOR_A_CHANGE: u64 = 100;

impl Inner {
    /// How many keys the range had at revision `at`, from how many it had at revision `now`.
    pub(crate) fn count_at(
        &self,
        range: &KeyRange,
        at: i64,
        now: i64,
        count_now: u64,
        hold: &Hold,
    ) -> Result<u64, ReadError> {
        if self.has_few_changes_since(at, now, count_now)? {
            return self.count_by_changes(range, at, now, count_now, hold);
        }
        match self.count_lives(range, at)? {
            Some(count) => Ok(count),
            None => Ok(self.count_by_walking(range, at, hold)?),
        }
    }

    /// Whether it takes less time to go through the changes since than through so many keys. The changes are not those of the
    /// range, and a revision may have a million of them.
    fn has_few_changes_since(&self, at: i64, now: i64, keys: u64) -> Result<bool, Error> {
        let are_few = |changes: u64| changes * KEYS_FOR_A_CHANGE <= keys;
        // Each revision has one, and the runs of many are not worth looking into.
        if !are_few((now - at) as u64) {
            return Ok(false);
        }
        let shared = self.shared.read();
        let mut changes = shared.tail.changes_after(at);
        let runs = if shared.tail_covers(at) { Vec::new() } else { shared.runs_after(at) };
        drop(shared);
        for run in runs {
            changes += run.changes_after(self.files(), at)?;
            if !are_few(changes) {
                return Ok(false);
            }
        }
        Ok(are_few(changes))
    }

    /// Corrects the count of now by the changes since, whose keys it keeps in memory.
    fn count_by_changes(
        &self,
        range: &KeyRange,
        at: i64,
        now: i64,
        count_now: u64,
        hold: &Hold,
    ) -> Result<u64, ReadError> {
        // For each key that changed: whether it was there before the first change, and after the last.
        let mut changed: BTreeMap<Vec<u8>, (bool, bool)> = BTreeMap::new();
        let mut scanner = Scanner::held(at + 1, now, hold);
        while let Some(changes) = scanner.next_batch(self)? {
            for change in changes.iter().filter(|change| range.contains(&change.key)) {
                let is_live = change.is_put();
                match changed.get_mut(&change.key[..]) {
                    Some((_, now)) => *now = is_live,
                    None => drop(changed.insert(change.key.to_vec(), (change.before.is_some(), is_live))),
                }
            }
        }
        let then = changed.values().filter(|(then, _)| *then).count() as u64;
        let since = changed.values().filter(|(_, now)| *now).count() as u64;
        Ok(count_now + then - since)
    }

    /// Counts lives; the caller holds on to the revision. `None`: there is a run after it that does not know its lives.
    fn count_lives(&self, range: &KeyRange, at: i64) -> Result<Option<u64>, Error> {
        let mut lives = Lives::at(at);
        let mut next = Some(range.start.to_vec());
        let mut runs = Vec::new();
        while let Some(start) = next {
            let shared = self.shared.read();
            next = lives.count_piece(&shared, range, &start);
            if next.is_none() {
                runs = shared.runs_after(at);
            }
        }
        for run in runs {
            let is_seam = |main: i64| main == run.first.main || main == run.last.main;
            let mut visit = |key: &[u8], life: Life| lives.count_ended(key, life, is_seam(life.ended.main));
            if !run.lives(self.files(), range, &mut visit)? {
                return Ok(None);
            }
        }
        Ok(Some(lives.count))
    }

    /// Goes through the range as a read does, and through all changes since in the runs.
    fn count_by_walking(&self, range: &KeyRange, at: i64, hold: &Hold) -> Result<u64, Error> {
        let wanted = Wanted { range, at, parts: Parts::Count };
        Cursor::held(self, wanted, range.start.to_vec(), hold).count()
    }
}

/// Lives at one revision, counted so far.
struct Lives {
    at: i64,
    count: u64,
    /// From which key on the index was gone through with which floor: one, unless a run is sealed meanwhile.
    floors: Vec<(Vec<u8>, Revision)>,
    /// Lives that ended in a transaction that the end of a run may have cut in two: a key that is deleted twice in it ended
    /// one. By main revision and key.
    at_seams: BTreeSet<(i64, Vec<u8>)>,
}

impl Lives {
    fn at(at: i64) -> Self {
        Self { at, count: 0, floors: Vec::new(), at_seams: BTreeSet::new() }
    }

    /// Counts what one hold of the lock shows from `start` on: what lives, and what ended in the tail. Returns where to go
    /// on.
    fn count_piece(&mut self, shared: &Shared, range: &KeyRange, start: &[u8]) -> Option<Vec<u8>> {
        let floor = shared.tail.floor();
        if self.floors.last().is_none_or(|(_, last)| *last != floor) {
            self.floors.push((start.to_vec(), floor));
        }
        shared.index.scan_piece(start, range, ENTRIES_PER_HOLD, &mut |key, entry| {
            if entry.is_live() && entry.create_revision <= self.at {
                self.count += 1;
            } else if entry.mod_revision > self.at
                && entry.revision() > floor
                && let Some(ended) = shared.tail.life_until(entry.link, self.at)
            {
                self.count_life(key, ended.main, ended.main == floor.main);
            }
            ControlFlow::Continue(())
        })
    }

    /// Counts a life that ended in a run.
    fn count_ended(&mut self, key: &[u8], life: Life, is_at_seam: bool) {
        let piece = self.floors.partition_point(|(start, _)| &start[..] <= key) - 1;
        let was_in_run = life.ended <= self.floors[piece].1;
        if was_in_run && life.created <= self.at && life.ended.main > self.at {
            self.count_life(key, life.ended.main, is_at_seam);
        }
    }

    fn count_life(&mut self, key: &[u8], ended: i64, is_at_seam: bool) {
        if !is_at_seam || self.at_seams.insert((ended, key.to_vec())) {
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests;
