//! What the operations of a command have done, and the reply that says so.
//!
//! ```text
//!  apply ── Report ──┬─► body, if all that it shows is known
//!                    └─► Unread ── read, elsewhere ──► body
//! ```
//!
//! What was replaced or deleted is a range, too: of those keys, right before the operation.

use bytes::Bytes;
use mvcc::{Changes, Item, KeyRange, Midway, Pace, RangeQuery, RangeResult};
use proto::etcdserverpb::RangeRequest;

use crate::delete_range::Deleted;
use crate::put::write_response;
use crate::range::{Found, range};
use crate::source::{Failure, Source};
use crate::{Body, Machine, Outcome, Reply};

/// What a branch has done, in the order of its operations.
pub(crate) struct Branch {
    pub(super) succeeded: bool,
    pub(super) done: Vec<Done>,
}

/// What one operation has done.
pub(crate) enum Done {
    Range(Found),
    /// A range that is not read yet, after so many changes of the transaction.
    Left(RangeRequest, usize),
    /// With the previous version of the key, if the reply is to have it.
    Put(Option<Item>),
    /// The previous version of this key is not read yet, after so many changes of the transaction.
    PutLeft(Bytes, usize),
    /// With the revision that was visible then.
    Deleted(Deleted, i64),
    /// What was deleted is not read yet: so many keys of a range, after so many changes of the transaction.
    DeletedLeft {
        range: KeyRange,
        changes: usize,
        count: usize,
        revision: i64,
    },
    Txn(Branch),
    /// There was no operation; or it was a range, and nobody waits for what it shows.
    Nothing,
}

/// What a whole command has done.
pub(crate) enum Report {
    /// A transaction.
    Txn { revision_before: i64, done: Branch },
    /// A put or a delete.
    One(Done),
}

impl Report {
    /// The fields of the response but its header. Nothing is left to be read.
    fn body(self) -> Body {
        match self {
            Self::Txn { revision_before, done } => {
                let mut body = Body::with_segments(4 * done.done.len() + 1);
                done.write(revision_before, &mut body);
                body
            }
            Self::One(done) => {
                let mut body = Body::empty();
                done.write_response(&mut body);
                body
            }
        }
    }

    /// The oldest revision of which something is left to be read, if anything is.
    fn oldest_left(&self) -> Option<i64> {
        match self {
            Self::Txn { done, .. } => done.oldest_left(),
            Self::One(done) => done.oldest_left(),
        }
    }

    fn read(&mut self, midway: &mut Midway, pace: &dyn Pace) -> Result<(), Failure> {
        match self {
            Self::Txn { done, .. } => done.read(midway, pace),
            Self::One(done) => done.read(midway, pace),
        }
    }
}

impl Machine {
    /// The outcome of the command that has just changed this, or nothing.
    pub(crate) fn reported(&self, report: Report, changes: Option<Changes>) -> Outcome {
        let revision = self.store.revision();
        let Some(oldest) = report.oldest_left() else {
            let body = report.body();
            return Outcome::changed(Reply { revision, body }, changes);
        };
        let midway = self.store.midway(changes.clone(), oldest);
        let unread = Unread { report, midway };
        let outcome = Outcome::changed(Reply { revision, body: Body::empty() }, changes);
        Outcome { unread: Some(Box::new(unread)), ..outcome }
    }
}

impl Branch {
    fn oldest_left(&self) -> Option<i64> {
        self.done.iter().filter_map(Done::oldest_left).min()
    }

    fn write(self, revision_before: i64, body: &mut Body) {
        body.bool(2, self.succeeded);
        for done in self.done {
            let response = body.open(3);
            done.write(revision_before, body);
            body.close(response);
        }
    }

    /// Reads what is left, in the order of the operations.
    fn read(&mut self, midway: &mut Midway, pace: &dyn Pace) -> Result<(), Failure> {
        self.done.iter_mut().try_for_each(|done| done.read(midway, pace))
    }
}

impl Done {
    fn oldest_left(&self) -> Option<i64> {
        match self {
            Self::Left(request, _) if request.revision > 0 => Some(request.revision),
            Self::Left(..) | Self::PutLeft(..) | Self::DeletedLeft { .. } => Some(i64::MAX),
            Self::Txn(branch) => branch.oldest_left(),
            Self::Range(_) | Self::Put(_) | Self::Deleted(..) | Self::Nothing => None,
        }
    }

    fn read(&mut self, midway: &mut Midway, pace: &dyn Pace) -> Result<(), Failure> {
        match self {
            Self::Left(request, changes) => {
                midway.advance_to(*changes);
                *self = Self::Range(range(&PacedMidway { midway, pace }, request)?);
            }
            Self::PutLeft(key, changes) => {
                midway.advance_to(*changes);
                let previous = midway.range(&RangeQuery::new(KeyRange::single(key.clone())), pace)?;
                *self = Self::Put(previous.items.into_iter().next());
            }
            Self::DeletedLeft { range, changes, count, revision } => {
                midway.advance_to(*changes);
                let previous = midway.range(&RangeQuery::new(range.clone()), pace)?.items;
                debug_assert_eq!(previous.len(), *count, "what was deleted is what was there");
                *self = Self::Deleted(Deleted { count: *count, previous }, *revision);
            }
            Self::Txn(branch) => branch.read(midway, pace)?,
            Self::Range(_) | Self::Put(_) | Self::Deleted(..) | Self::Nothing => {}
        }
        Ok(())
    }

    /// Appends the fields of the response to a put or a delete alone but its header.
    fn write_response(self, body: &mut Body) {
        match self {
            Self::Put(previous) => write_response(body, previous),
            Self::Deleted(deleted, _) => deleted.write_response(body),
            _ => unreachable!("a put or a delete, and what is left is read before it is written"),
        }
    }

    /// Appends the field of a `ResponseOp`.
    fn write(self, revision_before: i64, body: &mut Body) {
        match self {
            Self::Range(found) => {
                let open = body.open(1);
                body.inner_header(found.revision);
                found.write(body);
                body.close(open);
            }
            Self::Put(previous) => {
                let open = body.open(2);
                body.inner_header(revision_before + 1);
                write_response(body, previous);
                body.close(open);
            }
            Self::Deleted(deleted, revision) => {
                let open = body.open(3);
                body.inner_header(revision);
                deleted.write_response(body);
                body.close(open);
            }
            Self::Txn(branch) => {
                let open = body.open(4);
                body.empty_header();
                branch.write(revision_before, body);
                body.close(open);
            }
            Self::Left(..) | Self::PutLeft(..) | Self::DeletedLeft { .. } => {
                unreachable!("what is left is read before it is written")
            }
            Self::Nothing => {}
        }
    }
}

/// A command that was applied and whose reply is still to be read for. It shows what it would have shown then, whatever was
/// written or compacted since.
pub struct Unread {
    report: Report,
    midway: Midway,
}

impl std::fmt::Debug for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unread").field("revision", &self.midway.revision()).finish_non_exhaustive()
    }
}

impl Unread {
    /// Reads what is left and returns the fields of the reply but its header.
    ///
    /// # Errors
    /// The pace let it go no farther; or the store could not be read. The command is done all the same.
    pub fn read(mut self, pace: &dyn Pace) -> Result<Body, Failure> {
        self.report.read(&mut self.midway, pace)?;
        Ok(self.report.body())
    }
}

struct PacedMidway<'a> {
    midway: &'a Midway,
    pace: &'a dyn Pace,
}

impl Source for PacedMidway<'_> {
    fn revision(&self) -> i64 {
        self.midway.revision()
    }

    /// Whatever a range may be about was checked when the transaction was applied.
    fn compact_revision(&self) -> i64 {
        i64::MIN
    }

    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
        Ok(self.midway.range(query, self.pace)?)
    }
}
