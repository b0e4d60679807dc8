//! A range in chunks, for `RangeStream`: all of one revision, however long it takes to send them.
//!
//! The first chunk fixes the revision. Chunks are a few keys at first and grow until one fills half a request; so
//! neither small nor large values make chunks that are unreasonable. Merged by the rules of protobuf, the messages
//! are the reply that the same request gets from `Range`: key-values add up, and the last message carries everything
//! else.
//!
//! A request without an order but with a sort target is sorted chunk by chunk. (etcd then continues behind the last
//! key *as sorted*, which can send a key twice or never; here it is behind the last key in key order.)

use bytes::Bytes;
use mvcc::{RangeQuery, View};
use proto::etcdserverpb::RangeRequest;

use crate::Body;
use crate::range::{Found, key_range, limit, range, successor};
use crate::source::{Failure, Source};

/// Keys in the first chunk, as in etcd.
const FIRST_CHUNK_KEYS: usize = 10;

/// A streamed range that is being sent. The request has passed
/// [`validate::range_stream`](crate::validate::range_stream).
#[derive(Debug)]
pub struct RangeStream {
    request: RangeRequest,
    chunk_keys: usize,
    /// Keys that the client still wants; `None` is all there are.
    wanted: Option<usize>,
    sent: usize,
    /// The store's revision when the first chunk was read.
    revision: Option<i64>,
    request_bytes_max: usize,
    finished: bool,
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
    /// Starts a stream. `request_bytes_max` is the server's limit on requests, which sets the size of chunks.
    #[must_use]
    pub fn new(request: RangeRequest, request_bytes_max: usize) -> Self {
        let wanted = limit(&request);
        let (chunk_keys, sent, revision, finished) = (FIRST_CHUNK_KEYS, 0, None, false);
        Self { request, chunk_keys, wanted, sent, revision, request_bytes_max, finished }
    }

    /// Reads the next message; `None` after the last one. Every call may be given a newer view.
    ///
    /// # Errors
    /// `Compacted`, also when a compaction overtakes the stream; `FutureRevision`; or the store could not be read.
    pub fn next(&mut self, view: &View) -> Result<Option<Chunk>, Failure> {
        if self.finished {
            return Ok(None);
        }
        if self.request.count_only {
            self.finished = true;
            let found = range(view, &self.request)?;
            return Ok(Some(Chunk { header_revision: Some(found.revision), body: found.into_body() }));
        }
        self.next_keys(view).map(Some)
    }

    fn next_keys(&mut self, view: &View) -> Result<Chunk, Failure> {
        let keys = self.wanted.map_or(self.chunk_keys, |wanted| wanted.min(self.chunk_keys));
        let found = Found::in_key_order(view, &self.request, keys)?;
        let revision = *self.revision.get_or_insert(found.revision);
        if self.request.revision <= 0 {
            self.request.revision = revision;
        }
        self.sent += found.len();
        self.wanted = self.wanted.map(|wanted| wanted - found.len());
        let more = found.more;
        let next_key = found.last_key().map(successor);
        let mut body = Body::empty();
        found.sorted(&self.request).write_keys(&mut body);
        self.adjust(body.len());
        match next_key {
            Some(next_key) if more && self.wanted != Some(0) => {
                self.request.key = next_key;
                Ok(Chunk { header_revision: None, body })
            }
            next_key => {
                self.finished = true;
                let left = if more { self.count_from(view, next_key)? } else { 0 };
                body.bool(3, more);
                body.int64(4, self.sent as i64 + left);
                Ok(Chunk { header_revision: Some(revision), body })
            }
        }
    }

    fn adjust(&mut self, sent_bytes: usize) {
        if sent_bytes < self.request_bytes_max / 2 {
            self.chunk_keys = self.chunk_keys.saturating_mul(2);
        } else if sent_bytes > self.request_bytes_max.saturating_mul(2) {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
    }

    fn count_from(&self, view: &View, next_key: Option<Bytes>) -> Result<i64, Failure> {
        let Some(key) = next_key else { return Ok(0) };
        let rest = RangeQuery {
            range: key_range(&key, &self.request.range_end),
            at: Some(self.request.revision),
            limit: 0,
            keys_only: false,
            count_only: true,
        };
        Ok(i64::try_from(Source::range(view, &rest)?.count).expect("fewer keys than 2^63"))
    }
}
