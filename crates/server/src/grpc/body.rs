//! Response bodies: a message and trailers for a unary call, tonic's body for a stream, plain bytes for HTTP.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use engine::limits::REPLY_PIECE_BYTES;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use machine::Pieces;

use crate::limits::REPLY_PARTS_MANY;

/// The body of any response that a member sends.
pub(crate) enum ResponseBody {
    /// A unary gRPC reply: the message, then `grpc-status: 0`.
    Unary {
        /// The framed message.
        message: Message,
        /// Whether the trailers are sent.
        finished: bool,
    },
    /// A stream of messages.
    Stream(tonic::body::Body),
    /// An HTTP answer.
    Http(crate::http::Body),
    /// Bytes that are all there, or none.
    Full(Option<Bytes>),
}

impl ResponseBody {
    /// How many bytes of it are in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Unary { message, .. } => message.left(),
            Self::Full(bytes) => bytes.as_ref().map_or(0, Bytes::len),
            Self::Http(body) => body.size_hint().exact().map_or(0, |bytes| bytes as usize),
            // It makes its pieces when they are wanted.
            Self::Stream(_) => 0,
        }
    }

    /// Returns whether some of a message was handed out, and not all of it.
    pub(crate) fn is_amid_message(&self) -> bool {
        matches!(self, Self::Unary { message, .. } if message.left() > 0)
    }

    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self::Full(None)
    }
}

/// A message with its prefix, on its way out.
pub(crate) enum Message {
    /// In one piece; `None` once it is handed out.
    Short(Option<Bytes>),
    /// In pieces that are made when they are wanted.
    Long(Box<Pieces>),
}

impl Message {
    /// Returns a message of these pieces.
    pub(crate) fn long(pieces: Pieces) -> Self {
        Self::Long(Box::new(pieces))
    }

    /// Hands out the next piece.
    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Short(frame) => frame.take(),
            Self::Long(pieces) => pieces.next(),
        }
    }

    /// Returns how many bytes were not handed out.
    fn left(&self) -> usize {
        match self {
            Self::Short(frame) => frame.as_ref().map_or(0, Bytes::len),
            Self::Long(pieces) => pieces.left(),
        }
    }
}

impl Drop for Message {
    /// Lets go of the rest of a long list that is not sent: not on the thread that serves others (rule I1).
    fn drop(&mut self) {
        if let Self::Long(pieces) = self
            && pieces.segments_left() > REPLY_PARTS_MANY
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let nothing = Pieces::of(BytesMut::new(), machine::Body::empty(), REPLY_PIECE_BYTES);
            let rest = std::mem::replace(&mut **pieces, nothing);
            runtime.spawn_blocking(move || drop(rest));
        }
    }
}

fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match &mut *self {
            Self::Unary { message, finished } => Poll::Ready(match message.next() {
                Some(piece) => Some(Ok(Frame::data(piece))),
                None if *finished => None,
                None => {
                    *finished = true;
                    Some(Ok(Frame::trailers(ok_trailers())))
                }
            }),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
            Self::Http(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Unary { finished, .. } => *finished,
            Self::Stream(body) => body.is_end_stream(),
            Self::Http(body) => body.is_end_stream(),
            Self::Full(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(body) => body.size_hint(),
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(body) => body.size_hint(),
            Self::Unary { .. } => SizeHint::default(),
        }
    }
}
