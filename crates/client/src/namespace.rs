//! A part of the key space as if it were the whole.
//!
//! The keys of what is asked get a prefix, and those of what is answered lose it. Builders are the same as the client's,
//! in a state of their own ([`Within`]).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::request_op::Request;

use crate::call::Attached;
use crate::client::Client;
use crate::error::Error;
use crate::kv::{
    Delete, DeleteAnswer, Get, GetAnswer, IntoBytes, KeyRange, KeyValue, Pages, Put, PutAnswer, Rows, prefix,
};
use crate::lease::TimeToLiveAnswer;
use crate::number::{LeaseId, Revision};
use crate::txn::{OpAnswer, Txn, TxnAnswer};
use crate::watch::{Event, Update, Watch, Watcher};

/// A view of a client in which every key has a prefix that callers do not see. It keeps apart what shares a cluster; it
/// protects nobody from anybody, which is what roles are for.
///
/// Leases have no keys: those of the client are used. Recipes take names: [`Namespace::key`] makes one.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::prefix;
/// let app = client.namespace("apps/shop/");
/// app.put("config/color", "blue").await?; // apps/shop/config/color
/// for kv in app.get(prefix("config/")).await? {
///     println!("{}", kv.key_str()); // config/color
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Namespace {
    client: Client,
    prefix: Bytes,
}

/// The state of a builder that is a call in a namespace.
#[derive(Debug, Clone)]
pub struct Within {
    call: Attached,
    prefix: Bytes,
}

impl Client {
    /// Returns a view in which every key has this prefix. See [`Namespace`].
    pub fn namespace(&self, prefix: impl IntoBytes) -> Namespace {
        Namespace { client: self.clone(), prefix: prefix.into_bytes() }
    }
}

impl Namespace {
    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the prefix.
    pub fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// Returns a key of the namespace as it is in the store.
    pub fn key(&self, key: impl IntoBytes) -> Bytes {
        join(&self.prefix, &key.into_bytes())
    }

    /// Returns the view in which every key has a further prefix.
    pub fn namespace(&self, prefix: impl IntoBytes) -> Namespace {
        Namespace { client: self.client.clone(), prefix: self.key(prefix) }
    }

    /// Reads a key or a range of keys. See [`Get`].
    pub fn get(&self, keys: impl Into<KeyRange>) -> Get<Within> {
        Get::new(self.within(), keys.into())
    }

    /// Puts a value. See [`Put`].
    pub fn put(&self, key: impl IntoBytes, value: impl IntoBytes) -> Put<Within> {
        Put::new(self.within(), key, value)
    }

    /// Deletes a key or a range of keys. See [`Delete`].
    pub fn delete(&self, keys: impl Into<KeyRange>) -> Delete<Within> {
        Delete::new(self.within(), keys.into())
    }

    /// Begins a transaction. See [`Txn`].
    pub fn txn(&self) -> Txn<Within> {
        Txn { state: self.within(), message: pb::TxnRequest::default() }
    }

    /// Watches a key or a range of keys. See [`Watch`].
    pub fn watch(&self, keys: impl Into<KeyRange>) -> NamespaceWatch {
        let watch = self.client.watch(self.range(keys.into()));
        NamespaceWatch { watch, prefix: self.prefix.clone() }
    }

    /// Asks what is left of a lease, and which of its keys are in the namespace.
    ///
    /// # Errors
    /// As any read.
    pub async fn lease_keys(&self, lease: impl Into<LeaseId>) -> Result<TimeToLiveAnswer, Error> {
        let mut answer = self.client.lease_time_to_live(lease).keys().await?;
        answer.keys.retain(|key| key.starts_with(&self.prefix));
        answer.keys.iter_mut().for_each(|key| strip(&self.prefix, key));
        Ok(answer)
    }

    fn within(&self) -> Within {
        Within { call: Attached::new(&self.client), prefix: self.prefix.clone() }
    }

    fn range(&self, keys: KeyRange) -> KeyRange {
        let KeyRange { mut key, mut end } = keys;
        widen(&self.prefix, &mut key, &mut end);
        KeyRange { key, end }
    }
}

fn join(prefix: &[u8], key: &[u8]) -> Bytes {
    [prefix, key].concat().into()
}

/// Moves a range into the namespace. One without an end ends where the namespace does. The empty key, which members
/// refuse, stays what it is.
fn widen(namespace: &Bytes, key: &mut Bytes, end: &mut Bytes) {
    if key.is_empty() {
        return;
    }
    if &end[..] == b"\0" {
        *end = prefix(namespace).end;
    } else if !end.is_empty() {
        *end = join(namespace, end);
    }
    // A range of all keys begins with the least key that is not empty. In a namespace, the empty key is one.
    let is_from_least = !end.is_empty() && &key[..] == b"\0";
    *key = if is_from_least && !namespace.is_empty() { namespace.clone() } else { join(namespace, key) };
}

fn strip(prefix: &Bytes, key: &mut Bytes) {
    if key.starts_with(prefix) {
        *key = key.slice(prefix.len()..);
    }
}

/// A request that can be moved into a namespace.
trait Widen {
    fn widen(&mut self, prefix: &Bytes);
}

/// An answer that can be taken out of a namespace.
trait Strip {
    fn strip(&mut self, prefix: &Bytes);
}

impl Widen for pb::RangeRequest {
    fn widen(&mut self, prefix: &Bytes) {
        widen(prefix, &mut self.key, &mut self.range_end);
    }
}

impl Widen for pb::PutRequest {
    fn widen(&mut self, prefix: &Bytes) {
        widen(prefix, &mut self.key, &mut Bytes::new());
    }
}

impl Widen for pb::DeleteRangeRequest {
    fn widen(&mut self, prefix: &Bytes) {
        widen(prefix, &mut self.key, &mut self.range_end);
    }
}

impl Widen for pb::TxnRequest {
    fn widen(&mut self, prefix: &Bytes) {
        for condition in &mut self.compare {
            widen(prefix, &mut condition.key, &mut condition.range_end);
        }
        for operation in self.success.iter_mut().chain(&mut self.failure) {
            match &mut operation.request {
                Some(Request::RequestRange(range)) => range.widen(prefix),
                Some(Request::RequestPut(put)) => put.widen(prefix),
                Some(Request::RequestDeleteRange(delete)) => delete.widen(prefix),
                Some(Request::RequestTxn(txn)) => txn.widen(prefix),
                None => {}
            }
        }
    }
}

impl Strip for KeyValue {
    fn strip(&mut self, prefix: &Bytes) {
        strip(prefix, &mut self.key);
    }
}

impl Strip for GetAnswer {
    fn strip(&mut self, prefix: &Bytes) {
        self.kvs.iter_mut().for_each(|kv| kv.strip(prefix));
    }
}

impl Strip for PutAnswer {
    fn strip(&mut self, prefix: &Bytes) {
        self.prev_kv.iter_mut().for_each(|kv| kv.strip(prefix));
    }
}

impl Strip for DeleteAnswer {
    fn strip(&mut self, prefix: &Bytes) {
        self.prev_kvs.iter_mut().for_each(|kv| kv.strip(prefix));
    }
}

impl Strip for TxnAnswer {
    fn strip(&mut self, prefix: &Bytes) {
        for answer in &mut self.answers {
            match answer {
                OpAnswer::Get(get) => get.strip(prefix),
                OpAnswer::Put(put) => put.strip(prefix),
                OpAnswer::Delete(delete) => delete.strip(prefix),
                OpAnswer::Txn(txn) => txn.strip(prefix),
            }
        }
    }
}

impl Strip for Event {
    fn strip(&mut self, prefix: &Bytes) {
        self.kv.strip(prefix);
        self.prev_kv.iter_mut().for_each(|kv| kv.strip(prefix));
    }
}

/// Makes a builder a call in a namespace.
macro_rules! within {
    ($builder:ident => $answer:ty) => {
        impl $builder<Within> {
            /// Sets how long the call may take, its repetitions included.
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.state.call.timeout = Some(timeout);
                self
            }

            /// Returns the call to the whole store, and the prefix of the keys of its answer.
            fn leave(mut self) -> ($builder<Attached>, Bytes) {
                let Within { call, prefix } = self.state;
                self.message.widen(&prefix);
                ($builder { state: call, message: self.message }, prefix)
            }
        }

        impl IntoFuture for $builder<Within> {
            type Output = Result<$answer, Error>;
            type IntoFuture = BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                let (call, prefix) = self.leave();
                Box::pin(async move {
                    let mut answer = call.await?;
                    answer.strip(&prefix);
                    Ok(answer)
                })
            }
        }
    };
}

within!(Get => GetAnswer);
within!(Put => PutAnswer);
within!(Delete => DeleteAnswer);
within!(Txn => TxnAnswer);

impl Get<Within> {
    /// Reads in pages. See [`Pages`].
    pub fn page(self, keys: usize) -> NamespacePages {
        let (get, prefix) = self.leave();
        NamespacePages { pages: get.page(keys), prefix }
    }

    /// Reads key by key as they come. See [`Rows`].
    pub fn stream(self) -> NamespaceRows {
        let (get, prefix) = self.leave();
        NamespaceRows { rows: get.stream(), prefix }
    }
}

/// [`Pages`] of a namespace.
#[derive(Debug)]
pub struct NamespacePages {
    pages: Pages,
    prefix: Bytes,
}

impl NamespacePages {
    /// Returns the next page, and `None` after the last one.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, Error> {
        let mut page = self.pages.next().await?;
        page.iter_mut().flatten().for_each(|kv| kv.strip(&self.prefix));
        Ok(page)
    }

    /// Returns the revision that all pages are of, once the first one was read.
    pub fn revision(&self) -> Option<Revision> {
        self.pages.revision()
    }
}

/// [`Rows`] of a namespace.
#[derive(Debug)]
pub struct NamespaceRows {
    rows: Rows,
    prefix: Bytes,
}

impl Stream for NamespaceRows {
    type Item = Result<KeyValue, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut item = ready!(Pin::new(&mut self.rows).poll_next(context));
        if let Some(Ok(kv)) = &mut item {
            kv.strip(&self.prefix);
        }
        Poll::Ready(item)
    }
}

/// A [`Watch`] in a namespace that is to begin.
#[derive(Debug, Clone)]
#[must_use]
pub struct NamespaceWatch {
    watch: Watch,
    prefix: Bytes,
}

impl NamespaceWatch {
    /// As [`Watch::from_revision`].
    pub fn from_revision(mut self, revision: impl Into<Revision>) -> NamespaceWatch {
        self.watch = self.watch.from_revision(revision);
        self
    }

    /// As [`Watch::prev_kv`].
    pub fn prev_kv(mut self) -> NamespaceWatch {
        self.watch = self.watch.prev_kv();
        self
    }

    /// As [`Watch::bookmarks`].
    pub fn bookmarks(mut self) -> NamespaceWatch {
        self.watch = self.watch.bookmarks();
        self
    }

    /// As [`Watch::no_put`].
    pub fn no_put(mut self) -> NamespaceWatch {
        self.watch = self.watch.no_put();
        self
    }

    /// As [`Watch::no_delete`].
    pub fn no_delete(mut self) -> NamespaceWatch {
        self.watch = self.watch.no_delete();
        self
    }
}

impl IntoFuture for NamespaceWatch {
    type Output = Result<NamespaceWatcher, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(NamespaceWatcher { watcher: self.watch.await?, prefix: self.prefix }) })
    }
}

/// A [`Watcher`] of a namespace.
#[derive(Debug)]
pub struct NamespaceWatcher {
    watcher: Watcher,
    prefix: Bytes,
}

impl NamespaceWatcher {
    /// Returns the next update; `None` after an error.
    #[allow(clippy::should_implement_trait, reason = "the name that streams have, without a trait to import")]
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the revision that the watch begins with.
    pub fn start(&self) -> Revision {
        self.watcher.start()
    }

    /// As [`Watcher::request_bookmark`].
    pub fn request_bookmark(&self) {
        self.watcher.request_bookmark();
    }
}

impl Stream for NamespaceWatcher {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut item = ready!(Pin::new(&mut self.watcher).poll_next(context));
        if let Some(Ok(update)) = &mut item {
            update.events.iter_mut().for_each(|event| event.strip(&self.prefix));
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{all, from_key, range};

    #[test]
    fn ranges_stay_inside_of_the_namespace() {
        let (a, b) = (Bytes::from("a/"), Bytes::from("a0"));
        for (keys, start, end) in [
            ("k".into(), &b"a/k"[..], &b""[..]),
            (range("k", "m"), b"a/k", b"a/m"),
            (prefix("k"), b"a/k", b"a/l"),
            (from_key("k"), b"a/k", &b),
            (all(), &a, &b),
            (prefix(""), &a, &b),
            (prefix(b"\xff"), b"a/\xff", &b),
        ] {
            let KeyRange { mut key, end: mut range_end } = keys;
            widen(&a, &mut key, &mut range_end);
            assert_eq!((&key[..], &range_end[..]), (start, end));
        }
    }
}
