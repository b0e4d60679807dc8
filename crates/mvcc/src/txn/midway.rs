//! A transaction in its midst, looked at when it is long over.
//!
//! What a range within a transaction shows is the state before it with the changes that came before the range. All of that
//! can be known later: the history has the state, and the transaction its changes. So whoever applies a transaction need not
//! read what it shows, which may be gigabytes; who wants the reply reads it, while others go on.

use super::staging::{Base, Staged, Staging};
use crate::index::ValueMark;
use crate::item::{Change, Changes};
use crate::pace::Pace;
use crate::shared::Hold;
use crate::store::Store;
use crate::{RangeQuery, RangeResult, ReadError, View};

/// A committed transaction as it was after some of its changes. Compactions do not take away what it needs.
pub struct Midway {
    base: StateBefore,
    changes: Option<Changes>,
    staging: Staging,
}

/// The state before the transaction.
struct StateBefore {
    view: View,
    revision: i64,
    hold: Hold,
}

impl Base for StateBefore {
    fn range(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        self.view.inner.range_held(query, query.at.unwrap_or(self.revision), &self.hold, pace)
    }
}

impl Midway {
    /// Returns the transaction that was committed last, before its first change. `changes` is what it has changed; what is
    /// read of older states is not from before the revision `oldest`.
    pub(crate) fn of_last(store: &Store, changes: Option<Changes>, oldest: i64) -> Self {
        let view = store.view();
        let revision = store.revision() - i64::from(changes.is_some());
        let hold = view.inner.shared.read().hold(&view.inner, oldest.min(revision));
        Self { base: StateBefore { view, revision, hold }, changes, staging: Staging::default() }
    }

    /// Goes on to after the first `count` changes. It does not go back.
    pub fn advance_to(&mut self, count: usize) {
        let Some(Changes { changes, .. }) = &self.changes else { return };
        for change in &changes[self.staging.len().min(count)..count] {
            self.staging.push(staged(change));
        }
    }

    /// A range, as far as `pace` lets it go: as it was for the transaction at this place, or at an older revision.
    ///
    /// # Errors
    /// [`ReadError::GivenUp`], and those of the disk.
    pub fn range(&self, query: &RangeQuery, pace: &dyn Pace) -> Result<RangeResult, ReadError> {
        let result = match query.at {
            Some(_) => self.base.range(query, pace)?,
            None => self.staging.range(&self.base, query, pace)?,
        };
        Ok(RangeResult { revision: self.revision(), ..result })
    }

    /// The main revision of what is visible at this place.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.base.revision + i64::from(!self.staging.is_empty())
    }
}

fn staged(change: &Change) -> Staged {
    // Nothing of it is committed again, so the index needs nothing of it.
    let Change { key, after, before, .. } = change;
    Staged { key: key.clone(), after: after.clone(), before: before.clone(), value: ValueMark::default() }
}
