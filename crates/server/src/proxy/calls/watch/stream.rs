//! A client's watch stream: its requests, served one after the other by a task, and its replies.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::super::caller::Caller;
use super::super::namespace;
use super::hub::{Handle, Hub};
use super::queue::Queue;
use super::reply::{Content, Reply};
use super::session::{Command, Signal};
use super::sharing::{Receiver, Scope, StreamId, WatcherId};
use crate::grpc::messages::Messages;

/// What a stream is called in its session, and the way there: known once the session knows of the stream.
type Way = (StreamId, mpsc::UnboundedSender<Signal>);

/// The replies of a stream. Dropping it cancels its watchers.
pub(in super::super) struct Watches {
    queue: Arc<Queue>,
    requests: tokio::task::AbortHandle,
    session: Arc<Mutex<Option<Way>>>,
    is_over: bool,
}

impl Hub {
    /// Serves a watch stream.
    pub(in super::super) fn watch(
        self: &Arc<Self>,
        caller: Caller,
        requests: Messages<WatchRequest>,
    ) -> Watches {
        let queue: Arc<Queue> = Arc::default();
        let session = Arc::new(Mutex::new(None));
        let (hub, replies, known) = (self.clone(), queue.clone(), session.clone());
        let serve = async move {
            let (stream, handle) = hub.open(&caller, &replies).await;
            *known.lock() = Some((stream, handle.signals.clone()));
            let end = Requests { hub, queue: replies.clone(), stream, handle, ids: Ids::default() }
                .serve(requests)
                .await;
            if let Err(status) = end {
                replies.end(status);
            }
        };
        Watches { queue, requests: tokio::spawn(serve).abort_handle(), session, is_over: false }
    }
}

impl Stream for Watches {
    type Item = Result<Reply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(self.queue.poll_next(cx));
        if next.has_room_again
            && let Some((stream, signals)) = &*self.session.lock()
        {
            let _ = signals.send(Signal::HasRoom(*stream));
        }
        self.is_over = next.item.is_err();
        Poll::Ready(Some(next.item))
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        // First: a session that hears of the stream only now does not keep it.
        self.queue.close();
        self.requests.abort();
        if let Some((stream, signals)) = &*self.session.lock() {
            let _ = signals.send(Signal::Closed(*stream));
        }
    }
}

/// The ids of a stream's watchers. They are chosen as a member does it.
#[derive(Debug, Default)]
struct Ids {
    used: BTreeSet<i64>,
    next: i64,
}

impl Ids {
    /// Takes the id that a client asks for, 0 being any. Returns `None` if it is in use.
    fn take(&mut self, asked: i64) -> Option<i64> {
        if asked != 0 {
            return self.used.insert(asked).then_some(asked);
        }
        while !self.used.insert(self.next) {
            self.next += 1;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// What serves the requests of a stream.
struct Requests {
    hub: Arc<Hub>,
    queue: Arc<Queue>,
    stream: StreamId,
    handle: Handle,
    ids: Ids,
}

/// A refusal that a member would give, in its words.
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const DUPLICATE: &str = "mvcc: duplicate watch ID provided on the WatchStream";

impl Requests {
    /// Serves the requests until there are no more: the client goes on receiving.
    async fn serve(mut self, mut requests: Messages<WatchRequest>) -> Result<(), Status> {
        loop {
            // A client that asks and does not read is not asked what else it wants.
            self.queue.room().await;
            let Some(request) = requests.next().await else { return Ok(()) };
            match request?.request_union {
                Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
                Some(RequestUnion::CancelRequest(cancel)) => {
                    let id = cancel.watch_id;
                    if self.ids.used.remove(&id) {
                        self.send(Command::Cancel(WatcherId { stream: self.stream, id })).await;
                    }
                }
                Some(RequestUnion::ProgressRequest(_)) => self.send(Command::Progress(self.stream)).await,
                None => {}
            }
        }
    }

    /// Has a watcher created, and waits until the client has been answered: it takes the answers in the order of its requests.
    async fn create(&mut self, create: WatchCreateRequest) {
        if create.start_revision < 0 {
            return self.refuse(COMPACTED);
        }
        let Some(id) = self.ids.take(create.watch_id) else { return self.refuse(DUPLICATE) };
        let watcher = WatcherId { stream: self.stream, id };
        let (key, range_end) =
            namespace::interval_of_watch(&self.hub.namespace, create.key, create.range_end);
        let mut filters = create.filters;
        filters.sort_unstable();
        filters.dedup();
        let scope = Scope { key, range_end, filters, prev_kv: create.prev_kv, fragment: create.fragment };
        let receiver = Receiver {
            next: create.start_revision,
            wants_progress: create.progress_notify,
            is_created: false,
        };
        let (answered, is_created) = oneshot::channel();
        self.send(Command::Create { watcher, scope, receiver, answered }).await;
        if !is_created.await.unwrap_or(false) {
            self.ids.used.remove(&id);
        }
    }

    fn refuse(&self, why: &str) {
        let refusal = WatchResponse {
            header: Some(Default::default()),
            created: true,
            canceled: true,
            cancel_reason: why.to_owned(),
            ..Default::default()
        };
        self.queue.push(Content::of(&refusal).to(-1));
    }

    async fn send(&self, command: Command) {
        // A session that has ended has ended this stream, too.
        let _ = self.handle.commands.send(command).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_chosen_as_a_member_chooses_them() {
        let mut ids = Ids::default();
        assert_eq!([0, 1, 0, 0, 1].map(|asked| ids.take(asked)), [Some(0), Some(1), Some(2), Some(3), None]);
        ids.used.remove(&2);
        assert_eq!(ids.take(0), Some(4), "one that is free again is not chosen");
        assert_eq!(ids.take(2), Some(2));
    }
}
