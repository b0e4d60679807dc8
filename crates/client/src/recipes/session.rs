//! A lease under which a process takes part in locks and elections.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::Code;

use super::is_passing;
use crate::client::Client;
use crate::error::Error;
use crate::lease::Lease;
use crate::retry;

/// A lease that is renewed until the last clone of this is dropped, and under which locks are held and elections are won.
///
/// When it is lost, everything that is held under it is lost too, and whoever waits for it is told: calls fail with
/// [`Error::LeaseLost`], and [`Session::lost`] returns. A lost session does not come back; begin another.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let session = client.session(std::time::Duration::from_secs(10)).await?;
/// let held = session.mutex("locks/ledger").lock().await?;
/// # drop(held);
/// session.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

/// Excludes the tasks of a process that use one key of a session.
pub(super) type Place = tokio::sync::Mutex<()>;

#[derive(Debug)]
struct Inner {
    client: Client,
    lease: Lease,
    places: Mutex<HashMap<Bytes, Weak<Place>>>,
}

impl Client {
    /// Begins a session: grants a lease of this time, and renews it. The time is how long the others wait for a process
    /// that died, and how long this process may be cut off without losing what it holds. See [`Session`].
    ///
    /// # Errors
    /// As any write.
    pub async fn session(&self, ttl: Duration) -> Result<Session, Error> {
        Ok(Session::new(self, self.lease(ttl).await?))
    }
}

impl Session {
    /// Makes a session of a lease that is kept alive already.
    pub fn new(client: &Client, lease: Lease) -> Session {
        let inner = Inner { client: client.clone(), lease, places: Mutex::default() };
        Session { inner: Arc::new(inner) }
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Returns the lease.
    pub fn lease(&self) -> &Lease {
        &self.inner.lease
    }

    /// Returns whether the session is lost.
    pub fn is_lost(&self) -> bool {
        self.lease().is_lost()
    }

    /// Waits until the session is lost.
    pub async fn lost(&self) {
        self.lease().lost().await;
    }

    /// Ends the session at once, with everything that is held under it. Its clones are lost then.
    ///
    /// # Errors
    /// As any write. A session that is lost already is an error too.
    pub async fn close(self) -> Result<(), Error> {
        self.client().lease_revoke(self.lease().id()).await?;
        Ok(())
    }

    /// Waits for something as long as the session is not lost.
    pub(super) async fn guarded<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.lost() => Err(Error::LeaseLost(self.lease().id())),
            result = future => result,
        }
    }

    /// Repeats a call until it is answered or the session is lost. Doing it twice must be as good as doing it once.
    pub(super) async fn persist<T, C>(&self, call: impl Fn() -> C) -> Result<T, Error>
    where
        C: IntoFuture<Output = Result<T, Error>>,
    {
        let repeated = async {
            let mut round = 0;
            loop {
                match call().await {
                    Err(error) if is_passing(&error) => tokio::time::sleep(retry::pause(round)).await,
                    // The lease is gone, and this process has not heard of it.
                    Err(error) if error.code() == Code::NotFound => {
                        return Err(Error::LeaseLost(self.lease().id()));
                    }
                    result => return result,
                }
                round += 1;
            }
        };
        self.guarded(repeated).await
    }

    /// Returns why a key of the session is gone: its lease has ended, which this process may not have heard of yet, or
    /// somebody has deleted it.
    pub(super) async fn loss_of(&self, key: &Bytes) -> Error {
        let lease = self.lease().id();
        match self.persist(|| self.client().lease_time_to_live(lease)).await {
            Ok(answer) if answer.remaining.is_none() => Error::LeaseLost(lease),
            Err(error @ Error::LeaseLost(_)) => error,
            _ => Error::KeyLost { key: key.clone() },
        }
    }

    /// Returns what the tasks of this process that use a key exclude each other with: to the cluster they are one.
    pub(super) fn place(&self, key: &Bytes) -> Arc<Place> {
        let mut places = self.inner.places.lock();
        if let Some(place) = places.get(key).and_then(Weak::upgrade) {
            return place;
        }
        places.retain(|_, place| place.strong_count() > 0);
        let place = Arc::new(Place::default());
        places.insert(key.clone(), Arc::downgrade(&place));
        place
    }
}
