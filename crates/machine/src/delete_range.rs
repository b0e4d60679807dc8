//! Deletes.

use mvcc::{Item, Txn};
use proto::etcdserverpb::DeleteRangeRequest;

use crate::range::key_range;
use crate::source::Failure;
use crate::{Body, Machine, Outcome, Reply};

impl Machine {
    /// Applies a delete outside a transaction: one revision for all keys, none if there is no key.
    pub(crate) fn delete_range(&mut self, request: &DeleteRangeRequest) -> Result<Outcome, Failure> {
        let mut txn = self.store.txn();
        let deleted = delete_range(&mut txn, request)?;
        let changes = txn.commit();
        if let Some(changes) = &changes {
            self.leases.follow(changes);
        }
        let mut body = Body::empty();
        deleted.write_response(&mut body);
        Ok(Outcome::changed(Reply { revision: self.store.revision(), body }, changes))
    }
}

/// What a delete removed.
pub(crate) struct Deleted {
    count: usize,
    /// Filled only if the reply is to have them.
    previous: Vec<Item>,
}

/// Deletes within a transaction.
pub(crate) fn delete_range(txn: &mut Txn<'_>, request: &DeleteRangeRequest) -> Result<Deleted, Failure> {
    let deleted = txn.delete_range(&key_range(&request.key, &request.range_end))?;
    let count = deleted.len();
    Ok(Deleted { count, previous: if request.prev_kv { deleted } else { Vec::new() } })
}

impl Deleted {
    /// Appends the fields of a `DeleteRangeResponse` but its header.
    pub(crate) fn write_response(self, body: &mut Body) {
        body.int64(2, self.count as i64);
        for item in self.previous {
            body.field(3, item.encoded);
        }
    }
}
