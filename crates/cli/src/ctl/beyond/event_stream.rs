//! A stream of watch responses, for commands that read it to an end of their own.

use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::refusal;

/// Requests that may wait: one to create, and those for progress.
const REQUESTS_MAX: usize = 4;

/// One watch on a stream of its own.
pub struct EventStream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl EventStream {
    /// Begins a watch.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub async fn open(session: &Session, create: WatchCreateRequest) -> Result<EventStream, Failure> {
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        let first = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let _ = requests.try_send(first);
        let queue = ReceiverStream::new(queue);
        let responses = session.answer(session.watch_stub().watch(queue)).await?;
        Ok(EventStream { requests, responses })
    }

    /// Returns the next response.
    ///
    /// # Errors
    /// When the stream or the watch ends; a watch that was compacted away is a response.
    pub async fn next(&mut self) -> Result<WatchResponse, Failure> {
        let response = self.responses.message().await.map_err(|status| refusal::of_status(&status))?;
        let response = response.ok_or_else(|| Failure::error("the watch stream ended"))?;
        match response.canceled && response.compact_revision == 0 {
            true => Err(Failure::error(format!("the watch was cancelled: {}", response.cancel_reason))),
            false => Ok(response),
        }
    }

    /// Asks for a progress notification. A server answers when all that happened was sent, and not at all before.
    pub fn ask_for_progress(&self) {
        let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
        // A queue that is full holds such a request already.
        let _ = self.requests.try_send(WatchRequest { request_union: Some(request) });
    }
}

/// Returns whether a response says that everything up to its revision was sent.
pub fn is_progress(response: &WatchResponse) -> bool {
    response.events.is_empty() && !response.created && !response.canceled
}
