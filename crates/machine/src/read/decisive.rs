//! Values on which it depends what a command writes: those that it compares, and those that it keeps.
//!
//! They are the only ones that are read while a command is applied, which no member can do without. So whoever is about to propose
//! the command reads them first: if one is damaged, the caller is told, and there is no command in the log that a member of which
//! the value is damaged can never apply.

use bytes::Bytes;
use mvcc::{KeyRange, RangeEnd, RangeQuery, ReadError, View};
use proto::etcdserverpb::compare::CompareTarget;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, TxnRequest};

use crate::range::key_range;

/// Keys that are read on the way of a request; more are left to a reader.
const FEW: usize = 8;
/// Keys of a range that are read at a time.
const CHUNK: usize = 64;

/// The keys whose values a command depends on.
#[derive(Debug, Clone, Default)]
pub struct Decisive(Vec<KeyRange>);

impl Decisive {
    /// Returns those of a put.
    #[must_use]
    pub fn of_put(request: &PutRequest) -> Self {
        let key = request.ignore_value.then(|| KeyRange::single(request.key.clone()));
        Self(key.into_iter().collect())
    }

    /// Returns those of a transaction, in both its branches.
    #[must_use]
    pub fn of_txn(request: &TxnRequest) -> Self {
        let mut found = Self::default();
        found.add(request);
        found
    }

    fn add(&mut self, request: &TxnRequest) {
        let by_value = request.compare.iter().filter(|compare| compare.target == CompareTarget::Value as i32);
        self.0.extend(by_value.map(|compare| key_range(&compare.key, &compare.range_end)));
        for operation in request.success.iter().chain(&request.failure) {
            match &operation.request {
                Some(Request::RequestPut(put)) => self.0.extend(Self::of_put(put).0),
                Some(Request::RequestTxn(nested)) => self.add(nested),
                Some(Request::RequestRange(_) | Request::RequestDeleteRange(_)) | None => {}
            }
        }
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them as ranges that a client asks for, for a check of permissions.
    pub fn requests(&self) -> impl Iterator<Item = DeleteRangeRequest> {
        self.0.iter().map(|KeyRange { start, end }| {
            let range_end = match end {
                RangeEnd::Single => Bytes::new(),
                RangeEnd::Before(end) => end.clone(),
                RangeEnd::Open => Bytes::from_static(b"\0"),
            };
            let key = if start.is_empty() { Bytes::from_static(b"\0") } else { start.clone() };
            DeleteRangeRequest { key, range_end, prev_kv: false }
        })
    }

    /// Returns whether they are few enough to be read where others wait.
    #[must_use]
    pub fn are_few(&self) -> bool {
        self.0.len() <= FEW && self.0.iter().all(|range| range.end == RangeEnd::Single)
    }

    /// Reads them.
    ///
    /// # Errors
    /// Those of the disk: the command cannot be applied here.
    pub fn read(&self, view: &View) -> Result<(), ReadError> {
        for range in &self.0 {
            if range.end == RangeEnd::Single {
                view.get(&range.start)?;
                continue;
            }
            let mut chunks = view.chunks(RangeQuery::new(range.clone()))?;
            loop {
                match chunks.next_chunk(CHUNK) {
                    Ok(Some(_)) => {}
                    // What is compacted meanwhile was read well enough.
                    Ok(None) | Err(ReadError::Compacted(_)) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
