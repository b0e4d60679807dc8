//! How far the backups are, and what comes next.

use std::time::Duration;

use backup::{Frozen, row_of};
use mvcc::{KeptHistory, ReadError, View};

use crate::chain::{Digest, RowsDigest};
use crate::download::Shelf;
use crate::limits::PIECE_BYTES;
use crate::name::Millis;
use crate::piece::{Builder, Header};
use crate::{ArchiveError, Catalogue};

/// A history up to a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    pub(super) revision: i64,
    pub(super) chain: Digest,
    /// Digest of the rows of the revision; `None`: they are not to be had.
    pub(super) rows: Option<Digest>,
}

/// How far the backups are.
pub(super) struct Course {
    /// The end of the chain; `None`: there is none that goes on.
    history: Option<History>,
    /// What comes after it, kept from compaction.
    kept: Option<KeptHistory>,
    /// When the last full backup was made; `None`: one is due.
    last_full: Option<Millis>,
    last_piece: Millis,
    /// The newest time that a full backup has in its name.
    newest_time: Millis,
}

/// The end of what an archive has.
struct End {
    history: History,
    raft_term: u64,
    raft_index: u64,
}

impl Course {
    /// Finds the end of what an archive has, and whether this member's history goes on from there.
    pub(super) fn find(
        shelf: Shelf<'_>,
        catalogue: &Catalogue,
        view: &View,
        frozen: &Frozen,
        now: Millis,
    ) -> Result<Self, ArchiveError> {
        let newest_time = catalogue.fulls.iter().map(|(full, _)| full.time).max().unwrap_or(0);
        let anew = Self { history: None, kept: None, last_full: None, last_piece: now, newest_time };
        let Some(end) = End::find(shelf, catalogue)? else { return Ok(anew) };
        if !end.is_of(view, frozen)? {
            return Ok(anew);
        }
        // A clock that was wrong does not put the next one off.
        Ok(Self { history: Some(end.history), last_full: Some(newest_time.min(now)), ..anew })
    }

    /// The end of the chain that goes on.
    pub(super) fn continues(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// When the last full backup was made.
    pub(super) fn last_full(&self) -> Option<Millis> {
        self.last_full
    }

    /// Corrects what was noted by a clock that was ahead.
    pub(super) fn clock_is(&mut self, now: Millis) {
        self.last_full = self.last_full.map(|last| last.min(now));
        self.last_piece = self.last_piece.min(now);
    }

    pub(super) fn is_full_due(&self, now: Millis, interval: Duration) -> bool {
        self.last_full.is_none_or(|last| now.saturating_sub(last) >= interval.as_millis() as Millis)
    }

    pub(super) fn is_piece_due(&self, now: Millis, interval: Duration, revision: i64) -> bool {
        let is_behind = self.history.as_ref().is_some_and(|history| history.revision < revision);
        is_behind && now.saturating_sub(self.last_piece) >= interval.as_millis() as Millis
    }

    /// Names of full backups sort by their times in the order in which they were made.
    pub(super) fn time_of_next_full(&self, now: Millis) -> Millis {
        now.max(self.newest_time + 1)
    }

    /// Keeps what comes next from compaction. If that has taken it already, the chain ends: returns
    /// where.
    pub(super) fn keep_history(&mut self, view: &View) -> Result<Option<i64>, ArchiveError> {
        let Some(history) = self.history.as_ref().filter(|_| self.kept.is_none()) else { return Ok(None) };
        match view.keep_history(history.revision) {
            Ok(kept) => {
                self.kept = Some(kept);
                Ok(None)
            }
            Err(ReadError::Compacted(_)) => {
                let after = history.revision;
                (self.history, self.last_full) = (None, None);
                Ok(Some(after))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets compaction have what is not needed any more.
    pub(super) fn keep_later(&mut self, view: &View) {
        if let Some(history) = &self.history {
            // What is kept now is enough if this cannot be had.
            if let Ok(kept) = view.keep_history(history.revision) {
                self.kept = Some(kept);
            }
        }
    }

    /// Lets compaction have everything.
    pub(super) fn release(&mut self) {
        self.kept = None;
    }

    /// Reads what comes next, up to a revision or as much as makes a piece; `None`: there is
    /// nothing.
    pub(super) fn next_piece(&self, through: i64) -> Result<Option<Builder>, ArchiveError> {
        let Some((history, kept)) = self.history.as_ref().zip(self.kept.as_ref()) else { return Ok(None) };
        let mut builder = Builder::after(history.revision, history.chain);
        let mut changes = kept.changes(history.revision, through);
        while let Some(batch) = changes.next_batch()? {
            for change in &batch {
                let main = change.revision.main;
                if main != builder.revision() && builder.bytes() >= PIECE_BYTES {
                    return Ok(Some(builder));
                }
                row_of(change, |key, value| builder.row(main, key, value));
            }
        }
        Ok(Some(builder).filter(|builder| !builder.is_empty()))
    }

    pub(super) fn piece_was_made(&mut self, now: Millis, header: &Header) {
        self.history = Some(History { revision: header.to, chain: header.after, rows: Some(header.rows) });
        self.last_piece = now;
    }

    pub(super) fn full_was_made(
        &mut self,
        now: Millis,
        time: Millis,
        history: History,
        kept: Option<KeptHistory>,
    ) {
        *self = Self {
            history: Some(history),
            kept,
            last_full: Some(now),
            last_piece: now,
            newest_time: self.newest_time.max(time),
        };
    }
}

impl End {
    /// Reads the end of what an archive has. `None`: there is nothing, or its end is damaged and
    /// nobody can go on from it.
    fn find(shelf: Shelf<'_>, catalogue: &Catalogue) -> Result<Option<Self>, ArchiveError> {
        let Some(plan) = catalogue.end() else { return Ok(None) };
        let found = match plan.pieces.last() {
            None => shelf.manifest(&plan.full).map(|manifest| Self {
                history: History { revision: manifest.revision, chain: manifest.chain, rows: manifest.rows },
                raft_term: manifest.raft_term,
                raft_index: manifest.raft_index,
            }),
            Some(piece) => shelf.header(piece).map(|header| Self {
                history: History { revision: header.to, chain: header.after, rows: Some(header.rows) },
                raft_term: header.raft_term,
                raft_index: header.raft_index,
            }),
        };
        match found {
            Ok(end) => Ok(Some(end)),
            Err(ArchiveError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a member's history goes on from this end. One that was restored from an earlier
    /// revision has used fewer entries of its log; or it has made another change of the same
    /// revision.
    fn is_of(&self, view: &View, frozen: &Frozen) -> Result<bool, ArchiveError> {
        let applied = frozen.applied();
        let History { revision, rows, .. } = &self.history;
        let has_been_there = frozen.revision() >= *revision
            && applied.index >= self.raft_index
            && applied.term >= self.raft_term;
        if !has_been_there {
            return Ok(false);
        }
        match rows_of(view, *revision) {
            Ok(found) => Ok(found == *rows),
            Err(error) if error.is_compacted() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns the digest of the rows of a revision; `None`: the history has none of it, although it is
/// not compacted.
pub(super) fn rows_of(view: &View, revision: i64) -> Result<Option<Digest>, ArchiveError> {
    let mut digest = None;
    if let Some(batch) = view.history(revision).with_batches_of(1).next_batch()? {
        for change in batch.iter().filter(|change| change.revision.main == revision) {
            row_of(change, |key, value| digest.get_or_insert_with(RowsDigest::default).add(key, value));
        }
    }
    Ok(digest.map(RowsDigest::finish))
}
