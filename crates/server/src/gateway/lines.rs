//! The replies of a stream, a line of JSON each.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::Response;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use super::json::Shapes;
use super::request::Fault;
use super::status::{failure, json, last_line};
use crate::grpc::body::ResponseBody;
use crate::grpc::messages::PREFIX_BYTES;

/// Returns the response for the replies of a stream.
pub(super) fn many(shapes: Shapes, replies: Response<ResponseBody>, fault: Fault) -> Response<ResponseBody> {
    if let Some(status) = Status::from_header_map(replies.headers()) {
        return failure(&status);
    }
    let lines = Lines {
        shapes,
        replies: replies.into_body(),
        have: BytesMut::new(),
        converting: None,
        end: None,
        is_over: false,
        fault,
    };
    json(ResponseBody::Stream(tonic::body::Body::new(lines)))
}

/// Replies as lines.
struct Lines {
    shapes: Shapes,
    replies: ResponseBody,
    /// What has come of the replies and is not converted.
    have: BytesMut,
    converting: Option<BoxFuture<'static, Result<Vec<u8>, Status>>>,
    /// How the replies have ended.
    end: Option<Status>,
    is_over: bool,
    /// What is wrong with the requests.
    fault: Fault,
}

impl Lines {
    /// Returns the next message of the replies; `None` at their end.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(message) = split_message(&mut self.have) {
                return Poll::Ready(Some(message));
            }
            if self.end.is_some() {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.replies).poll_frame(cx)) {
                None => self.end = Some(Status::ok("")),
                Some(Err(status)) => self.end = Some(status),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.have.extend_from_slice(&data),
                    Err(frame) => self.end = frame.trailers_ref().and_then(Status::from_header_map),
                },
            }
        }
    }

    /// Returns the next line; `None` at the end.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        loop {
            if let Some(converting) = &mut self.converting {
                let converted = ready!(converting.as_mut().poll(cx));
                self.converting = None;
                match converted {
                    Ok(json) => return Poll::Ready(Some(line_of(&json))),
                    Err(status) => return Poll::Ready(self.last_line(Some(status))),
                }
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            match ready!(self.poll_message(cx)) {
                Some(message) => {
                    let shapes = self.shapes.clone();
                    self.converting = Some(Box::pin(async move { shapes.encode(message).await }));
                }
                None => {
                    let status = self.fault.get().cloned().or(self.end.take());
                    return Poll::Ready(self.last_line(status));
                }
            }
        }
    }

    /// Ends the lines. Returns the one that says why, if it is an error.
    fn last_line(&mut self, status: Option<Status>) -> Option<Vec<u8>> {
        self.is_over = true;
        status.filter(|status| status.code() != Code::Ok).map(|status| last_line(&status))
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let line = ready!(self.poll_line(cx));
        Poll::Ready(line.map(|line| Ok(Frame::data(line.into()))))
    }
}

/// Splits a message off, if it is whole.
fn split_message(have: &mut BytesMut) -> Option<Bytes> {
    let [_, length @ ..] = *have.first_chunk::<PREFIX_BYTES>()?;
    let length = u32::from_be_bytes(length) as usize;
    if have.len() < PREFIX_BYTES + length {
        return None;
    }
    have.advance(PREFIX_BYTES);
    Some(have.split_to(length).freeze())
}

fn line_of(json: &[u8]) -> Vec<u8> {
    [b"{\"result\":", json, b"}\n"].concat()
}
