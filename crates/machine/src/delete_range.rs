//! Deletes.

use mvcc::{Before, Item, Txn};
use proto::etcdserverpb::DeleteRangeRequest;

use crate::limits::{APPLY_READ_BYTES_MAX, APPLY_READ_KEYS_MAX};
use crate::outcome::Reading;
use crate::range::key_range;
use crate::txn::{Done, Report};
use crate::{Body, Machine, Outcome};

impl Machine {
    /// Applies a delete outside a transaction: one revision for all keys, none if there is no key.
    pub(crate) fn delete_range(&mut self, request: &DeleteRangeRequest, reading: Reading) -> Outcome {
        let mut txn = self.store.txn();
        let done = delete_range(&mut txn, request, reading);
        let changes = txn.commit();
        if let Some(changes) = &changes {
            self.leases.follow(changes);
        }
        self.reported(Report::One(done), changes)
    }
}

/// What a delete removed.
pub(crate) struct Deleted {
    pub(crate) count: usize,
    /// Filled only if the reply is to have them.
    pub(crate) previous: Vec<Item>,
}

/// Deletes within a transaction. What the reply is to say of the previous key-values is left for later unless all of it is in
/// memory, and not much.
pub(crate) fn delete_range(txn: &mut Txn<'_>, request: &DeleteRangeRequest, reading: Reading) -> Done {
    let range = key_range(&request.key, &request.range_end);
    let changes = txn.changes();
    let is_wanted = request.prev_kv && reading != Reading::Never;
    let mut previous = Previous { is_whole: !is_wanted || reading == Reading::Now, ..Previous::default() };
    let count = if is_wanted {
        txn.delete_range_seeing(&range, |before| previous.add(before))
    } else {
        txn.delete_range(&range)
    };
    let revision = txn.revision();
    if previous.is_whole || count == 0 {
        Done::Deleted(Deleted { count, previous: previous.items }, revision)
    } else {
        Done::DeletedLeft { range, changes, count, revision }
    }
}

/// Last versions of deleted keys, as far as they are in memory.
#[derive(Default)]
struct Previous {
    items: Vec<Item>,
    bytes: usize,
    is_whole: bool,
}

impl Previous {
    fn add(&mut self, before: &Before) {
        let item = before.item().filter(|_| self.is_whole && self.items.len() < APPLY_READ_KEYS_MAX);
        self.bytes += item.map_or(0, |item| item.encoded.len());
        match item.filter(|_| self.bytes <= APPLY_READ_BYTES_MAX) {
            Some(item) => self.items.push(item.clone()),
            None => *self = Self::default(),
        }
    }
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
