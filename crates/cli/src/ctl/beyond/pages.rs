//! Reading many keys: page by page, all at one revision, none of them ever whole in memory.

use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;
use proto::mvccpb::KeyValue;

use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::range::{ZERO, prefix_end};

/// How many keys the first page has. Nothing is known of the size of their values yet.
const KEYS_FIRST: i64 = 64;

/// How many keys a page has at most: etcd holds a page in memory twice.
const KEYS_MAX: i64 = 4096;

/// A page that is smaller is followed by one of twice as many keys.
const BYTES_SMALL: usize = 256 * 1024;

/// A page that is bigger is followed by one of half as many keys.
const BYTES_BIG: usize = 2 * 1024 * 1024;

/// What of a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Keys with their values.
    Values,
    /// Keys alone.
    Keys,
}

/// The keys with a prefix at one revision.
pub struct Pages<'a> {
    session: &'a Session,
    request: RangeRequest,
    done: bool,
    count: i64,
}

impl<'a> Pages<'a> {
    /// Returns the pages of a prefix (empty: all keys) at a revision; 0 is the newest one.
    pub fn of(session: &'a Session, prefix: &[u8], revision: i64, content: Content) -> Pages<'a> {
        let key = if prefix.is_empty() { ZERO } else { Bytes::copy_from_slice(prefix) };
        let request = RangeRequest {
            key,
            range_end: prefix_end(prefix),
            revision,
            limit: KEYS_FIRST,
            keys_only: content == Content::Keys,
            ..RangeRequest::default()
        };
        Pages { session, request, done: false, count: 0 }
    }

    /// Returns the next page, or `None` after the last one.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, Failure> {
        if self.done {
            return Ok(None);
        }
        let request = self.request.clone();
        let limit = request.limit;
        let answer = self.session.answer(self.session.kv().range(request)).await?;
        if self.request.revision == 0 {
            self.request.revision = answer.header.map(|header| header.revision).unwrap_or_default();
        }
        if self.count == 0 {
            self.count = answer.count;
        }
        self.done = !answer.more;
        if let Some(last) = answer.kvs.last() {
            self.request.key = [&last.key[..], b"\0"].concat().into();
        }
        let bytes: usize = answer.kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        self.request.limit = match bytes {
            bytes if bytes > BYTES_BIG => (limit / 2).max(1),
            bytes if bytes < BYTES_SMALL => (limit * 2).min(KEYS_MAX),
            _ => limit,
        };
        Ok(Some(answer.kvs))
    }

    /// Returns the revision that is read, once there was a page.
    pub fn revision(&self) -> i64 {
        self.request.revision
    }

    /// Returns how many keys there are, once there was a page.
    pub fn count(&self) -> i64 {
        self.count
    }
}

/// Returns a key at a revision (0 is the newest one), and the newest revision.
///
/// # Errors
/// When the server refuses, or does not answer in time.
pub async fn key_at(
    session: &Session,
    key: &Bytes,
    revision: i64,
) -> Result<(Option<KeyValue>, i64), Failure> {
    let request = RangeRequest { key: key.clone(), revision, ..RangeRequest::default() };
    let answer = session.answer(session.kv().range(request)).await?;
    Ok((answer.kvs.into_iter().next(), answer.header.map(|header| header.revision).unwrap_or_default()))
}
