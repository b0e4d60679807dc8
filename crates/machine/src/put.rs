//! Puts.

use bytes::Bytes;
use mvcc::{Item, LeaseId, Txn};
use proto::etcdserverpb::PutRequest;

use crate::lease::Leases;
use crate::source::Failure;
use crate::{Body, Machine, Outcome, Rejection, Reply};

impl Machine {
    /// Applies a put outside a transaction.
    pub(crate) fn put(&mut self, request: &PutRequest) -> Result<Outcome, Failure> {
        check_lease(&self.leases, request)?;
        let mut txn = self.store.txn();
        let previous = put(&mut txn, request)?;
        let changes = txn.commit().expect("a put always changes its key");
        self.leases.follow(&changes);
        let mut body = Body::empty();
        write_response(&mut body, previous);
        Ok(Outcome::changed(Reply { revision: changes.revision, body }, Some(changes)))
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

/// Puts the key within a transaction. Returns what the reply is to say of the previous key-value.
pub(crate) fn put(txn: &mut Txn<'_>, request: &PutRequest) -> Result<Option<Item>, Failure> {
    let (value, lease) = kept_or_given(txn, request)?;
    let previous = txn.put(request.key.clone(), value, lease)?;
    Ok(if request.prev_kv { previous } else { None })
}

/// The value and lease to write: those of the request, or where it says so, those that the key has.
fn kept_or_given(txn: &Txn<'_>, request: &PutRequest) -> Result<(Bytes, LeaseId), Failure> {
    if !request.ignore_value && !request.ignore_lease {
        return Ok((request.value.clone(), LeaseId(request.lease)));
    }
    let kept = txn.get(&request.key)?.ok_or(Rejection::KeyNotFound)?;
    let value = if request.ignore_value { kept.value() } else { request.value.clone() };
    let lease = if request.ignore_lease { kept.meta.lease } else { LeaseId(request.lease) };
    Ok((value, lease))
}

/// Appends the fields of a `PutResponse` but its header.
pub(crate) fn write_response(body: &mut Body, previous: Option<Item>) {
    if let Some(previous) = previous {
        body.field(2, previous.encoded);
    }
}
