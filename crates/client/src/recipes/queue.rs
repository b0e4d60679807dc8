//! Queues.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{is_passing, under};
use crate::call::Attached;
use crate::client::Client;
use crate::error::Error;
use crate::kv::{Get, GetAnswer, IntoBytes, KeyRange, KeyValue, Order, SortBy, delete, prefix, put};
use crate::number::Revision;
use crate::random;
use crate::retry;
use crate::txn::{missing, mod_revision};

/// Digits of a priority in a key.
const PRIORITY_DIGITS: usize = 5;

/// A read of what comes next.
type Reading = BoxFuture<'static, Result<GetAnswer, Error>>;

/// A queue: first in, first out.
///
/// Each item is handed out **at most once**: it is deleted by whoever takes it. A consumer that dies with an item in its
/// hands loses the item, and so does one whose [`Queue::pop`] fails with
/// [`Outcome::Unknown`](crate::Outcome::Unknown). Work that must be done at least once is better kept under a key until it
/// is done, with a [`Mutex`](super::Mutex) on it.
///
/// It is a queue for hundreds of items a second, not for a message broker: each item is a transaction through consensus.
/// The queue of etcd's recipes has the same keys, `<name>/<something unique>`, and the same order.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let queue = client.queue("mails");
/// queue.push("to: ann").await?;
/// let item = queue.pop().await?;
/// assert_eq!(item.value, "to: ann");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    name: Bytes,
}

/// What was taken from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its key, which is deleted.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The revision that put it: greater than that of every item before it.
    pub revision: Revision,
}

impl Client {
    /// Returns the queue of a name. See [`Queue`].
    pub fn queue(&self, name: impl IntoBytes) -> Queue {
        Queue { client: self.clone(), name: name.into_bytes() }
    }

    /// Returns the queue of a name whose items have priorities. See [`PriorityQueue`].
    pub fn priority_queue(&self, name: impl IntoBytes) -> PriorityQueue {
        PriorityQueue { client: self.clone(), name: name.into_bytes() }
    }
}

impl Queue {
    /// Adds an item at the end. Returns its revision.
    ///
    /// # Errors
    /// As any write: after [`Outcome::Unknown`](crate::Outcome::Unknown) the item may be in the queue.
    pub async fn push(&self, value: impl IntoBytes) -> Result<Revision, Error> {
        add(&self.client, &self.name, value.into_bytes()).await
    }

    /// Takes the first item; `None` if there is none.
    ///
    /// # Errors
    /// As any write: after [`Outcome::Unknown`](crate::Outcome::Unknown) an item may be lost.
    pub async fn try_pop(&self) -> Result<Option<Item>, Error> {
        Ok(try_take(&self.client, || self.oldest()).await?.ok())
    }

    /// Takes the first item, once there is one.
    ///
    /// # Errors
    /// As [`Queue::try_pop`].
    pub async fn pop(&self) -> Result<Item, Error> {
        take(&self.client, &self.range(), || self.oldest()).await
    }

    fn range(&self) -> KeyRange {
        prefix(under(&self.name, ""))
    }

    fn oldest(&self) -> Reading {
        oldest(&self.client, self.range()).into_future()
    }
}

/// A queue whose items have priorities: the lowest number first, and among equals first in, first out. What [`Queue`] says
/// of deliveries holds here, too.
///
/// The keys are `<name>/<priority in five digits>/<something unique>`.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let queue = client.priority_queue("jobs");
/// queue.push(9, "sweep the floor").await?;
/// queue.push(1, "put out the fire").await?;
/// assert_eq!(queue.pop().await?.value, "put out the fire");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct PriorityQueue {
    client: Client,
    name: Bytes,
}

impl PriorityQueue {
    /// Adds an item after those of its priority. Returns its revision.
    ///
    /// # Errors
    /// As [`Queue::push`].
    pub async fn push(&self, priority: u16, value: impl IntoBytes) -> Result<Revision, Error> {
        let name = under(&self.name, format!("{priority:0PRIORITY_DIGITS$}"));
        add(&self.client, &name, value.into_bytes()).await
    }

    /// Takes the first item; `None` if there is none.
    ///
    /// # Errors
    /// As [`Queue::try_pop`].
    pub async fn try_pop(&self) -> Result<Option<Item>, Error> {
        Ok(try_take(&self.client, || self.first()).await?.ok())
    }

    /// Takes the first item, once there is one.
    ///
    /// # Errors
    /// As [`Queue::try_pop`].
    pub async fn pop(&self) -> Result<Item, Error> {
        take(&self.client, &self.range(), || self.first()).await
    }

    fn range(&self) -> KeyRange {
        prefix(under(&self.name, ""))
    }

    /// Reads the oldest item of the lowest number.
    fn first(&self) -> Reading {
        let (client, range, name) = (self.client.clone(), self.range(), under(&self.name, ""));
        Box::pin(async move {
            let lowest = client.get(range).sort(SortBy::Key, Order::Ascending).limit(1).keys_only().await?;
            let Some(kv) = lowest.first() else { return Ok(lowest) };
            let digits = name.len() + PRIORITY_DIGITS + 1;
            oldest(&client, prefix(kv.key.slice(..digits.min(kv.key.len())))).await
        })
    }
}

fn oldest(client: &Client, range: KeyRange) -> Get<Attached> {
    client.get(range).sort(SortBy::ModRevision, Order::Ascending).limit(1)
}

/// Returns what no other item is named: the time, for whoever looks at the keys, and something random.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:016x}", now.as_nanos(), random::number())
}

/// Puts an item under a fresh key.
async fn add(client: &Client, name: &[u8], value: Bytes) -> Result<Revision, Error> {
    loop {
        let key = under(name, unique());
        let answer = client.txn().when([missing(&key)]).then([put(&key, &value)]).await?;
        if answer.succeeded {
            return Ok(answer.header.revision);
        }
    }
}

/// Takes what a read finds first. If it finds nothing: returns as of which revision.
async fn try_take(client: &Client, first: impl Fn() -> Reading) -> Result<Result<Item, Revision>, Error> {
    let mut round = 0;
    loop {
        let answer = first().await?;
        let Some(kv) = answer.kvs.into_iter().next() else { return Ok(Err(answer.header.revision)) };
        let KeyValue { key, value, mod_revision: revision, .. } = kv;
        let is_there = mod_revision(&key).eq(revision);
        if client.txn().when([is_there]).then([delete(&key)]).await?.succeeded {
            return Ok(Ok(Item { key, value, revision }));
        }
        // Somebody else was faster. The more there are, the longer the pause.
        tokio::time::sleep(retry::pause(round) / 8).await;
        round += 1;
    }
}

async fn take(client: &Client, range: &KeyRange, first: impl Fn() -> Reading) -> Result<Item, Error> {
    loop {
        let empty_at = match try_take(client, &first).await? {
            Ok(item) => return Ok(item),
            Err(revision) => revision,
        };
        let watch = client.watch(range.clone()).from_revision(empty_at.next()).no_delete().await;
        let ended = match watch {
            Ok(mut watch) => watch.next().await.and_then(Result::err),
            Err(error) => Some(error),
        };
        match ended {
            Some(error) if !error.is_compacted() && !is_passing(&error) => return Err(error),
            _ => {}
        }
    }
}
