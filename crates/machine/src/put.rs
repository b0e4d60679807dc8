//! Puts.

use bytes::Bytes;
use mvcc::{Before, Item, LeaseId, Txn};
use proto::etcdserverpb::PutRequest;

use crate::lease::Leases;
use crate::outcome::Reading;
use crate::source::Failure;
use crate::txn::{Done, Report};
use crate::{Body, Machine, Outcome, Rejection};

impl Machine {
    /// Applies a put outside a transaction.
    pub(crate) fn put(&mut self, request: &PutRequest, reading: Reading) -> Result<Outcome, Failure> {
        check_lease(&self.leases, request)?;
        let mut txn = self.store.txn();
        let done = put(&mut txn, request, reading)?;
        let changes = txn.commit().expect("a put always changes its key");
        self.leases.follow(&changes);
        Ok(self.reported(Report::One(done), Some(changes)))
    }
}

/// A lease that is named must exist. Checked before the key, as in etcd.
pub(crate) fn check_lease(leases: &Leases, request: &PutRequest) -> Result<(), Rejection> {
    if request.lease == 0 || leases.contains(LeaseId(request.lease)) {
        Ok(())
    } else {
        Err(Rejection::LeaseNotFound)
    }
}

/// Puts the key within a transaction. What the reply is to say of the previous key-value is left for later unless it is in
/// memory.
pub(crate) fn put(txn: &mut Txn<'_>, request: &PutRequest, reading: Reading) -> Result<Done, Failure> {
    let (value, lease) = kept_or_given(txn, request)?;
    let changes = txn.changes();
    let previous = txn.put(request.key.clone(), value, lease);
    if !request.prev_kv || reading == Reading::Never {
        return Ok(Done::Put(None));
    }
    Ok(match previous {
        Before::Nothing => Done::Put(None),
        Before::Item(item) if reading == Reading::Now => Done::Put(Some(item)),
        Before::Item(_) | Before::Stored(_) | Before::Lost(_) => Done::PutLeft(request.key.clone(), changes),
    })
}

/// The value and lease to write: those of the request, or where it says so, those that the key has.
fn kept_or_given(txn: &Txn<'_>, request: &PutRequest) -> Result<(Bytes, LeaseId), Failure> {
    if !request.ignore_value && !request.ignore_lease {
        return Ok((request.value.clone(), LeaseId(request.lease)));
    }
    let kept = txn.meta(&request.key).ok_or(Rejection::KeyNotFound)?;
    let lease = if request.ignore_lease { kept.lease } else { LeaseId(request.lease) };
    if !request.ignore_value {
        return Ok((request.value.clone(), lease));
    }
    // The one value that a put needs to know.
    let kept = txn.get(&request.key)?.ok_or(Rejection::KeyNotFound)?;
    Ok((kept.value(), lease))
}

/// Appends the fields of a `PutResponse` but its header.
pub(crate) fn write_response(body: &mut Body, previous: Option<Item>) {
    if let Some(previous) = previous {
        body.field(2, previous.encoded);
    }
}
