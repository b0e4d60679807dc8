//! An election.

use bytes::Bytes;

use super::claim::Claim;
use super::session::Session;
use super::under;
use crate::call::Attached;
use crate::client::Client;
use crate::error::Error;
use crate::kv::{Get, IntoBytes, KeyRange, KeyValue, Order, SortBy, prefix, put};
use crate::number::Revision;
use crate::txn::Compare;
use crate::watch::{EventKind, Watcher};

/// An election: of those who campaign one leads, with a value that everybody can read. Whoever campaigned first leads
/// next.
///
/// That somebody was elected does not keep a former leader, who has not heard of it, from acting: see the
/// [limits](crate::recipes) and what to do about them.
///
/// `etcdctl elect` and Go's `concurrency.Election` of the same name take part in it.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let session = client.session(std::time::Duration::from_secs(10)).await?;
/// let election = client.election("elections/scheduler");
/// let lead = election.campaign(&session, "10.0.0.7:80").await?;
/// tokio::select! {
///     why = lead.lost() => eprintln!("stop at once: {why}"),
///     () = work(lead.token()) => lead.resign().await?,
/// }
/// # Ok(()) }
/// # async fn work(_: quorate_client::Revision) {}
/// ```
#[derive(Debug, Clone)]
pub struct Election {
    client: Client,
    name: Bytes,
}

impl Client {
    /// Returns the election of a name. See [`Election`].
    pub fn election(&self, name: impl IntoBytes) -> Election {
        Election { client: self.clone(), name: name.into_bytes() }
    }
}

impl Election {
    /// Waits to be elected. A caller that stops waiting does not campaign any more.
    ///
    /// # Errors
    /// As [`Mutex::lock`](super::Mutex::lock).
    pub async fn campaign(&self, session: &Session, value: impl IntoBytes) -> Result<Leadership, Error> {
        let mut claim = Claim::enter(session, &self.name, value.into_bytes()).await?;
        claim.reach_front().await?;
        Ok(Leadership { claim })
    }

    /// Returns the key and the value of the leader; `None` if nobody leads.
    ///
    /// # Errors
    /// As any read.
    pub async fn leader(&self) -> Result<Option<KeyValue>, Error> {
        Ok(first(&self.client, &self.line()).await?.kvs.pop())
    }

    /// Reports the leader, and each one after that, and each new value of a leader.
    pub fn observe(&self) -> Leaders {
        Leaders { client: self.client.clone(), line: self.line(), state: State::Unknown }
    }

    fn line(&self) -> KeyRange {
        prefix(under(&self.name, ""))
    }
}

fn first(client: &Client, line: &KeyRange) -> Get<Attached> {
    client.get(line.clone()).sort(SortBy::CreateRevision, Order::Ascending).limit(1)
}

/// The lead of an election. Dropping it resigns, in the background.
#[derive(Debug)]
#[must_use = "dropping this resigns"]
pub struct Leadership {
    claim: Claim,
}

impl Leadership {
    /// Returns the fencing token: greater than that of every leader before. It is the create revision of
    /// [`Leadership::key`].
    pub fn token(&self) -> Revision {
        self.claim.revision()
    }

    /// Returns the key that stands for the lead.
    pub fn key(&self) -> &Bytes {
        self.claim.key()
    }

    /// Returns the condition that this leads, for transactions that may only be done by the leader.
    pub fn condition(&self) -> Compare {
        self.claim.condition()
    }

    /// Waits until the lead is lost, and returns why: the session is lost, or somebody has deleted the key.
    pub async fn lost(&self) -> Error {
        self.claim.lost().await
    }

    /// Returns an error if the lead is known to be lost. That it is not known does not mean that this leads.
    ///
    /// # Errors
    /// As [`Leadership::lost`] returns.
    pub fn check(&self) -> Result<(), Error> {
        self.claim.check()
    }

    /// Changes the value that everybody can read.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] or [`Error::KeyLost`] if the lead is lost, else as any write.
    pub async fn proclaim(&self, value: impl IntoBytes) -> Result<(), Error> {
        let session = self.claim.session();
        let operation = put(self.key(), value).lease(session.lease().id());
        let answer = session.client().txn().when([self.condition()]).then([operation]).await?;
        if answer.succeeded { Ok(()) } else { Err(session.loss_of(self.key()).await) }
    }

    /// Gives up the lead.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] and [`Error::KeyLost`] if it was lost before. While no member can be reached it goes on
    /// trying, until the session is lost.
    pub async fn resign(self) -> Result<(), Error> {
        self.claim.leave().await
    }
}

/// The leaders of an election, one after the other. A leader who leads only for a moment may be passed over.
#[derive(Debug)]
pub struct Leaders {
    client: Client,
    line: KeyRange,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Who leads is to be read.
    Unknown,
    /// There was a leader, whose key is watched.
    Led { key: Bytes, made: Revision, changes: Watcher },
    /// Nobody led; the line is watched.
    Vacant(Watcher),
}

impl Leaders {
    /// Waits for the next leader, or for the next value of the same one. It is well if the caller stops waiting, and calls
    /// it again.
    ///
    /// # Errors
    /// As any read, and as any watch; it may be called again.
    pub async fn next(&mut self) -> Result<KeyValue, Error> {
        loop {
            let next = match &mut self.state {
                State::Unknown => self.read().await?,
                State::Led { key, made, changes } => news(changes, key, *made).await,
                State::Vacant(changes) => {
                    let _ = changes.next().await;
                    None
                }
            };
            match next {
                Some(leader) => return Ok(leader),
                // What the watch says of the rest of the line is left to a read.
                None if matches!(self.state, State::Unknown) => {}
                None => self.state = State::Unknown,
            }
        }
    }

    /// Reads who leads, and begins to watch.
    async fn read(&mut self) -> Result<Option<KeyValue>, Error> {
        let answer = first(&self.client, &self.line).await?;
        let next = answer.header.revision.next();
        match answer.kvs.into_iter().next() {
            Some(leader) => {
                let changes = self.client.watch(&leader.key).from_revision(next).await?;
                let (key, made) = (leader.key.clone(), leader.create_revision);
                self.state = State::Led { key, made, changes };
                Ok(Some(leader))
            }
            None => {
                let changes = self.client.watch(self.line.clone()).from_revision(next).no_delete().await?;
                self.state = State::Vacant(changes);
                Ok(None)
            }
        }
    }
}

/// Waits for the next value of a leader; `None` if it leads no more, or if the watch has ended.
async fn news(changes: &mut Watcher, key: &Bytes, made: Revision) -> Option<KeyValue> {
    loop {
        let update = changes.next().await?.ok()?;
        let last = update.events.into_iter().next_back();
        match last {
            None => {}
            Some(event) if event.kind == EventKind::Delete => return None,
            Some(event) if event.kv.create_revision != made || event.kv.key != key => return None,
            Some(event) => return Some(event.kv),
        }
    }
}
