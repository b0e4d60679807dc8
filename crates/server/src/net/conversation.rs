//! What a connection's socket and the requests on it know of each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use crate::grpc::body::ResponseBody;

/// One connection. All of it happens on one thread, so the order of these stores never matters.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Requests that are not answered to the end.
    open: AtomicUsize,
    /// What the client speaks is known.
    has_spoken: AtomicBool,
}

impl Conversation {
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed)
    }

    pub(super) fn set_spoken(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }
}

/// A request, until its answer has been sent or given up.
#[derive(Debug)]
pub(super) struct Open(Arc<Conversation>);

impl Open {
    pub(super) fn new(conversation: Arc<Conversation>) -> Self {
        conversation.open.fetch_add(1, Ordering::Relaxed);
        Self(conversation)
    }

    /// The answer, from now on holding the request open.
    pub(super) fn answer(self, response: Response<ResponseBody>) -> Response<Answer> {
        response.map(|body| Answer { body, _open: self })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: ResponseBody,
    _open: Open,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
