//! Response bodies: one frame and trailers for a unary call, tonic's body for a stream, plain bytes for HTTP.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

/// The body of any response that a member sends.
pub(crate) enum ResponseBody {
    /// A unary gRPC reply: the message, then `grpc-status: 0`.
    Unary {
        /// The framed message; `None` once it is sent.
        frame: Option<Bytes>,
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
            Self::Unary { frame, .. } | Self::Full(frame) => frame.as_ref().map_or(0, Bytes::len),
            Self::Http(body) => body.size_hint().exact().map_or(0, |bytes| bytes as usize),
            // It makes its pieces when they are wanted.
            Self::Stream(_) => 0,
        }
    }

    /// A body without a byte.
    pub(crate) fn empty() -> Self {
        Self::Full(None)
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
            Self::Unary { frame, finished } => Poll::Ready(match frame.take() {
                Some(frame) => Some(Ok(Frame::data(frame))),
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
