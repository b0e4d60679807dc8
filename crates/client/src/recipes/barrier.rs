//! Barriers.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::session::Session;
use super::{deletion, under};
use crate::client::Client;
use crate::error::Error;
use crate::kv::{IntoBytes, KeyRange, delete, get, prefix, put, range};
use crate::number::Revision;
use crate::txn::{Compare, create_revision, missing};
use crate::watch::EventKind;

/// A barrier: while it is held, everybody waits at it. It is the key of its name, and the barrier of etcd's recipes.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let barrier = client.barrier("maintenance");
/// barrier.hold().await?;
/// // Elsewhere: `client.barrier("maintenance").wait().await?`.
/// barrier.release().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Barrier {
    client: Client,
    key: Bytes,
}

impl Client {
    /// Returns the barrier of a name. See [`Barrier`].
    pub fn barrier(&self, name: impl IntoBytes) -> Barrier {
        Barrier { client: self.clone(), key: name.into_bytes() }
    }
}

impl Barrier {
    /// Closes the barrier until it is released, even if this process dies. Returns `false` if it is closed already.
    ///
    /// # Errors
    /// As any write.
    pub async fn hold(&self) -> Result<bool, Error> {
        let closing = put(&self.key, "");
        Ok(self.client.txn().when([missing(&self.key)]).then([closing]).await?.succeeded)
    }

    /// Closes the barrier until it is released or the session ends. Returns `false` if it is closed already.
    ///
    /// # Errors
    /// As any write.
    pub async fn hold_in(&self, session: &Session) -> Result<bool, Error> {
        let closing = put(&self.key, "").lease(session.lease().id());
        Ok(self.client.txn().when([missing(&self.key)]).then([closing]).await?.succeeded)
    }

    /// Opens the barrier, whoever closed it.
    ///
    /// # Errors
    /// As any write.
    pub async fn release(&self) -> Result<(), Error> {
        self.client.delete(&self.key).await?;
        Ok(())
    }

    /// Waits until the barrier is open.
    ///
    /// # Errors
    /// As any read, and as any watch.
    pub async fn wait(&self) -> Result<(), Error> {
        loop {
            let answer = self.client.get(&self.key).count_only().await?;
            if answer.count == 0 {
                return Ok(());
            }
            deletion(&self.client, &self.key, answer.header.revision).await?;
        }
    }
}

/// A barrier that a number of sessions enter together and leave together.
///
/// Its keys are `<name>/waiters/<lease in hexadecimal>` for those inside, and `<name>/ready` when it is open. All who use
/// it must use this recipe; the one of etcd's Go client names its keys otherwise.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let session = client.session(std::time::Duration::from_secs(10)).await?;
/// let inside = session.double_barrier("shuffle", 3).enter().await?;
/// // All three are here, and work.
/// inside.leave().await?;
/// // All three are done.
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct DoubleBarrier {
    session: Session,
    name: Bytes,
    size: usize,
}

/// A place inside a double barrier. It ends with [`Inside::leave`], or with the session.
#[derive(Debug)]
#[must_use = "the others wait for this to leave"]
pub struct Inside {
    barrier: DoubleBarrier,
    key: Bytes,
    made: Revision,
}

impl Session {
    /// Returns the barrier of a name, which opens when so many sessions have entered. See [`DoubleBarrier`].
    pub fn double_barrier(&self, name: impl IntoBytes, size: usize) -> DoubleBarrier {
        DoubleBarrier { session: self.clone(), name: name.into_bytes(), size }
    }
}

impl DoubleBarrier {
    /// Enters, and waits for the others. Who enters while it is open does not wait.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the session ends meanwhile, else as any write.
    pub async fn enter(&self) -> Result<Inside, Error> {
        let key = Bytes::from(under(&self.waiters(), self.session.lease().id().to_string()));
        let (client, lease) = (self.session.client(), self.session.lease().id());
        let call = || {
            let entering = client.txn().then([put(&key, "").lease(lease)]);
            entering.then([get(&key), get(self.inside()).count_only(), get(self.ready())])
        };
        let answer = self.session.persist(call).await?;
        let mut gets = answer.gets();
        let (own, count, ready) = (gets.next(), gets.next(), gets.next());
        let own = own.and_then(|get| get.first()).ok_or(Error::Malformed("no key after its put"))?;
        let is_open = ready.is_some_and(|ready| ready.first().is_some());
        let inside = Inside { barrier: self.clone(), key: key.clone(), made: own.create_revision };
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        if is_open {
            return Ok(inside);
        }
        if count.is_some_and(|count| count.count >= size) {
            // With the lease of this session: if all die, the next round does not find it open.
            let opening =
                || client.txn().when([inside.condition()]).then([put(self.ready(), "").lease(lease)]);
            self.session.persist(opening).await?;
            return Ok(inside);
        }
        self.session.guarded(self.opening(answer.header.revision)).await?;
        Ok(inside)
    }

    /// Waits until it opens after a revision.
    async fn opening(&self, after: Revision) -> Result<(), Error> {
        let client = self.session.client();
        let mut changes = client.watch(self.ready()).from_revision(after.next()).no_delete().await?;
        loop {
            match changes.next().await {
                Some(Ok(update)) if update.is_bookmark() => {}
                Some(Ok(_)) => return Ok(()),
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Closed),
            }
        }
    }

    fn waiters(&self) -> Vec<u8> {
        under(&self.name, "waiters")
    }

    /// Returns the range of the keys of those inside.
    fn inside(&self) -> KeyRange {
        prefix(under(&self.waiters(), ""))
    }

    fn ready(&self) -> Vec<u8> {
        under(&self.name, "ready")
    }
}

impl Inside {
    /// Leaves, and waits until all have left who are inside now.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the session ends before this has left, else as any write.
    pub async fn leave(self) -> Result<(), Error> {
        let (barrier, session) = (&self.barrier, &self.barrier.session);
        let others = [range(barrier.inside().start(), &self.key), self.after()];
        let is_last = others.map(|keys| create_revision(keys).eq(0));
        let call = || {
            // The last one closes the barrier, in the same transaction.
            let last = session.client().txn().when(is_last.clone()).when([self.condition()]);
            last.then([delete(&self.key), delete(barrier.ready())])
                .or_else([delete(&self.key)])
                .or_else([get(barrier.inside()).keys_only()])
        };
        let answer = session.persist(call).await?;
        let left = answer.gets().next().map(|get| get.kvs.clone()).unwrap_or_default();
        let left: BTreeSet<Bytes> = left.into_iter().map(|kv| kv.key).collect();
        session.guarded(self.others(left, answer.header.revision)).await
    }

    /// Waits until these keys are deleted. Who enters anew is not waited for.
    async fn others(&self, mut left: BTreeSet<Bytes>, at: Revision) -> Result<(), Error> {
        if left.is_empty() {
            return Ok(());
        }
        let client = self.barrier.session.client();
        let mut changes = client.watch(self.barrier.inside()).from_revision(at.next()).no_put().await?;
        while !left.is_empty() {
            let update = changes.next().await.ok_or(Error::Closed)??;
            let gone = update.events.into_iter().filter(|event| event.kind == EventKind::Delete);
            gone.for_each(|event| {
                left.remove(&event.kv.key);
            });
        }
        Ok(())
    }

    /// Returns the range of the keys of those inside that come after this one.
    fn after(&self) -> KeyRange {
        let next = [&self.key[..], b"\0"].concat();
        range(next, self.barrier.inside().end())
    }

    fn condition(&self) -> Compare {
        create_revision(&self.key).eq(self.made)
    }
}
