//! A range in chunks, for `RangeStream`: all of one revision, however long it takes to send them.
//!
//! Merged by the rules of protobuf, the messages are the reply that the same request gets from `Range`: key-values add
//! up, and the last message carries everything else. The first read fixes the revision.
//!
//! In key order, a chunk is read when its turn comes. Chunks are a few keys at first and grow until one fills half a
//! request; so neither small nor large values make chunks that are unreasonable.
//!
//! A request without an order but with a target other than the key is sorted by the target. What comes first is known
//! only when all is read, so that it is read at once, held, and sent in pieces. (etcd sorts each chunk by itself:
//! `docs/decisions/0008-a-sorted-stream-is-the-sorted-range.md`.)

mod in_key_order;
mod sorted;

use mvcc::{Pace, View};
use proto::etcdserverpb::RangeRequest;
use proto::etcdserverpb::range_request::SortTarget;

use self::in_key_order::InKeyOrder;
use self::sorted::Sorted;
use crate::Body;
use crate::range::range;
use crate::source::{Failure, Paced};

/// A streamed range that is being sent.
#[derive(Debug)]
pub struct RangeStream {
    state: State,
    request_bytes_max: usize,
}

#[derive(Debug)]
enum State {
    /// Nothing is read yet.
    Asked(RangeRequest),
    InKeyOrder(InKeyOrder),
    Sorted(Sorted),
    /// The last message was made, or there was a failure.
    Finished,
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Revision of the header. Only the last message has a header.
    pub header_revision: Option<i64>,
    /// The other fields of this message's `RangeResponse`.
    pub body: Body,
}

impl RangeStream {
    /// Starts a stream. The request has passed [`validate::range_stream`](crate::validate::range_stream).
    /// `request_bytes_max` is the server's limit on requests, which sets the size of chunks.
    #[must_use]
    pub fn new(request: RangeRequest, request_bytes_max: usize) -> Self {
        Self { state: State::Asked(request), request_bytes_max }
    }

    /// Makes the next message; `None` after the last one and after a failure. Every call may be given a newer view.
    ///
    /// # Errors
    /// `Compacted`, also when a compaction overtakes the stream; `FutureRevision`; the pace let it go no farther; or the
    /// store could not be read.
    pub fn next(&mut self, view: &View, pace: &dyn Pace) -> Result<Option<Chunk>, Failure> {
        let source = &Paced { view, pace };
        let (chunk, state) = match std::mem::replace(&mut self.state, State::Finished) {
            State::Asked(request) => self.begin(source, request)?,
            State::InKeyOrder(rest) => rest.next(source, self.request_bytes_max)?,
            State::Sorted(rest) => rest.next(self.request_bytes_max),
            State::Finished => return Ok(None),
        };
        self.state = state;
        Ok(Some(chunk))
    }

    fn begin(&self, source: &Paced<'_>, request: RangeRequest) -> Result<(Chunk, State), Failure> {
        if request.count_only {
            let found = range(source, &request)?;
            let chunk = Chunk { header_revision: Some(found.revision), body: found.into_body() };
            return Ok((chunk, State::Finished));
        }
        if request.sort_target == SortTarget::Key as i32 {
            return InKeyOrder::begin(source, request, self.request_bytes_max);
        }
        Ok(Sorted::of(range(source, &request)?).next(self.request_bytes_max))
    }
}
