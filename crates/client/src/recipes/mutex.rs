//! A lock.

use bytes::Bytes;

use super::claim::Claim;
use super::session::Session;
use crate::error::Error;
use crate::kv::IntoBytes;
use crate::number::Revision;
use crate::txn::Compare;

/// A lock that one session of the cluster holds at a time. Whoever came first gets it first.
///
/// It excludes others as long as their leases are respected, which a paused process does not do: see the
/// [limits](crate::recipes) and what to do about them. Tasks of one process that use one session exclude each other too.
///
/// `etcdctl lock` and Go's `concurrency.Mutex` of the same name take part in it.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use std::time::Duration;
/// let session = client.session(Duration::from_secs(10)).await?;
/// let mutex = session.mutex("locks/ledger");
/// let held = tokio::time::timeout(Duration::from_secs(3), mutex.lock()).await.expect("not so long")?;
/// tokio::select! {
///     why = held.lost() => eprintln!("stop at once: {why}"),
///     () = work(held.token()) => held.unlock().await?,
/// }
/// # Ok(()) }
/// # async fn work(_: quorate_client::Revision) {}
/// ```
#[derive(Debug, Clone)]
pub struct Mutex {
    session: Session,
    name: Bytes,
}

impl Session {
    /// Returns the lock of a name. See [`Mutex`].
    pub fn mutex(&self, name: impl IntoBytes) -> Mutex {
        Mutex { session: self.clone(), name: name.into_bytes() }
    }
}

impl Mutex {
    /// Waits for the lock. A caller that stops waiting leaves the line.
    ///
    /// While no member can be reached it goes on waiting, until the session is lost.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if the session ends before, [`Error::KeyLost`] if somebody deletes the key of the lock, else
    /// as any write.
    pub async fn lock(&self) -> Result<MutexGuard, Error> {
        let mut claim = Claim::enter(&self.session, &self.name, Bytes::new()).await?;
        claim.reach_front().await?;
        Ok(MutexGuard { claim })
    }

    /// Takes the lock if nobody has it: else returns `None`.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    pub async fn try_lock(&self) -> Result<Option<MutexGuard>, Error> {
        let mut claim = Claim::enter(&self.session, &self.name, Bytes::new()).await?;
        if claim.is_front().await? {
            return Ok(Some(MutexGuard { claim }));
        }
        claim.leave().await?;
        Ok(None)
    }
}

/// A lock that is held. Dropping it lets it go, in the background.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct MutexGuard {
    claim: Claim,
}

impl MutexGuard {
    /// Returns the fencing token: greater than that of everybody who held the lock before. It is the create revision of
    /// [`MutexGuard::key`].
    pub fn token(&self) -> Revision {
        self.claim.revision()
    }

    /// Returns the revision as of which the lock was seen to be held: that of its key, or a later one.
    pub fn revision(&self) -> Revision {
        self.claim.first_at()
    }

    /// Returns the key that stands for the lock.
    pub fn key(&self) -> &Bytes {
        self.claim.key()
    }

    /// Returns the condition that the lock is held, for transactions that may only be done by its holder.
    pub fn condition(&self) -> Compare {
        self.claim.condition()
    }

    /// Waits until the lock is lost, and returns why: the session is lost, or somebody has deleted the key.
    pub async fn lost(&self) -> Error {
        self.claim.lost().await
    }

    /// Returns an error if the lock is known to be lost. That it is not known does not mean that it is held.
    ///
    /// # Errors
    /// As [`MutexGuard::lost`] returns.
    pub fn check(&self) -> Result<(), Error> {
        self.claim.check()
    }

    /// Lets the lock go.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] and [`Error::KeyLost`] if it was lost before. While no member can be reached it goes on
    /// trying, until the session is lost.
    pub async fn unlock(self) -> Result<(), Error> {
        self.claim.leave().await
    }
}
