//! Reading keys.

use proto::etcdserverpb as pb;

use super::answer::GetAnswer;
use super::key::KeyRange;
use super::pages::Pages;
use super::stream::Rows;
use crate::call::{Attached, Detached, awaited};
use crate::number::Revision;

/// A read: a call ([`Client::get`](crate::Client::get)) or an operation of a transaction ([`get`]).
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::{Order, SortBy, prefix};
/// for kv in client.get(prefix("/a")).sort(SortBy::ModRevision, Order::Descending).limit(10).await? {
///     println!("{} = {}", kv.key_str(), kv.value_str());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Get<S = Detached> {
    pub(crate) state: S,
    pub(crate) message: pb::RangeRequest,
}

/// What keys are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// The key.
    Key,
    /// How often it was put.
    Version,
    /// The revision that created it.
    CreateRevision,
    /// The revision that last changed it.
    ModRevision,
    /// The value.
    Value,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The least first.
    Ascending,
    /// The greatest first.
    Descending,
}

/// Returns the operation that reads keys.
pub fn get(keys: impl Into<KeyRange>) -> Get {
    Get::new(Detached, keys.into())
}

impl<S> Get<S> {
    pub(crate) fn new(state: S, keys: KeyRange) -> Get<S> {
        let message = pb::RangeRequest { key: keys.key, range_end: keys.end, ..Default::default() };
        Get { state, message }
    }

    /// Returns at most so many keys. 0: all.
    pub fn limit(mut self, limit: usize) -> Self {
        self.message.limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self
    }

    /// Reads the state as it was at a revision.
    pub fn revision(mut self, revision: impl Into<Revision>) -> Self {
        self.message.revision = revision.into().0;
        self
    }

    /// Lets the member answer from what it has, which may be old. It then answers without a quorum.
    pub fn serializable(mut self) -> Self {
        self.message.serializable = true;
        self
    }

    /// Leaves the values out.
    pub fn keys_only(mut self) -> Self {
        self.message.keys_only = true;
        self
    }

    /// Asks for nothing but [`GetAnswer::count`].
    pub fn count_only(mut self) -> Self {
        self.message.count_only = true;
        self
    }

    /// Sorts.
    pub fn sort(mut self, by: SortBy, order: Order) -> Self {
        let target = match by {
            SortBy::Key => pb::range_request::SortTarget::Key,
            SortBy::Version => pb::range_request::SortTarget::Version,
            SortBy::CreateRevision => pb::range_request::SortTarget::Create,
            SortBy::ModRevision => pb::range_request::SortTarget::Mod,
            SortBy::Value => pb::range_request::SortTarget::Value,
        };
        let order = match order {
            Order::Ascending => pb::range_request::SortOrder::Ascend,
            Order::Descending => pb::range_request::SortOrder::Descend,
        };
        (self.message.sort_target, self.message.sort_order) = (target.into(), order.into());
        self
    }

    /// Leaves out what was last changed before a revision.
    pub fn min_mod_revision(mut self, revision: impl Into<Revision>) -> Self {
        self.message.min_mod_revision = revision.into().0;
        self
    }

    /// Leaves out what was last changed after a revision.
    pub fn max_mod_revision(mut self, revision: impl Into<Revision>) -> Self {
        self.message.max_mod_revision = revision.into().0;
        self
    }

    /// Leaves out what was created before a revision.
    pub fn min_create_revision(mut self, revision: impl Into<Revision>) -> Self {
        self.message.min_create_revision = revision.into().0;
        self
    }

    /// Leaves out what was created after a revision.
    pub fn max_create_revision(mut self, revision: impl Into<Revision>) -> Self {
        self.message.max_create_revision = revision.into().0;
        self
    }
}

impl Get<Attached> {
    /// Reads in pages of so many keys, all of them as of one revision: for ranges that are too large for one answer. See
    /// [`Pages`].
    pub fn page(self, keys: usize) -> Pages {
        Pages::new(self, keys)
    }

    /// Reads key by key as they come, all of them as of one revision: for ranges that are too large for one answer. See
    /// [`Rows`].
    pub fn stream(self) -> Rows {
        Rows::new(self)
    }
}

impl crate::Client {
    /// Reads a key or a range of keys. See [`Get`].
    pub fn get(&self, keys: impl Into<KeyRange>) -> Get<Attached> {
        Get::new(Attached::new(self), keys.into())
    }
}

awaited!(Get => GetAnswer, kv.range);
