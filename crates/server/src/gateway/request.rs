//! What a request brings: one object of JSON, or a stream of them, and headers.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method as Verb, Uri};
use http_body::Body;
use hyper::body::Incoming;
use tonic::{Code, Status};

use super::json::Shapes;
use super::split::Splitter;
use super::{Call, path_of};
use crate::api::Api;
use crate::api::method::Method;
use crate::grpc::messages::PREFIX_BYTES;
use crate::grpc::request_body::{RequestBody, framed};
use crate::grpc::unfinished::Unfinished;
use crate::tls::CertificateName;

/// What a header with metadata begins with. The rest is the name of the metadata.
const METADATA: &str = "grpc-metadata-";

/// Says that a call comes from the gateway.
const FROM_GATEWAY: HeaderName = HeaderName::from_static("grpcgateway-accept");

/// What is wrong with a stream of requests, once it is known: to be said where the replies end.
pub(super) type Fault = Arc<OnceLock<Status>>;

/// Returns whether a request may be one of a program, or says that it is JSON. A page of any origin can make a browser send
/// forms and plain text without asking; for JSON the browser asks first, and is told by `--cors` (rule S10). It says with
/// `Origin` that it sends for a page.
pub(super) fn is_declared(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    !headers.contains_key(ORIGIN) || kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Returns the call for a request with these messages.
pub(super) fn call(method: Method, head: &Parts, messages: RequestBody) -> Call {
    let mut call = Call::new(messages);
    *call.method_mut() = Verb::POST;
    *call.uri_mut() = path_of(method).parse::<Uri>().expect("a method's path is one");
    *call.headers_mut() = metadata(&head.headers);
    *call.extensions_mut() = head.extensions.clone();
    call.extensions_mut().remove::<CertificateName>();
    call
}

/// Returns the metadata of a call: who calls, what has a name of metadata, and the deadline.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        let name = match name.as_str() {
            "grpc-timeout" => name.clone(),
            name => match name.strip_prefix(METADATA).map(str::parse) {
                Some(Ok(name)) if !is_about_messages(&name) => name,
                _ => continue,
            },
        };
        metadata.append(name, value.clone());
    }
    if let Some(token) = headers.get(AUTHORIZATION) {
        metadata.insert(AUTHORIZATION, token.clone());
    }
    metadata.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    metadata.insert(FROM_GATEWAY, HeaderValue::from_static("application/json"));
    metadata
}

/// Returns whether a header says what messages are like, which no client of the gateway can know.
fn is_about_messages(name: &HeaderName) -> bool {
    name == CONTENT_TYPE || name.as_str().starts_with("grpc-")
}

/// Returns the longest JSON that is taken for a message of so many bytes: base64 makes four of three, and there are names
/// and blanks.
fn json_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_mul(2)
}

fn too_long(bytes: usize, bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({bytes} vs. {bytes_max})"))
}

/// Reads the one object of a request.
///
/// # Errors
/// It is too long, is cut off, or is no message of the method.
pub(super) async fn whole(api: &Api, shapes: &Shapes, mut body: Incoming) -> Result<RequestBody, Status> {
    let bytes_max = json_bytes_max(api.settings.receive_bytes_max);
    let mut unfinished = Unfinished::new(&api.unfinished);
    let mut json = BytesMut::new();
    let read = std::future::poll_fn(|cx| {
        loop {
            unfinished.is_now(json.len(), cx)?;
            match ready!(next_data(&mut body, cx))? {
                None => return Poll::Ready(Ok::<_, Status>(())),
                Some(more) if json.len() + more.len() > bytes_max => {
                    return Poll::Ready(Err(too_long(json.len() + more.len(), bytes_max)));
                }
                Some(more) => json.extend_from_slice(&more),
            }
        }
    });
    read.await?;
    let message = shapes.decode(json.freeze()).await?;
    Ok(RequestBody::of_frames(futures_util::stream::iter([framed(&message)])))
}

/// Returns the next bytes of a body; `None` at its end.
fn next_data(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
    loop {
        let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) else { return Poll::Ready(Ok(None)) };
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        // Trailers mean nothing here.
        if let Ok(data) = frame.into_data() {
            return Poll::Ready(Ok(Some(data)));
        }
    }
}

/// Returns the messages of a request that has many, each as soon as it is there.
pub(super) fn stream(api: &Api, shapes: &Shapes, body: Incoming, fault: Fault) -> RequestBody {
    let objects = Objects {
        body,
        have: BytesMut::new(),
        looked_at: 0,
        splitter: Splitter::default(),
        bytes_max: json_bytes_max(api.settings.receive_bytes_max),
        unfinished: Unfinished::new(&api.unfinished),
    };
    let shapes = shapes.clone();
    let messages = objects.then(move |object| {
        let shapes = shapes.clone();
        async move { shapes.decode(object?).await }
    });
    let messages = messages.scan(fault, |fault, message| std::future::ready(frame_or_fault(fault, message)));
    RequestBody::of_frames(messages)
}

/// Returns the frame of a message. What is none is noted, and is a frame that no call takes, so that the call ends; nothing follows
/// it.
fn frame_or_fault(fault: &Fault, message: Result<Vec<u8>, Status>) -> Option<Bytes> {
    if fault.get().is_some() {
        return None;
    }
    match message {
        Ok(message) => Some(framed(&message)),
        Err(status) => {
            let is_gone = status.code() == Code::Cancelled;
            let _ = fault.set(status);
            (!is_gone).then_some(Bytes::from_static(&[0xff; PREFIX_BYTES]))
        }
    }
}

/// The objects of a body.
struct Objects {
    body: Incoming,
    /// What has come and is not handed out.
    have: BytesMut,
    /// How much of it the splitter has seen.
    looked_at: usize,
    splitter: Splitter,
    bytes_max: usize,
    unfinished: Unfinished,
}

impl Objects {
    /// Returns the next object, if it is there.
    fn split(&mut self) -> Result<Option<Bytes>, Status> {
        let end = self.splitter.end_of_object(&self.have[self.looked_at..]);
        let end = end.map_err(|_| Status::invalid_argument("each message of a stream is a JSON object"))?;
        let Some(end) = end else {
            if self.splitter.is_between_objects() {
                self.have.clear();
            }
            self.looked_at = self.have.len();
            return Ok(None);
        };
        let object = Bytes::copy_from_slice(&self.have[..self.looked_at + end]);
        self.have.advance(self.looked_at + end);
        self.looked_at = 0;
        Ok(Some(object))
    }

    fn poll_object(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(object) = self.split()? {
                self.unfinished.is_now(self.have.len(), cx)?;
                return Poll::Ready(Ok(Some(object)));
            }
            if self.have.len() > self.bytes_max {
                return Poll::Ready(Err(too_long(self.have.len(), self.bytes_max)));
            }
            self.unfinished.is_now(self.have.len(), cx)?;
            match ready!(next_data(&mut self.body, cx))? {
                Some(more) => self.have.extend_from_slice(&more),
                None if self.have.is_empty() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(Status::invalid_argument("unexpected EOF"))),
            }
        }
    }
}

impl Stream for Objects {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_object(cx).map(Result::transpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_headers_go_on_what_is_for_the_api() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "secret"),
            ("grpc-timeout", "3S"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-grpc-encoding", "gzip"),
            ("grpc-metadata-content-type", "text/html"),
            ("content-length", "7"),
            ("token", "another"),
            ("host", "localhost"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let metadata = metadata(&headers);
        let mut names: Vec<_> = metadata.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["authorization", "content-type", "grpc-timeout", "grpcgateway-accept", "hasleader"]
        );
        assert_eq!(metadata["content-type"], "application/grpc");
    }
}
