//! `etcdserverpb.Watch`.

mod sending;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use engine::author::Author;
use engine::spawn;
use engine::watch::reply::WatchReply;
use engine::watch::watcher::{CreateWatch, Options, StreamId};
use machine::Rejection;
use machine::auth::Access;
use mvcc::{KeyRange, RangeEnd};
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use self::sending::Sending;
use super::Api;
use super::status::rejected;
use crate::auth::Caller;
use crate::grpc::messages::Messages;

/// The responses of one watch stream. Dropping it cancels its watchers.
pub(crate) struct Watches {
    api: Arc<Api>,
    stream: StreamId,
    requests: tokio::task::AbortHandle,
    ended: tokio::sync::oneshot::Receiver<Status>,
    /// The response that is on its way.
    sending: Option<Sending>,
}

impl Api {
    /// Opens a watch stream; its requests are served by a task of its own.
    pub(crate) fn watch(self: &Arc<Self>, caller: Caller, requests: Messages<WatchRequest>) -> Watches {
        let stream = self.worker.with_hub(|hub| hub.open());
        let (end, ended) = tokio::sync::oneshot::channel();
        let serve = serve(self.clone(), caller, stream, requests, end);
        Watches {
            api: self.clone(),
            stream,
            requests: spawn::task("watch stream", serve).abort_handle(),
            ended,
            sending: None,
        }
    }
}

impl Stream for Watches {
    type Item = Result<WatchReply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(sent) = self.sending.take() {
            sent.observe(&self.api.metrics.mvcc);
        }
        if let Poll::Ready(Ok(status)) = Pin::new(&mut self.ended).poll(cx) {
            return Poll::Ready(Some(Err(status)));
        }
        match self.api.worker.with_hub(|hub| hub.next_reply(self.stream, cx.waker())) {
            Some(reply) => {
                self.sending = Some(Sending::begin(&reply));
                Poll::Ready(Some(Ok(reply)))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.requests.abort();
        self.api.worker.with_hub(|hub| hub.close(self.stream));
    }
}

/// Serves the requests of a stream and its progress clock. A client that closes its half goes on receiving.
async fn serve(
    api: Arc<Api>,
    caller: Caller,
    stream: StreamId,
    mut requests: Messages<WatchRequest>,
    end: tokio::sync::oneshot::Sender<Status>,
) {
    let mut progress = tokio::time::interval(progress_period(api.settings.progress_interval, stream));
    progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    progress.reset();
    let mut open = true;
    loop {
        tokio::select! {
            request = next_request(&api, stream, &mut requests), if open => match request {
                Some(Ok(request)) => handle(&api, &caller, stream, request).await,
                Some(Err(status)) => {
                    let _ = end.send(status);
                    return;
                }
                None => open = false,
            },
            _ = progress.tick() => api.worker.with_hub(|hub| hub.progress_tick(stream)),
        }
    }
}

/// The next request, once the client has read enough of the answers to those before: what it does not read waits in
/// memory.
async fn next_request(
    api: &Api,
    stream: StreamId,
    requests: &mut Messages<WatchRequest>,
) -> Option<Result<WatchRequest, Status>> {
    std::future::poll_fn(|cx| {
        let taken = api.worker.with_hub(|hub| hub.takes_requests(stream, cx.waker()));
        if taken { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    requests.next().await
}

/// The interval and up to a tenth more, so that the streams of a member do not tick in step (etcd adds a random part;
/// here the stream's number spreads them).
fn progress_period(interval: Duration, stream: StreamId) -> Duration {
    interval + interval / 10 * stream.spread() / 256
}

async fn handle(api: &Api, caller: &Caller, stream: StreamId, request: WatchRequest) {
    let current = api.view().revision();
    match request.request_union {
        Some(RequestUnion::CreateRequest(create)) => create_watch(api, caller, stream, create).await,
        Some(RequestUnion::CancelRequest(cancel)) => {
            api.worker.with_hub(|hub| hub.cancel(stream, cancel.watch_id, current));
        }
        Some(RequestUnion::ProgressRequest(_)) => api.worker.with_hub(|hub| hub.progress_request(stream)),
        None => {}
    }
}

/// Creates a watch, or refuses it. Permission is looked at first, on the request as it was sent
/// (rule S2); from then on the hub looks at it whenever users or permissions have changed (rule V6).
/// If they have changed in between, the hub has looked already, and it is asked again here.
async fn create_watch(api: &Api, caller: &Caller, stream: StreamId, request: WatchCreateRequest) {
    loop {
        let seen = api.auth.published.generation();
        let permitted = permit(api, caller, &request).await;
        let current = api.view().revision();
        let create = permitted.map(|author| create_of(&request, &author));
        let is_done = api.worker.with_hub(|hub| {
            let is_current = hub.is_permitted_in(seen);
            match create {
                Ok(_) if request.start_revision < 0 => {
                    hub.refuse(stream, machine::Rejection::Compacted.text(), current);
                }
                Ok(create) if is_current => hub.create(stream, create, current),
                Ok(_) => return false,
                Err(status) => hub.refuse(stream, &cancel_reason(&status), current),
            }
            true
        });
        if is_done {
            return;
        }
    }
}

/// Returns what a request means to the hub.
fn create_of(request: &WatchCreateRequest, author: &Author) -> CreateWatch {
    let filters = |wanted: FilterType| request.filters.contains(&(wanted as i32));
    let options = Options {
        no_put: filters(FilterType::Noput),
        no_delete: filters(FilterType::Nodelete),
        prev_kv: request.prev_kv,
        fragment: request.fragment,
        progress_notify: request.progress_notify,
    };
    CreateWatch {
        start_revision: (request.start_revision > 0).then_some(request.start_revision),
        watch_id: (request.watch_id != 0).then_some(request.watch_id),
        range: range_of(&request.key, &request.range_end),
        user: author.user().cloned(),
        options,
    }
}

/// Returns on whose behalf a watch is created, if that may be.
async fn permit(api: &Api, caller: &Caller, request: &WatchCreateRequest) -> Result<Author, Status> {
    let state = api.auth.published.state();
    if !state.is_enabled() {
        // The name counts once authentication is on.
        return Ok(caller.common_name().map_or(Author::Nobody, |name| Author::named(name, &state)));
    }
    let (author, state) = api.identified(caller).await?;
    state.authorise(author.identity(), Access::Watch(request)).map_err(rejected)?;
    Ok(author)
}

/// Returns the words in which etcd cancels a watch: with the code, and anything that it does not
/// know as a lack of permission.
fn cancel_reason(status: &Status) -> String {
    let known = [Rejection::InvalidAuthToken, Rejection::AuthOldRevision, Rejection::UserEmpty];
    let rejection = known.into_iter().find(|known| known.text() == status.message());
    engine::watch::permission::reason_of(rejection.unwrap_or(Rejection::PermissionDenied))
}

/// The range of a watch: an empty key means the first possible one, also where no range is asked for.
fn range_of(key: &Bytes, range_end: &Bytes) -> KeyRange {
    let start = if key.is_empty() { Bytes::from_static(&[0]) } else { detach(key) };
    let end = match &range_end[..] {
        [] => RangeEnd::Single,
        [0] => RangeEnd::Open,
        _ => RangeEnd::Before(detach(range_end)),
    };
    KeyRange { start, end }
}

/// A copy of its own: a watcher lives long, and a slice would keep the whole network buffer.
fn detach(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
