//! A stream to a member, both ways. Requests wait here until the member takes them; responses are read meanwhile, so that neither
//! side waits for the other.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::super::limits::OUTGOING_MAX;

/// A stream to a member.
pub(super) struct Line<Q, R> {
    requests: mpsc::Sender<Q>,
    outgoing: VecDeque<Q>,
    responses: Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>,
}

impl<Q: Send + 'static, R: Send + 'static> Line<Q, R> {
    /// Opens a stream with a method of a stub. A member answers with its first response.
    pub(super) fn open<F>(call: impl FnOnce(ReceiverStream<Q>) -> F) -> Self
    where
        F: Future<Output = Result<Response<Streaming<R>>, Status>> + Send + 'static,
    {
        let (requests, receive) = mpsc::channel(1);
        let responses = call(ReceiverStream::new(receive)).into_stream().map(|opened| match opened {
            Ok(responses) => responses.into_inner().left_stream(),
            Err(status) => stream::iter([Err(status)]).right_stream(),
        });
        Self { requests, outgoing: VecDeque::new(), responses: Box::pin(responses.flatten()) }
    }

    /// Adds a request.
    pub(super) fn send(&mut self, request: Q) {
        self.outgoing.push_back(request);
    }

    /// Returns whether so many requests wait that others must.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() >= OUTGOING_MAX
    }

    /// Sends what waits, and returns the next response. Nothing is lost if it is not awaited to its end.
    ///
    /// # Errors
    /// With which status the stream has ended.
    pub(super) async fn next(&mut self) -> Result<R, Status> {
        loop {
            let permit = async {
                match self.outgoing.is_empty() {
                    true => pending().await,
                    false => self.requests.reserve().await,
                }
            };
            tokio::select! {
                response = self.responses.next() => {
                    return response.unwrap_or_else(|| Err(Status::unavailable("the member has ended the stream")));
                }
                permit = permit => match (permit, self.outgoing.pop_front()) {
                    (Ok(permit), Some(request)) => permit.send(request),
                    // The responses say why.
                    _ => self.outgoing.clear(),
                },
            }
        }
    }
}
