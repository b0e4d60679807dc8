//! What the operations of a transaction have done, and the reply that says so.
//!
//! ```text
//!  apply ── Report ──┬─► body, if what the ranges show is not much
//!                    └─► Unread ── read, elsewhere ──► body
//! ```

use mvcc::{Item, Midway, Pace, RangeQuery, RangeResult};
use proto::etcdserverpb::RangeRequest;

use crate::Body;
use crate::delete_range::Deleted;
use crate::put::write_response;
use crate::range::{Found, range};
use crate::source::{Failure, Source};

/// What a branch has done, in the order of its operations.
pub(super) struct Branch {
    pub(super) succeeded: bool,
    pub(super) done: Vec<Done>,
}

/// What one operation has done.
pub(super) enum Done {
    Range(Found),
    /// A range that is not read yet, after so many changes of the transaction.
    Left(RangeRequest, usize),
    /// With the previous version of the key, if the reply is to have it.
    Put(Option<Item>),
    /// With the revision that was visible then.
    Deleted(Deleted, i64),
    Txn(Branch),
    /// There was no operation; or it was a range, and nobody waits for what it shows.
    Nothing,
}

/// What a whole transaction has done.
pub(super) struct Report {
    pub(super) revision_before: i64,
    pub(super) done: Branch,
}

impl Report {
    /// The fields of the `TxnResponse` but its header. Nothing is left to be read.
    pub(super) fn body(self) -> Body {
        let mut body = Body::with_segments(4 * self.done.done.len() + 1);
        self.done.write(self.revision_before, &mut body);
        body
    }
}

impl Branch {
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
        for done in &mut self.done {
            match done {
                Done::Left(request, changes) => {
                    midway.advance_to(*changes);
                    *done = Done::Range(range(&PacedMidway { midway, pace }, request)?);
                }
                Done::Txn(branch) => branch.read(midway, pace)?,
                Done::Range(_) | Done::Put(_) | Done::Deleted(..) | Done::Nothing => {}
            }
        }
        Ok(())
    }
}

impl Done {
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
            Self::Left(..) => unreachable!("what is left is read before it is written"),
            Self::Nothing => {}
        }
    }
}

/// A transaction that was applied and whose ranges are still to be read. They show what they would have shown then, whatever
/// was written or compacted since.
pub struct Unread {
    report: Report,
    midway: Midway,
}

impl std::fmt::Debug for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unread")
            .field("revision_before", &self.report.revision_before)
            .finish_non_exhaustive()
    }
}

impl Unread {
    pub(super) fn new(report: Report, midway: Midway) -> Self {
        Self { report, midway }
    }

    /// Reads the ranges and returns the fields of the reply but its header.
    ///
    /// # Errors
    /// The pace let it go no farther; or the store could not be read. The transaction is done all the same.
    pub fn read(mut self, pace: &dyn Pace) -> Result<Body, Failure> {
        self.report.done.read(&mut self.midway, pace)?;
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
