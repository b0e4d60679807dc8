//! A stream in key order: each chunk is read when the ones before it are sent, at the revision of the first.

use bytes::Bytes;
use mvcc::RangeQuery;
use proto::etcdserverpb::RangeRequest;

use super::{Chunk, State};
use crate::Body;
use crate::range::{Found, key_range, limit, successor};
use crate::source::{Failure, Paced, Source};

/// Keys in the first chunk, as in etcd.
const FIRST_CHUNK_KEYS: usize = 10;

/// A stream of which a chunk was read.
#[derive(Debug)]
pub(super) struct InKeyOrder {
    /// From the next key on, at the revision that is streamed.
    request: RangeRequest,
    /// The store's revision when the first chunk was read.
    header_revision: i64,
    chunk_keys: usize,
    /// Keys that the client still wants; `None` is all there are.
    wanted: Option<usize>,
    sent: usize,
}

impl InKeyOrder {
    /// The first chunk.
    pub(super) fn begin(
        source: &Paced<'_>,
        mut request: RangeRequest,
        request_bytes_max: usize,
    ) -> Result<(Chunk, State), Failure> {
        let wanted = limit(&request);
        let found = Found::uncounted(source, &request, fewest(wanted, FIRST_CHUNK_KEYS))?;
        let header_revision = found.revision;
        if request.revision <= 0 {
            request.revision = header_revision;
        }
        let stream = Self { request, header_revision, chunk_keys: FIRST_CHUNK_KEYS, wanted, sent: 0 };
        stream.send(source, found, request_bytes_max)
    }

    /// The next chunk.
    pub(super) fn next(
        self,
        source: &Paced<'_>,
        request_bytes_max: usize,
    ) -> Result<(Chunk, State), Failure> {
        let found = Found::uncounted(source, &self.request, fewest(self.wanted, self.chunk_keys))?;
        self.send(source, found, request_bytes_max)
    }

    fn send(
        mut self,
        source: &Paced<'_>,
        found: Found,
        request_bytes_max: usize,
    ) -> Result<(Chunk, State), Failure> {
        self.sent += found.len();
        self.wanted = self.wanted.map(|wanted| wanted - found.len());
        let more = found.more;
        let next_key = found.last_key().map(successor);
        let mut body = Body::empty();
        found.write_keys(&mut body);
        self.adjust(body.len(), request_bytes_max);
        match next_key {
            Some(next_key) if more && self.wanted != Some(0) => {
                self.request.key = next_key;
                Ok((Chunk { header_revision: None, body }, State::InKeyOrder(self)))
            }
            next_key => {
                let left = if more { self.count_from(source, next_key)? } else { 0 };
                body.bool(3, more);
                body.int64(4, self.sent as i64 + left);
                Ok((Chunk { header_revision: Some(self.header_revision), body }, State::Finished))
            }
        }
    }

    fn adjust(&mut self, sent_bytes: usize, request_bytes_max: usize) {
        if sent_bytes < request_bytes_max / 2 {
            self.chunk_keys = self.chunk_keys.saturating_mul(2);
        } else if sent_bytes > request_bytes_max.saturating_mul(2) {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
    }

    fn count_from(&self, source: &Paced<'_>, next_key: Option<Bytes>) -> Result<i64, Failure> {
        let Some(key) = next_key else { return Ok(0) };
        let rest = RangeQuery::new(key_range(&key, &self.request.range_end)).at(self.request.revision);
        let rest = RangeQuery { count_only: true, ..rest };
        Ok(i64::try_from(source.range(&rest)?.count).expect("fewer keys than 2^63"))
    }
}

fn fewest(wanted: Option<usize>, chunk_keys: usize) -> usize {
    wanted.map_or(chunk_keys, |wanted| wanted.min(chunk_keys))
}
