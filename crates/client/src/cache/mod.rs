//! A range of keys, kept in memory.
//!
//! [`Client::cache`](crate::Client::cache) reads a range in pages, all of them as of one revision, and then watches it
//! from the next revision on. So the cache is at every moment what the store was at some revision, and that revision only
//! grows.
//!
//! ```no_run
//! # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
//! use quorate_client::prefix;
//! let cache = client.cache(prefix("config/")).await?;
//! let color = cache.get("config/color").map(|kv| kv.value);
//! # let _ = color; Ok(()) }
//! ```
//!
//! # How old is it?
//!
//! * [`Cache::get`] and [`Cache::view`] answer from memory: what the store was a moment ago, or longer ago while the
//!   connection is lost. Several reads of one [`View`] are as of one revision.
//! * [`Cache::wait_until`] waits until the cache has come to a revision, for example to that of an own write.
//! * [`Cache::latest`] asks the cluster for its revision and waits until the cache is there: as a linearizable read, for
//!   the price of a read without an answer's keys.
//!
//! # What it survives
//!
//! A lost connection: the watch goes on at another member. A watch that would go on with history that is compacted: the
//! range is read again, what differs is taken over, and [`Changes`] reports the difference, as if it had been watched.
//! Anything else is tried again and again, and [`Cache::trouble`] says what it is. A cluster that was restored from a backup
//! is noticed by [`Cache::latest`], when its revision has gone back.
//!
//! # What it costs
//!
//! Records are packed in blocks of 4 kilobytes, where a key costs what differs from the key before it: all in all, it is
//! mostly *less* memory than the bytes of the keys and values (`examples/cache_memory.rs` measures it). Reading copies the
//! keys and values that are read. A change rewrites its block, in microseconds; one close to a value of a megabyte may
//! have to copy that.

mod block;
mod changes;
mod fill;
mod tree;
mod view;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use self::changes::{Changes, Subscription};
use self::fill::{Filling, State};
pub use self::view::{Change, View};
use crate::client::Client;
use crate::error::Error;
use crate::kv::{KeyRange, KeyValue};
use crate::number::Revision;

/// Keys of a page, unless the caller says otherwise.
const PAGE: usize = 1000;

/// How long a bookmark is waited for before it is asked for again: a little at first, then longer and longer.
const BOOKMARK_WAIT: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// A range of keys that is kept in memory, as it is in the store. See the [module](self).
///
/// It is cheap to clone. When the last clone is dropped, the watch ends.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    keys: KeyRange,
    state: watch::Receiver<State>,
    requests: Arc<Requests>,
    task: JoinHandle<()>,
}

/// What the task that fills a cache may be asked for.
#[derive(Debug, Default)]
struct Requests {
    bookmark: Notify,
    reload: Notify,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A cache that is to be filled. Awaiting it returns when everything was read once, and the watch has begun.
#[derive(Debug, Clone)]
#[must_use]
pub struct Fill {
    client: Client,
    keys: KeyRange,
    page: usize,
}

impl Client {
    /// Keeps a range of keys in memory. See [`cache`](mod@crate::cache).
    pub fn cache(&self, keys: impl Into<KeyRange>) -> Fill {
        Fill { client: self.clone(), keys: keys.into(), page: PAGE }
    }
}

impl Fill {
    /// Sets how many keys are read at once. Where values are large, fewer are better. 1000 by default.
    pub fn page(mut self, keys: usize) -> Fill {
        self.page = keys;
        self
    }
}

impl IntoFuture for Fill {
    type Output = Result<Cache, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Fill { client, keys, page } = self;
            let requests = Arc::new(Requests::default());
            let (filling, state) = Filling::new(client.clone(), keys.clone(), page, requests.clone());
            let watcher = filling.load().await?;
            let task = tokio::spawn(filling.run(watcher));
            Ok(Cache { inner: Arc::new(Inner { client, keys, state, requests, task }) })
        })
    }
}

impl Cache {
    /// Returns a key with its value, as of [`Cache::revision`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<KeyValue> {
        self.inner.state.borrow().view.get(key)
    }

    /// Returns everything, as of [`Cache::revision`].
    pub fn view(&self) -> View {
        self.inner.state.borrow().view.clone()
    }

    /// Returns the revision that the cache has come to.
    pub fn revision(&self) -> Revision {
        self.inner.state.borrow().view.revision
    }

    /// Returns the range that is kept.
    pub fn keys(&self) -> &KeyRange {
        &self.inner.keys
    }

    /// Returns why the cache cannot be filled at the moment. A connection that is lost and looked for is none.
    pub fn trouble(&self) -> Option<Error> {
        self.inner.state.borrow().trouble.clone()
    }

    /// Waits until the cache has come to a revision. Returns what it contains then.
    ///
    /// # Errors
    /// [`Error::Closed`] if the runtime is shut down. It waits as long as no member can be reached.
    pub async fn wait_until(&self, revision: impl Into<Revision>) -> Result<View, Error> {
        let revision = revision.into();
        let mut state = self.inner.state.clone();
        let [mut wait, longest] = BOOKMARK_WAIT;
        loop {
            if let Some(view) =
                Some(state.borrow_and_update().view.clone()).filter(|view| view.revision >= revision)
            {
                return Ok(view);
            }
            // If nothing changes in the range, only a bookmark says how far the watch is.
            self.inner.requests.bookmark.notify_one();
            match tokio::time::timeout(wait, state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Error::Closed),
                Err(_) => wait = (wait * 2).min(longest),
            }
        }
    }

    /// Returns what the cache contains once it has come to the present revision of the cluster: everything that was
    /// written before is in it.
    ///
    /// # Errors
    /// As any read.
    pub async fn latest(&self) -> Result<View, Error> {
        let known = self.revision();
        let answer = self.inner.client.get(self.inner.keys.start()).count_only().await?;
        let now = answer.header.revision;
        if now < known {
            // Another history: what is cached is not of it.
            self.inner.requests.reload.notify_one();
            let mut state = self.inner.state.clone();
            state.wait_for(|state| state.view.revision < known).await.map_err(|_| Error::Closed)?;
        }
        self.wait_until(now).await
    }

    /// Reports what changes from now on.
    pub fn changes(&self) -> Changes {
        self.changes_since(self.view())
    }

    /// Reports what changes after a view. `View::default()` is empty: with it, everything is reported first that the cache
    /// contains.
    pub fn changes_since(&self, view: View) -> Changes {
        Changes::new(self.inner.state.clone(), view)
    }

    /// Calls a function with each change from now on, in a task, until what is returned is dropped.
    pub fn on_change(&self, callback: impl FnMut(Revision, Change) + Send + 'static) -> Subscription {
        Subscription::new(self.changes(), callback)
    }
}
