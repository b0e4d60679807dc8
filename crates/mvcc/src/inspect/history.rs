//! The history under inspection: every record, their order, the indexes of the runs, and whether the live keys are what
//! their last changes made them.

use std::path::{Path, PathBuf};

use wal::{Disk, Finding, Position, Readers, Record};

use super::runs::Runs;
use super::{Checkpoint, Seen};
use crate::checkpoint::Mark;
use crate::history::{self, CHANGE};
use crate::open::HISTORY;
use crate::{Change, Error, KeyRange, Revision, Store, encoding, state_hash};

/// Goes through the history of the store in `dir`, which nobody may be writing to, and shows everything to `see`. With a
/// `checkpoint`, it must be the history that this one speaks of; with a `store`, which was opened from the same files, the
/// live keys must be what the history made them. What is shown does not depend on the `readers`. Returns the number of its changes.
///
/// # Errors
/// Only if the directory cannot be listed; a file that cannot be read is a finding.
pub fn inspect_history(
    disk: &dyn Disk,
    dir: &Path,
    checkpoint: Option<&Checkpoint>,
    store: Option<&Store>,
    readers: &dyn Readers,
    see: &mut dyn FnMut(Seen<'_>),
) -> Result<u64, Error> {
    let dir = dir.join(HISTORY);
    let mark = checkpoint.map(|checkpoint| &checkpoint.mark);
    let mut walk = Walk {
        dir: &dir,
        mark,
        store,
        runs: Runs::of(mark),
        before: None,
        first: None,
        file: dir.clone(),
        changes: 0,
        current: 0,
        has_gap: false,
        is_behind: false,
    };
    let identity = mark.map(|mark| mark.identity);
    let segments = wal::inspect(disk, &dir, identity, readers, &mut |seen| walk.take(seen, see))?;
    if segments == 0 {
        see(Seen::Finding(Finding::damage(&dir, 0, 0, "there is no file of the history")));
    }
    walk.finish(see);
    Ok(walk.changes)
}

struct Walk<'a> {
    dir: &'a Path,
    mark: Option<&'a Mark>,
    store: Option<&'a Store>,
    runs: Runs<'a>,
    /// The change before; `None` behind a gap and at the start.
    before: Option<Revision>,
    first: Option<Revision>,
    /// The file that is being read.
    file: PathBuf,
    changes: u64,
    /// Changes that made what a live key is.
    current: u64,
    has_gap: bool,
    /// Whether there are records behind the end that the checkpoint names.
    is_behind: bool,
}

impl Walk<'_> {
    fn take(&mut self, seen: wal::Seen<'_>, see: &mut dyn FnMut(Seen<'_>)) {
        match seen {
            wal::Seen::Read(bytes) => see(Seen::Read(bytes)),
            wal::Seen::Finding(finding) => see(Seen::Finding(finding)),
            wal::Seen::Gap => {
                (self.before, self.has_gap) = (None, true);
                self.runs.lose();
            }
            wal::Seen::Segment(segment) => {
                segment.path.clone_into(&mut self.file);
                self.runs.segment(segment.id);
                see(Seen::Segment(segment));
            }
            wal::Seen::Record(record) => self.record(record, see),
        }
    }

    fn record(&mut self, record: &Record, see: &mut dyn FnMut(Seen<'_>)) {
        let place = record.position;
        if self.mark.is_some_and(|mark| place >= mark.history_end) {
            if !self.is_behind {
                self.is_behind = true;
                let what = "changes behind the last checkpoint, which the next one cuts off and writes again";
                see(Seen::Finding(Finding::note(&self.file, place.offset, 0, what)));
            }
            return;
        }
        if record.head.kind != CHANGE {
            if let Some(what) = self.runs.index(record) {
                see(self.damage(record, what));
            }
            return;
        }
        match history::decode(self.dir, record) {
            Ok(change) => {
                if let Some(what) = self.check(&change) {
                    see(self.damage(record, what));
                }
                self.runs.change(&change, place);
                self.changes += 1;
                see(Seen::Change(place, &change));
            }
            Err(_) => {
                see(self.damage(record, "the record is not one of a change".to_owned()));
                (self.before, self.has_gap) = (None, true);
                self.runs.lose();
            }
        }
    }

    fn damage(&self, record: &Record, what: String) -> Seen<'static> {
        let Position { offset, .. } = record.position;
        Seen::Finding(Finding::damage(&self.file, offset, record.next.offset - offset, what))
    }

    /// What is wrong with a change.
    fn check(&mut self, change: &Change) -> Option<String> {
        let revision = change.revision;
        let before = self.before.replace(revision);
        self.first.get_or_insert(revision);
        let compact_revision = self.mark.map_or(-1, |mark| mark.compact_revision);
        if let Some(before) = before.filter(|before| !before.precedes_beyond(revision, compact_revision)) {
            return Some(format!("change {revision} comes after {before}"));
        }
        check_versions(change).map(str::to_owned).or_else(|| self.check_live(change))
    }

    /// Holds a change against the live key that it may have made.
    fn check_live(&mut self, change: &Change) -> Option<String> {
        let shared = self.store?.inner().shared.read();
        let entry = shared.index.get(&change.key).filter(|entry| entry.is_live())?;
        let key = change.key.escape_ascii();
        match &change.after {
            _ if entry.revision() < change.revision => Some(format!(
                "change {} of key \"{key}\" is later than the key's own {}",
                change.revision,
                entry.revision()
            )),
            Some(item) if entry.revision() == change.revision => {
                self.current += 1;
                let is_same =
                    item.meta == entry.meta() && state_hash::digest(item.value_bytes()) == entry.digest;
                (!is_same).then(|| format!("change {} is not what key \"{key}\" is", change.revision))
            }
            None if entry.revision() == change.revision => {
                Some(format!("key \"{key}\" lives, and change {} deleted it", change.revision))
            }
            _ => None,
        }
    }

    fn finish(&self, see: &mut dyn FnMut(Seen<'_>)) {
        let Some(mark) = self.mark else { return };
        let last = self.before.unwrap_or(mark.floor);
        let mut wrong = |what: String| see(Seen::Finding(Finding::damage(self.dir, 0, 0, what)));
        if self.has_gap {
            return;
        }
        if !mark.ends_with(last) {
            wrong(format!("it ends with {last}, and the checkpoint is of revision {}", mark.revision));
        }
        for run in self.runs.missing() {
            wrong(format!("the index at {run}, which the checkpoint names, is missing"));
        }
        if let (Some(store), Some(first)) = (self.store, self.first) {
            let mut live = 0;
            store.for_each_meta(&KeyRange::all(), |_, meta| live += u64::from(meta.mod_revision >= first));
            if live != self.current {
                let made = self.current;
                wrong(format!("{live} live keys changed since {first}, and it has the changes of {made}"));
            }
        }
    }
}

/// What is wrong with the versions that a change carries.
fn check_versions(change: &Change) -> Option<&'static str> {
    let Change { revision, key, after, before, .. } = change;
    let is_canonical = |item: &crate::Item| encoding::is_canonical(&item.encoded);
    if key.is_empty() {
        return Some("a change has no key");
    }
    if before.lost().is_some() {
        return Some("what a change replaced was damaged in the database, and its value is lost");
    }
    if after.iter().chain(before.item()).any(|item| !is_canonical(item) || item.key_bytes() != &key[..]) {
        return Some("a change carries what is no version of its key");
    }
    if after.as_ref().is_some_and(|after| after.meta.mod_revision != *revision) {
        return Some("a change carries a version of another revision");
    }
    if before.meta().is_some_and(|before| before.mod_revision.main >= revision.main) {
        return Some("a change replaces a version that is not older");
    }
    None
}
