//! Transactions of any shape.
//!
//! A transaction of the store is a list of conditions and a list of operations: what is written cannot depend on what is
//! read. Here, a closure reads and writes as it likes. Its reads are recorded and its writes are kept back; at the end, one
//! transaction of the store writes them, under the condition that what was read has not changed. If it has, the closure
//! runs again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::client::Client;
use crate::error::Error;
use crate::kv::{Delete, IntoBytes, Put, delete, put};
use crate::number::{LeaseId, Revision};
use crate::retry;
use crate::txn::{Compare, Op, mod_revision};

/// What a transaction is protected from. In all of them, everything that is read is as of one revision, and everything that
/// is written is written in one revision or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Nothing that was read has changed when it is written: transactions have an effect as if they were done one after
    /// the other.
    #[default]
    Serializable,
    /// Besides, nothing that is written was changed by others since the first read, even if it was not read.
    SerializableSnapshot,
    /// Only what is written must not have been changed by others since the first read. What was only read may have changed:
    /// two transactions may each read what the other writes (write skew), and both succeed. Fewer of them are repeated.
    Snapshot,
}

impl Isolation {
    fn checks_reads(self) -> bool {
        self != Isolation::Snapshot
    }

    fn checks_writes(self) -> bool {
        self != Isolation::Serializable
    }
}

/// A transaction that is to be done. Awaiting it does it.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let left = client
///     .stm(|transaction| async move {
///         let read = |bytes: Option<bytes::Bytes>| -> i64 {
///             bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()).unwrap_or(0)
///         };
///         let from = read(transaction.get("accounts/ann").await?);
///         let to = read(transaction.get("accounts/bob").await?);
///         transaction.put("accounts/ann", (from - 10).to_string());
///         transaction.put("accounts/bob", (to + 10).to_string());
///         Ok(from - 10)
///     })
///     .await?;
/// # let _ = left; Ok(()) }
/// ```
#[must_use]
pub struct Stm<F> {
    client: Client,
    isolation: Isolation,
    body: F,
}

impl<F> std::fmt::Debug for Stm<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stm").field("isolation", &self.isolation).finish_non_exhaustive()
    }
}

impl Client {
    /// Does a transaction: the closure may run several times, so it should do nothing but read and write with what it is
    /// given. See [`Stm`].
    ///
    /// It fails with the first error of the closure, and as any write: it is not repeated when it is not known whether it
    /// was done ([`Outcome::Unknown`](crate::Outcome::Unknown)).
    pub fn stm<F, R, T>(&self, body: F) -> Stm<F>
    where
        F: FnMut(Transaction) -> R + Send + 'static,
        R: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        Stm { client: self.clone(), isolation: Isolation::default(), body }
    }
}

impl<F> Stm<F> {
    /// Sets what it is protected from. [`Isolation::Serializable`] by default.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }
}

impl<F, R, T> IntoFuture for Stm<F>
where
    F: FnMut(Transaction) -> R + Send + 'static,
    R: Future<Output = Result<T, Error>> + Send,
    T: Send,
{
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut round = 0;
            loop {
                let transaction = Transaction::new(&self.client);
                let result = (self.body)(transaction.clone()).await;
                match result {
                    // What it was reading is compacted: it was slow.
                    Err(error) if error.is_compacted() => {}
                    Err(error) => return Err(error),
                    Ok(value) => {
                        let is_done = transaction.commit(self.isolation).await?;
                        if is_done {
                            return Ok(value);
                        }
                    }
                }
                tokio::time::sleep(retry::pause(round) / 8).await;
                round += 1;
            }
        })
    }
}

/// What the closure of a transaction reads and writes with. Clones are the same transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    client: Client,
    record: Arc<Mutex<Record>>,
}

#[derive(Debug, Default)]
struct Record {
    /// The revision of the first read, which all others are as of.
    revision: Option<Revision>,
    reads: BTreeMap<Bytes, Read>,
    writes: BTreeMap<Bytes, Write>,
}

#[derive(Debug, Clone)]
struct Read {
    value: Option<Bytes>,
    /// Zero if there is no such key.
    mod_revision: Revision,
}

#[derive(Debug, Clone)]
enum Write {
    Put(Put),
    Delete(Delete),
}

impl Transaction {
    fn new(client: &Client) -> Transaction {
        Transaction { client: client.clone(), record: Arc::default() }
    }

    /// Reads a key: what this transaction has written to it, else what it was at the revision of the first read.
    ///
    /// # Errors
    /// As any read; the closure should return it.
    pub async fn get(&self, key: impl IntoBytes) -> Result<Option<Bytes>, Error> {
        let key = key.into_bytes();
        let revision = {
            let record = self.record.lock();
            if let Some(known) = record.known(&key) {
                return Ok(known);
            }
            record.revision
        };
        let answer = self.client.get(&key).revision(revision.unwrap_or_default()).await?;
        let read = Read {
            value: answer.value().cloned(),
            mod_revision: answer.first().map(|kv| kv.mod_revision).unwrap_or_default(),
        };
        let at = *self.record.lock().revision.get_or_insert(answer.header.revision);
        // Two reads that were both the first one are as of two revisions.
        if revision.is_none() && at != answer.header.revision {
            return Box::pin(self.get(key)).await;
        }
        self.record.lock().reads.insert(key, read.clone());
        Ok(read.value)
    }

    /// Puts a value, when the transaction is done.
    pub fn put(&self, key: impl IntoBytes, value: impl IntoBytes) {
        self.write_put(key.into_bytes(), |key| put(key, value));
    }

    /// Puts a value and attaches the key to a lease, when the transaction is done.
    pub fn put_with_lease(&self, key: impl IntoBytes, value: impl IntoBytes, lease: impl Into<LeaseId>) {
        self.write_put(key.into_bytes(), |key| put(key, value).lease(lease));
    }

    fn write_put(&self, key: Bytes, operation: impl FnOnce(&Bytes) -> Put) {
        let write = Write::Put(operation(&key));
        self.record.lock().writes.insert(key, write);
    }

    /// Deletes a key, when the transaction is done.
    pub fn delete(&self, key: impl IntoBytes) {
        let key = key.into_bytes();
        let write = Write::Delete(delete(&key));
        self.record.lock().writes.insert(key, write);
    }

    /// Writes what was kept back. Returns whether it was done: nothing was in its way.
    async fn commit(&self, isolation: Isolation) -> Result<bool, Error> {
        let (conditions, operations) = {
            let record = self.record.lock();
            (record.conditions(isolation), record.operations())
        };
        // Reads as of one revision are in order by themselves.
        if operations.is_empty() {
            return Ok(true);
        }
        Ok(self.client.txn().when(conditions).then(operations).await?.succeeded)
    }
}

impl Record {
    /// Returns the value of a key that was read or written before.
    fn known(&self, key: &Bytes) -> Option<Option<Bytes>> {
        match self.writes.get(key) {
            Some(Write::Put(put)) => Some(Some(put.message.value.clone())),
            Some(Write::Delete(_)) => Some(None),
            None => self.reads.get(key).map(|read| read.value.clone()),
        }
    }

    /// Returns under which conditions it may be written.
    fn conditions(&self, isolation: Isolation) -> Vec<Compare> {
        let mut conditions = BTreeMap::new();
        if isolation.checks_reads() {
            let reads = self.reads.iter();
            conditions.extend(reads.map(|(key, read)| (key, mod_revision(key).eq(read.mod_revision))));
        }
        // A transaction that has read nothing has seen nothing that could have changed.
        if let Some(revision) = self.revision.filter(|_| isolation.checks_writes()) {
            for key in self.writes.keys() {
                if let Entry::Vacant(vacant) = conditions.entry(key) {
                    vacant.insert(mod_revision(key).lt(revision.next()));
                }
            }
        }
        conditions.into_values().collect()
    }

    fn operations(&self) -> Vec<Op> {
        let op = |write: &Write| match write {
            Write::Put(put) => Op::from(put.clone()),
            Write::Delete(delete) => Op::from(delete.clone()),
        };
        self.writes.values().map(op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let read = |revision| Read { value: None, mod_revision: Revision(revision) };
        Record {
            revision: Some(Revision(9)),
            reads: BTreeMap::from([("a".into(), read(5)), ("b".into(), read(0))]),
            writes: BTreeMap::from([
                ("b".into(), Write::Put(put("b", "1"))),
                ("c".into(), Write::Delete(delete("c"))),
            ]),
        }
    }

    #[test]
    fn the_isolation_decides_about_the_conditions() {
        use Isolation::*;
        let (a, b) = (mod_revision("a").eq(5), mod_revision("b").eq(0));
        let (b_since, c_since) = (mod_revision("b").lt(10), mod_revision("c").lt(10));
        for (isolation, expected) in [
            (Serializable, vec![a.clone(), b.clone()]),
            (SerializableSnapshot, vec![a, b, c_since.clone()]),
            (Snapshot, vec![b_since, c_since]),
        ] {
            assert_eq!(record().conditions(isolation), expected, "{isolation:?}");
        }
    }

    #[test]
    fn a_transaction_reads_its_own_writes() {
        let record = record();
        assert_eq!(record.known(&"b".into()), Some(Some("1".into())));
        assert_eq!(record.known(&"c".into()), Some(None));
        assert_eq!(record.known(&"a".into()), Some(None));
        assert_eq!(record.known(&"d".into()), None);
        assert_eq!(record.operations().len(), 2);
    }
}
