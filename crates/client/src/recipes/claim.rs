//! A key in a line of keys, whose first one has something: the lock, or the lead.
//!
//! The line of a name is the keys `<name>/<lease in hexadecimal>`, in the order of their create revisions. Each waits for
//! the deletion of the one before it, so that a deletion wakes one and not all. The create revision of a key is greater
//! than that of every key that was first before it: it is the fencing token.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinHandle;

use super::session::Session;
use super::{deletion, under};
use crate::error::Error;
use crate::kv::{Get, KeyRange, Order, SortBy, delete, get, prefix, put};
use crate::number::Revision;
use crate::txn::{Compare, create_revision};

/// A key of a session in a line. Dropping it deletes the key in the background.
#[derive(Debug)]
pub(super) struct Claim {
    session: Session,
    line: KeyRange,
    key: Bytes,
    revision: Revision,
    /// Keeps other tasks of this process from the key. `None` once the key is given up.
    place: Option<OwnedMutexGuard<()>>,
    watch: Option<Sentry>,
    /// As of which revision it was seen to be the first.
    first_at: Revision,
}

/// The task that notices that a key which is first is lost.
#[derive(Debug)]
struct Sentry {
    lost: watch::Receiver<Option<Error>>,
    task: JoinHandle<()>,
}

impl Drop for Sentry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Claim {
    /// Joins the line of a name, at its end.
    pub(super) async fn enter(session: &Session, name: &Bytes, value: Bytes) -> Result<Claim, Error> {
        let key = Bytes::from(under(name, session.lease().id().to_string()));
        let place = session.guarded(async { Ok(session.place(&key).lock_owned().await) }).await?;
        let line = prefix(under(name, ""));
        // A task of its own: if the caller gives up while the key is being made, the key is made and then deleted.
        let making = tokio::spawn(Claim::make(session.clone(), line, key, value, place));
        making.await.map_err(|_| Error::Closed)?
    }

    async fn make(
        session: Session,
        line: KeyRange,
        key: Bytes,
        value: Bytes,
        place: OwnedMutexGuard<()>,
    ) -> Result<Claim, Error> {
        let (client, lease) = (session.client(), session.lease().id());
        // A repetition finds the key, and leaves its place in the line as it is.
        let call = || client.txn().then([put(&key, &value).lease(lease)]).then([get(&key)]);
        let answer = session.persist(call).await?;
        let own = answer.gets().next().and_then(|get| get.first());
        let revision = own.ok_or(Error::Malformed("no key after its put"))?.create_revision;
        Ok(Claim { session, line, key, revision, place: Some(place), watch: None, first_at: revision })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn key(&self) -> &Bytes {
        &self.key
    }

    /// Returns the revision that made the key.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the revision as of which the key, once it was first, was seen to be.
    pub(super) fn first_at(&self) -> Revision {
        self.first_at
    }

    /// Returns the condition that the key is the one that was made.
    pub(super) fn condition(&self) -> Compare {
        create_revision(&self.key).eq(self.revision)
    }

    /// Waits until the key is the first of its line.
    pub(super) async fn reach_front(&mut self) -> Result<(), Error> {
        let front = async {
            loop {
                let (now, ahead) = self.ahead().await?;
                let Some(ahead) = ahead else { return Ok(now) };
                let client = self.session.client();
                tokio::select! {
                    gone = deletion(client, &ahead, now) => gone?,
                    // Then the next read fails.
                    gone = deletion(client, &self.key, now) => gone?,
                }
            }
        };
        let since = self.session.guarded(front).await?;
        self.set_watch(since);
        Ok(())
    }

    /// Returns whether the key is the first of its line.
    pub(super) async fn is_front(&mut self) -> Result<bool, Error> {
        let (now, ahead) = self.ahead().await?;
        if ahead.is_none() {
            self.set_watch(now);
        }
        Ok(ahead.is_none())
    }

    /// Returns the key before this one, and as of which revision.
    async fn ahead(&self) -> Result<(Revision, Option<Bytes>), Error> {
        let ahead = || {
            let last: Get = get(self.line.clone()).sort(SortBy::CreateRevision, Order::Descending).limit(1);
            last.keys_only().max_create_revision(self.revision.0 - 1)
        };
        let call = || self.session.client().txn().then([ahead(), get(&self.key)]);
        let answer = self.session.persist(call).await?;
        let mut gets = answer.gets();
        let (ahead, own) = (gets.next(), gets.next());
        let own = own.and_then(|get| get.first());
        if own.is_none_or(|own| own.create_revision != self.revision) {
            return Err(self.session.loss_of(&self.key).await);
        }
        let ahead = ahead.and_then(|get| get.first()).map(|kv| kv.key.clone());
        Ok((answer.header.revision, ahead))
    }

    fn set_watch(&mut self, since: Revision) {
        let (session, key, made) = (self.session.clone(), self.key.clone(), self.revision);
        let (report, lost) = watch::channel(None);
        let task = tokio::spawn(async move {
            let error = match session.guarded(loss(&session, &key, made, since)).await {
                Ok(()) => session.loss_of(&key).await,
                Err(error) => error,
            };
            report.send_replace(Some(error));
        });
        self.watch = Some(Sentry { lost, task });
        self.first_at = since;
    }

    /// Waits until the key, once it was first, is lost. Returns why.
    pub(super) async fn lost(&self) -> Error {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        let mut lost = watch.lost.clone();
        match lost.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            _ => Error::Closed,
        }
    }

    /// Returns an error if the key is known to be lost.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.session.lease().check()?;
        match self.watch.as_ref().and_then(|watch| watch.lost.borrow().clone()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Deletes the key.
    ///
    /// # Errors
    /// [`Error::KeyLost`] or [`Error::LeaseLost`] if it was lost before.
    pub(super) async fn leave(mut self) -> Result<(), Error> {
        let Some(place) = self.place.take() else { return Ok(()) };
        // A task of its own: a caller that gives up does not keep the key.
        let leaving = tokio::spawn(leave(self.session.clone(), self.key.clone(), self.condition(), place));
        leaving.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        // Without a runtime nothing renews the lease either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(leave(self.session.clone(), self.key.clone(), self.condition(), place));
        }
    }
}

async fn leave(
    session: Session,
    key: Bytes,
    condition: Compare,
    _place: OwnedMutexGuard<()>,
) -> Result<(), Error> {
    let attempts = AtomicU32::new(0);
    let call = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        session.client().txn().when([condition.clone()]).then([delete(&key)])
    };
    let answer = session.persist(call).await?;
    // An attempt without an answer may have been the one that deleted it.
    let is_repeated = attempts.load(Ordering::Relaxed) > 1;
    if answer.succeeded || is_repeated { Ok(()) } else { Err(session.loss_of(&key).await) }
}

/// Waits until a key is gone.
async fn loss(session: &Session, key: &Bytes, made: Revision, mut since: Revision) -> Result<(), Error> {
    loop {
        deletion(session.client(), key, since).await?;
        let answer = session.persist(|| session.client().get(key)).await?;
        if answer.first().is_none_or(|kv| kv.create_revision != made) {
            return Ok(());
        }
        since = answer.header.revision;
    }
}
