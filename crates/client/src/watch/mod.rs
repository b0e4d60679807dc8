//! Watches: the changes of keys as they happen.
//!
//! All watches of a client share one stream to one member ([`hub`]). When it breaks, a new one is opened, to another member
//! if need be, and each watch goes on with the revision after the last one that it has seen ([`entry`]).

mod entry;
mod hub;
mod line;
mod update;

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use proto::etcdserverpb as pb;
use tokio::sync::{mpsc, oneshot};

use self::entry::{Load, Order, WatchId};
pub(crate) use self::hub::Hub;
use self::hub::{Command, Commands};
pub use self::update::{Event, EventKind, Update};
use crate::call::Attached;
use crate::client::Client;
use crate::error::Error;
use crate::kv::KeyRange;
use crate::number::Revision;

/// A watch that is to begin. Awaiting it begins it, and returns when a member has confirmed that it watches.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::prefix;
/// let config = client.get(prefix("/config/")).await?;
/// let mut changes = client.watch(prefix("/config/")).from_revision(config.header.revision.next()).await?;
/// while let Some(update) = changes.next().await {
///     for event in update?.events {
///         println!("{:?} {}", event.kind, event.kv.key_str());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Watch {
    state: Attached,
    message: pb::WatchCreateRequest,
}

impl Watch {
    /// Begins with the changes of a revision, history included. Without it: with those that come.
    pub fn from_revision(mut self, revision: impl Into<Revision>) -> Watch {
        self.message.start_revision = revision.into().0;
        self
    }

    /// Asks for what was there before each change.
    pub fn prev_kv(mut self) -> Watch {
        self.message.prev_kv = true;
        self
    }

    /// Asks for a bookmark now and then while nothing changes: an [`Update`] without events.
    pub fn bookmarks(mut self) -> Watch {
        self.message.progress_notify = true;
        self
    }

    /// Leaves puts out.
    pub fn no_put(mut self) -> Watch {
        self.message.filters.push(pb::watch_create_request::FilterType::Noput.into());
        self
    }

    /// Leaves deletions out.
    pub fn no_delete(mut self) -> Watch {
        self.message.filters.push(pb::watch_create_request::FilterType::Nodelete.into());
        self
    }
}

impl IntoFuture for Watch {
    type Output = Result<Watcher, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let commands = self.state.client.watches();
            let (updates, received) = mpsc::unbounded_channel();
            let (created, confirmation) = oneshot::channel();
            let id = WatchId::fresh();
            let load = Load::new();
            let order = Order { id, message: self.message, updates, created, load: load.clone() };
            commands.send(Command::Create(Box::new(order))).map_err(|_| Error::Closed)?;
            // Dropped if the caller gives up now: that ends the watch.
            let mut watcher = Watcher { id, updates: received, commands, load, start: Revision(0) };
            watcher.start = confirmation.await.map_err(|_| Error::Closed)??;
            Ok(watcher)
        })
    }
}

/// A watch: a stream of [`Update`]s, in the order of their revisions, each once. Dropping it ends the watch.
///
/// A lost connection does not end it: it goes on at another member where it stopped. What ends it is an error that is its
/// last item, above all [`Error::Compacted`]: the history that it would go on with is gone, and the caller must read
/// again.
///
/// A reader that is slow for long costs no memory beyond a limit: its watch is suspended at the member, and goes on from
/// the history when the reader has caught up.
#[derive(Debug)]
pub struct Watcher {
    id: WatchId,
    updates: mpsc::UnboundedReceiver<Result<Update, Error>>,
    commands: Commands,
    load: Load,
    start: Revision,
}

impl Watcher {
    /// Returns the next update; `None` after an error.
    #[allow(clippy::should_implement_trait, reason = "the name that streams have, without a trait to import")]
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the revision that the watch begins with.
    pub fn start(&self) -> Revision {
        self.start
    }

    /// Asks the member for a bookmark now. It comes to all watches of the client.
    pub fn request_bookmark(&self) {
        let _ = self.commands.send(Command::Bookmark);
    }
}

impl Stream for Watcher {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.updates.poll_recv(context);
        if let Poll::Ready(Some(Ok(update))) = &polled
            && self.load.is_to_resume_after(update)
        {
            let _ = self.commands.send(Command::Resume(self.id));
        }
        polled
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Cancel(self.id));
    }
}

impl Client {
    /// Watches a key or a range of keys. See [`Watch`].
    pub fn watch(&self, keys: impl Into<KeyRange>) -> Watch {
        let keys = keys.into();
        let message = pb::WatchCreateRequest {
            key: keys.key,
            range_end: keys.end,
            fragment: true,
            ..Default::default()
        };
        Watch { state: Attached::new(self), message }
    }
}
