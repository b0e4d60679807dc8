//! The body of a request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// What follows the head of a request.
pub(crate) enum Outgoing {
    /// One message, until it is taken. It goes without a box of its own, and ends the stream in the frame that it is in.
    Message(Option<Bytes>),
    /// Messages as they come.
    Stream(Body),
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Outgoing::Message(message) => Poll::Ready(message.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Message(message) => message.is_none(),
            Outgoing::Stream(body) => body.is_end_stream(),
        }
    }

    /// Returns nothing exact for a message: hyper would add a header with its length, which gRPC has no use for.
    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Message(_) => SizeHint::default(),
            Outgoing::Stream(body) => body.size_hint(),
        }
    }
}
