//! Deleting keys.

use proto::etcdserverpb as pb;

use super::answer::DeleteAnswer;
use super::key::KeyRange;
use crate::call::{Attached, Detached, awaited};

/// The end of a key or of a range of keys: a call ([`Client::delete`](crate::Client::delete)) or an operation of a
/// transaction ([`delete`]).
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::prefix;
/// let answer = client.delete(prefix("/jobs/")).prev_kv().await?;
/// println!("{} keys are gone", answer.deleted);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Delete<S = Detached> {
    pub(crate) state: S,
    pub(crate) message: pb::DeleteRangeRequest,
}

/// Returns the operation that deletes keys.
pub fn delete(keys: impl Into<KeyRange>) -> Delete {
    Delete::new(Detached, keys.into())
}

impl<S> Delete<S> {
    pub(crate) fn new(state: S, keys: KeyRange) -> Delete<S> {
        let message = pb::DeleteRangeRequest { key: keys.key, range_end: keys.end, prev_kv: false };
        Delete { state, message }
    }

    /// Asks for what was there before.
    pub fn prev_kv(mut self) -> Self {
        self.message.prev_kv = true;
        self
    }
}

impl crate::Client {
    /// Deletes a key or a range of keys. See [`Delete`].
    pub fn delete(&self, keys: impl Into<KeyRange>) -> Delete<Attached> {
        Delete::new(Attached::new(self), keys.into())
    }
}

awaited!(Delete => DeleteAnswer, kv.delete_range);
