//! Putting a value.

use proto::etcdserverpb as pb;

use super::answer::PutAnswer;
use super::key::IntoBytes;
use crate::call::{Attached, Detached, awaited};
use crate::number::LeaseId;

/// A value for a key: a call ([`Client::put`](crate::Client::put)) or an operation of a transaction ([`put`]).
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let lease = client.lease_grant(std::time::Duration::from_secs(10)).await?;
/// let answer = client.put("k", "v").lease(lease.id).prev_kv().await?;
/// println!("revision {}, before: {:?}", answer.header.revision, answer.prev_kv);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Put<S = Detached> {
    pub(crate) state: S,
    pub(crate) message: pb::PutRequest,
}

/// Returns the operation that puts a value.
pub fn put(key: impl IntoBytes, value: impl IntoBytes) -> Put {
    Put::new(Detached, key, value)
}

impl<S> Put<S> {
    pub(crate) fn new(state: S, key: impl IntoBytes, value: impl IntoBytes) -> Put<S> {
        let message =
            pb::PutRequest { key: key.into_bytes(), value: value.into_bytes(), ..Default::default() };
        Put { state, message }
    }

    /// Attaches the key to a lease: it is deleted when the lease ends. Without this, it is attached to none.
    pub fn lease(mut self, lease: impl Into<LeaseId>) -> Self {
        self.message.lease = lease.into().0;
        self
    }

    /// Asks for what was there before.
    pub fn prev_kv(mut self) -> Self {
        self.message.prev_kv = true;
        self
    }

    /// Leaves the value as it is; the one that was given must be empty. It fails if there is no such key.
    pub fn ignore_value(mut self) -> Self {
        self.message.ignore_value = true;
        self
    }

    /// Leaves the key attached to its lease. It fails if there is no such key.
    pub fn ignore_lease(mut self) -> Self {
        self.message.ignore_lease = true;
        self
    }
}

impl crate::Client {
    /// Puts a value. See [`Put`].
    pub fn put(&self, key: impl IntoBytes, value: impl IntoBytes) -> Put<Attached> {
        Put::new(Attached::new(self), key, value)
    }
}

awaited!(Put => PutAnswer, kv.put);
