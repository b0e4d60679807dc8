//! The body of a call: a client's, or messages that were made in this process.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use prost::Message;

use super::unary::add_prefix;

/// Messages that were made here, each with its prefix.
type Made = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of a call.
pub(crate) enum RequestBody {
    /// As it comes from a client.
    Client(Incoming),
    /// Messages that were made here.
    Made(Made),
}

impl RequestBody {
    /// Returns a body of framed messages that come one after the other.
    pub(crate) fn of_frames(frames: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::Made(Box::pin(frames))
    }
}

/// Returns an encoded message with its prefix.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(super::messages::PREFIX_BYTES + message.len());
    add_prefix(0, message.len(), &mut frame);
    frame.extend_from_slice(message);
    frame.freeze()
}

/// Returns a message as a frame.
pub(crate) fn frame_of(message: &impl Message) -> Bytes {
    framed(&message.encode_to_vec())
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Client(body) => Pin::new(body).poll_frame(cx),
            Self::Made(frames) => {
                let frame = ready!(frames.as_mut().poll_next(cx));
                Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
            }
        }
    }
}
