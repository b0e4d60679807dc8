//! A lease that is kept alive.

use std::time::Duration;

use futures_util::future::BoxFuture;
use proto::etcdserverpb as pb;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::hub::{Command, Commands, Order};
use crate::client::Client;
use crate::error::Error;
use crate::kv::Header;
use crate::number::LeaseId;
use crate::retry;

/// A lease that is renewed in the background until this is dropped. It then ends by itself after its time;
/// [`Lease::revoke`] ends it at once.
///
/// The lease is lost when a member says that it has ended, or when no renewal was confirmed for its whole time: what was
/// attached to it may be gone, and somebody else may have taken its place. [`Lease::lost`] reports it.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// let lease = client.lease(Duration::from_secs(10)).await?;
/// client.put("services/web/1", "10.0.0.7:80").lease(lease.id()).await?;
/// tokio::select! {
///     () = lease.lost() => eprintln!("not registered any more"),
///     () = serve() => lease.revoke().await?,
/// }
/// # Ok(()) }
/// # async fn serve() {}
/// ```
#[derive(Debug)]
pub struct Lease {
    id: LeaseId,
    ttl: Duration,
    client: Client,
    state: watch::Receiver<State>,
    commands: Commands,
}

/// How a lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It lives since it was granted, or since this renewal.
    Alive(Option<Renewal>),
    Lost,
}

/// A renewal that a member has confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Who confirmed it, and when.
    pub header: Header,
    /// The lease.
    pub id: LeaseId,
    /// How long it lives from then on.
    pub ttl: Duration,
}

impl Renewal {
    /// Returns what a member says of a lease; `None`: it has ended.
    pub(super) fn of(answer: &pb::LeaseKeepAliveResponse) -> Option<Renewal> {
        let seconds = u64::try_from(answer.ttl).ok().filter(|seconds| *seconds > 0)?;
        let ttl = Duration::from_secs(seconds);
        Some(Renewal { header: answer.header.into(), id: LeaseId(answer.id), ttl })
    }
}

impl Lease {
    /// Returns the lease.
    pub fn id(&self) -> LeaseId {
        self.id
    }

    /// Returns how long it lives without being renewed.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Returns whether the lease is lost.
    pub fn is_lost(&self) -> bool {
        *self.state.borrow() == State::Lost
    }

    /// Waits until the lease is lost.
    pub async fn lost(&self) {
        // An error: the task that renews it has ended, and it will be lost.
        let _ = self.state.clone().wait_for(|state| *state == State::Lost).await;
    }

    /// Waits for the next renewal and returns it; the first one is that of [`Client::keep_alive`]. Renewals that have come
    /// since the last call are one. `None`: the lease is lost.
    pub async fn renewed(&mut self) -> Option<Renewal> {
        loop {
            // An error: the task that renews it has ended, and it will be lost.
            self.state.changed().await.ok()?;
            match &*self.state.borrow_and_update() {
                State::Alive(Some(renewal)) => return Some(renewal.clone()),
                State::Alive(None) => {}
                State::Lost => return None,
            }
        }
    }

    /// Returns an error if the lease is lost.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub fn check(&self) -> Result<(), Error> {
        if self.is_lost() { Err(Error::LeaseLost(self.id)) } else { Ok(()) }
    }

    /// Ends the lease: what is attached to it is deleted.
    ///
    /// # Errors
    /// As any write. A lease that has ended already is an error too.
    pub async fn revoke(self) -> Result<(), Error> {
        let _ = self.commands.send(Command::Remove(self.id));
        self.client.lease_revoke(self.id).await?;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Remove(self.id));
    }
}

/// A lease that is to be kept alive. Awaiting it renews it, and returns when that is confirmed.
#[derive(Debug, Clone)]
#[must_use]
pub struct KeepAlive {
    client: Client,
    id: Option<LeaseId>,
    ttl: Duration,
}

impl KeepAlive {
    /// Sets the id of a lease that is to be granted.
    pub fn id(mut self, id: impl Into<LeaseId>) -> KeepAlive {
        self.id = Some(id.into());
        self
    }
}

impl IntoFuture for KeepAlive {
    type Output = Result<Lease, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let granted = self.client.lease_grant(self.ttl).id(self.id.unwrap_or_default()).await?;
            self.client.guard(granted.id, granted.ttl, None)
        })
    }
}

impl Client {
    /// Grants a lease that is renewed in the background until what is returned is dropped. Times are rounded up to whole
    /// seconds. See [`Lease`].
    pub fn lease(&self, ttl: Duration) -> KeepAlive {
        KeepAlive { client: self.clone(), id: None, ttl }
    }

    /// Renews a lease that there is already in the background, until what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if there is no such lease, else as any call.
    pub async fn keep_alive(&self, id: impl Into<LeaseId>) -> Result<Lease, Error> {
        let id = id.into();
        let renewal = self.keep_alive_once(id).await?;
        self.guard(id, renewal.ttl, Some(renewal))
    }

    /// Renews a lease once.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if there is no such lease, else as any call.
    pub async fn keep_alive_once(&self, id: impl Into<LeaseId>) -> Result<Renewal, Error> {
        let (id, credentials) = (id.into(), self.channel().inner().credentials.clone());
        let renewed = match self.renew(id).await {
            Err(status) if retry::is_about_token(&status) && credentials.can_renew() => {
                credentials.forget();
                self.renew(id).await
            }
            renewed => renewed,
        };
        Renewal::of(&renewed?).ok_or(Error::LeaseLost(id))
    }

    /// Renews a lease on a stream of its own.
    async fn renew(&self, id: LeaseId) -> Result<pb::LeaseKeepAliveResponse, Status> {
        let (requests, outgoing) = mpsc::channel(1);
        // There is room for one.
        let _ = requests.try_send(pb::LeaseKeepAliveRequest { id: id.0 });
        let mut answers =
            self.lease_stub().lease_keep_alive(ReceiverStream::new(outgoing)).await?.into_inner();
        let answer = answers.message().await?.ok_or_else(|| Status::internal("no answer to a renewal"))?;
        // Until here: the end of the requests would be the end of the stream.
        drop(requests);
        Ok(answer)
    }

    fn guard(&self, id: LeaseId, ttl: Duration, renewal: Option<Renewal>) -> Result<Lease, Error> {
        let commands = self.lease_hub().commands(&self.channel());
        let (reported, mut state) = watch::channel(State::Alive(renewal));
        // Nobody has been shown it yet.
        state.mark_changed();
        commands.send(Command::Add(Order { id, ttl, reported })).map_err(|_| Error::Closed)?;
        Ok(Lease { id, ttl, client: self.clone(), state, commands })
    }
}
