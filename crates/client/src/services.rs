//! The server's own locks and elections.
//!
//! They are what clients in languages without recipes use: the server runs the recipe. A caller who has this crate has
//! more of its own recipes, which say when a lock is lost. Every error of these services has the code `Unknown` on the
//! wire; [`Error::code`] gives the usual one where the text tells it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use proto::v3electionpb as election;
use proto::v3electionpb::election_client::ElectionClient;
use proto::v3lockpb as lock;
use proto::v3lockpb::lock_client::LockClient;
use tonic::Streaming;

use crate::channel::Channel;
use crate::client::Client;
use crate::error::Error;
use crate::kv::{IntoBytes, KeyValue};
use crate::number::{LeaseId, Revision};

/// The server's locks. [`Client::lock_service`] begins the calls.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let lease = client.lease(std::time::Duration::from_secs(10)).await?;
/// let key = client.lock_service().lock("locks/db", lease.id()).await?;
/// client.lock_service().unlock(key).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct LockService {
    client: Client,
}

/// The server's elections. [`Client::election_service`] begins the calls.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let lease = client.lease(std::time::Duration::from_secs(10)).await?;
/// let leader = client.election_service().campaign("elections/db", lease.id(), "me").await?;
/// client.election_service().proclaim(&leader, "me, still").await?;
/// client.election_service().resign(leader).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ElectionService {
    client: Client,
}

/// An election that was won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderKey {
    /// The election.
    pub name: Bytes,
    /// The key that stands for it.
    pub key: Bytes,
    /// The revision that created the key: greater than that of every leader before.
    pub revision: Revision,
    /// The lease that it lives with.
    pub lease: LeaseId,
}

impl From<&LeaderKey> for election::LeaderKey {
    fn from(leader: &LeaderKey) -> election::LeaderKey {
        election::LeaderKey {
            name: leader.name.clone(),
            key: leader.key.clone(),
            rev: leader.revision.0,
            lease: leader.lease.0,
        }
    }
}

impl Client {
    /// Returns the calls of the server's locks. See [`LockService`].
    pub fn lock_service(&self) -> LockService {
        LockService { client: self.clone() }
    }

    /// Returns the calls of the server's elections. See [`ElectionService`].
    pub fn election_service(&self) -> ElectionService {
        ElectionService { client: self.clone() }
    }
}

impl LockService {
    fn stub(&self) -> LockClient<Channel> {
        LockClient::new(self.client.channel())
    }

    /// Waits for a lock, and returns the key that stands for it. The lock is held until the key is gone: it is unlocked,
    /// or the lease ends.
    ///
    /// # Errors
    /// As any write.
    pub async fn lock(&self, name: impl IntoBytes, lease: impl Into<LeaseId>) -> Result<Bytes, Error> {
        let request = lock::LockRequest { name: name.into_bytes(), lease: lease.into().0 };
        Ok(self.stub().lock(request).await?.into_inner().key)
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// As any write.
    pub async fn unlock(&self, key: impl IntoBytes) -> Result<(), Error> {
        self.stub().unlock(lock::UnlockRequest { key: key.into_bytes() }).await?;
        Ok(())
    }
}

impl ElectionService {
    fn stub(&self) -> ElectionClient<Channel> {
        ElectionClient::new(self.client.channel())
    }

    /// Waits until this candidate leads.
    ///
    /// # Errors
    /// As any write.
    pub async fn campaign(
        &self,
        name: impl IntoBytes,
        lease: impl Into<LeaseId>,
        value: impl IntoBytes,
    ) -> Result<LeaderKey, Error> {
        let (name, value) = (name.into_bytes(), value.into_bytes());
        let request = election::CampaignRequest { name, lease: lease.into().0, value };
        let leader = self.stub().campaign(request).await?.into_inner().leader;
        let leader = leader.ok_or(Error::Malformed("no leader was elected"))?;
        Ok(LeaderKey {
            name: leader.name,
            key: leader.key,
            revision: Revision(leader.rev),
            lease: LeaseId(leader.lease),
        })
    }

    /// Changes the value of the leader.
    ///
    /// # Errors
    /// `election: not leader` if it does not lead any more, else as any write.
    pub async fn proclaim(&self, leader: &LeaderKey, value: impl IntoBytes) -> Result<(), Error> {
        let value = value.into_bytes();
        let request = election::ProclaimRequest { leader: Some(leader.into()), value };
        self.stub().proclaim(request).await?;
        Ok(())
    }

    /// Ends a leadership.
    ///
    /// # Errors
    /// As any write.
    pub async fn resign(&self, leader: LeaderKey) -> Result<(), Error> {
        let request = election::ResignRequest { leader: Some((&leader).into()) };
        self.stub().resign(request).await?;
        Ok(())
    }

    /// Returns the key and the value of the leader.
    ///
    /// # Errors
    /// `election: no leader` if there is none, else as any read.
    pub async fn leader(&self, name: impl IntoBytes) -> Result<KeyValue, Error> {
        let request = election::LeaderRequest { name: name.into_bytes() };
        let kv = self.stub().leader(request).await?.into_inner().kv;
        Ok(kv.ok_or(Error::Malformed("a leader without a key"))?.into())
    }

    /// Observes who leads, from now on. See [`LeaderStream`].
    ///
    /// # Errors
    /// As any read.
    pub async fn observe(&self, name: impl IntoBytes) -> Result<LeaderStream, Error> {
        let request = election::LeaderRequest { name: name.into_bytes() };
        Ok(LeaderStream { stream: self.stub().observe(request).await?.into_inner() })
    }
}

/// The leaders of an election: a stream of their keys and values. It ends with an error when its connection does.
#[derive(Debug)]
pub struct LeaderStream {
    stream: Streaming<election::LeaderResponse>,
}

impl LeaderStream {
    /// Returns the next leader, or the next value of the same.
    #[allow(clippy::should_implement_trait, reason = "the name that streams have, without a trait to import")]
    pub async fn next(&mut self) -> Option<Result<KeyValue, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for LeaderStream {
    type Item = Result<KeyValue, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.stream).poll_next(context);
        polled.map(|item| {
            item.map(|answer| match answer {
                Ok(answer) => Ok(answer.kv.unwrap_or_default().into()),
                Err(status) => Err(status.into()),
            })
        })
    }
}
