//! Reads that no log knows of: a range or a read-only transaction on a view, in the caller's task.
//!
//! Whether the view is recent enough is the server's business (a read barrier, or none if the client is content with
//! local state). The meaning of what is read is that of the same request inside the log: both run the same code.

mod decisive;
mod range_stream;

use mvcc::{Pace, RangeQuery, RangeResult, View};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{RangeRequest, TxnRequest};

use crate::source::{Failure, Paced, Source};
use crate::txn::{check_revision, plan};
use crate::{Body, Rejection, Reply};

pub use decisive::Decisive;
pub use range_stream::{Chunk, RangeStream};

/// Serves a range.
///
/// # Errors
/// `Compacted`, `FutureRevision`; the pace let it go no farther; or the store could not be read.
pub fn range(view: &View, request: &RangeRequest, pace: &dyn Pace) -> Result<Reply, Failure> {
    let found = crate::range::range(&Paced { view, pace }, request)?;
    Ok(Reply { revision: found.revision, body: found.into_body() })
}

/// Serves a transaction that only reads: all of it at one revision.
///
/// # Errors
/// `Compacted`, `FutureRevision`; the pace let it go no farther; or the store could not be read.
///
/// # Panics
/// If it does not only read: see [`txn::is_read_only`](crate::txn::is_read_only).
pub fn txn(view: &View, request: &TxnRequest, pace: &dyn Pace) -> Result<Reply, Failure> {
    loop {
        let moment = Moment { source: Paced { view, pace }, revision: view.revision() };
        match txn_at(&moment, request) {
            // A compaction has overtaken this moment, and not a revision that the request names: there is a newer
            // one.
            Err(Failure::Rejected(Rejection::Compacted)) if view.compact_revision() > moment.revision => {}
            result => return result,
        }
    }
}

fn txn_at(moment: &Moment<'_>, request: &TxnRequest) -> Result<Reply, Failure> {
    let plan = plan(moment, request)?;
    let ranges = || {
        plan.operations.iter().map(|operation| match &operation.request {
            Some(Request::RequestRange(range)) => range,
            other => panic!("{other:?} in a transaction that only reads"),
        })
    };
    for range in ranges() {
        check_revision(moment, range)?;
    }
    let mut body = Body::empty();
    body.bool(2, plan.succeeded);
    for range in ranges() {
        let found = crate::range::range(moment, range)?;
        let (response, open) = (body.open(3), body.open(1));
        body.inner_header(found.revision);
        found.write(&mut body);
        body.close(open);
        body.close(response);
    }
    Ok(Reply { revision: moment.revision, body })
}

/// A view as it was at one revision: the view itself moves on while several reads are made.
struct Moment<'a> {
    source: Paced<'a>,
    revision: i64,
}

impl Source for Moment<'_> {
    fn revision(&self) -> i64 {
        self.revision
    }

    fn compact_revision(&self) -> i64 {
        self.source.compact_revision()
    }

    fn range(&self, query: &RangeQuery) -> Result<RangeResult, Failure> {
        let query = RangeQuery { at: Some(query.at.unwrap_or(self.revision)), ..query.clone() };
        let result = self.source.range(&query)?;
        Ok(RangeResult { revision: self.revision, ..result })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use mvcc::{KeyRange, LeaseId, Options, Store, ToTheEnd};

    use super::*;

    #[test]
    fn all_reads_of_a_transaction_see_one_moment_while_writes_go_on() {
        let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
        let mut store = Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/store"), options).unwrap();
        let mut put = |value: &'static str| {
            let mut txn = store.txn();
            txn.put("k".into(), value.into(), LeaseId(0));
            txn.commit();
            store.view()
        };
        let view = put("old");
        let source = Paced { view: &view, pace: &ToTheEnd };
        let moment = Moment { source, revision: view.revision() };
        put("new");
        assert_eq!(view.get(b"k").unwrap().unwrap().value(), "new");
        assert_eq!(moment.get(&"k".into()).unwrap().unwrap().value(), "old");
        assert_eq!(moment.meta(&"k".into()).unwrap().unwrap().version, 1);
        let found = Source::range(&moment, &RangeQuery::new(KeyRange::all())).unwrap();
        assert_eq!((found.items[0].value(), found.revision), ("old".into(), 2));
    }
}
