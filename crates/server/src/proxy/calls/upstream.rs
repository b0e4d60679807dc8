//! The way to the members: one channel over all endpoints, for messages as they are.
//!
//! The channel is that of our client: it repeats what may be repeated, at another endpoint if there is one (rule K2), and ends a
//! call at the deadline that its client has set.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use client::{Answer, Channel, Client};
use http::header::{CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status};
use tower_service::Service;

use super::caller::Caller;
use super::raw::Raw;
use crate::api::method;
use crate::grpc::messages::PREFIX_BYTES;
use crate::grpc::request_body::framed;

/// The members.
pub(super) struct Upstream {
    client: Client,
    tls: client::Tls,
    send_bytes_max: usize,
    receive_bytes_max: usize,
}

/// A call on its way to a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) caller: &'a Caller,
    /// `grpc-timeout`, as the client has set it.
    pub(super) timeout: Option<&'a HeaderValue>,
}

impl Upstream {
    pub(super) fn new(
        client: Client,
        tls: client::Tls,
        send_bytes_max: usize,
        receive_bytes_max: usize,
    ) -> Arc<Upstream> {
        Arc::new(Upstream { client, tls, send_bytes_max, receive_bytes_max })
    }

    /// Returns whose certificates are accepted.
    pub(super) fn tls(&self) -> &client::Tls {
        &self.tls
    }

    /// Returns the client, for what the proxy does for itself.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn channel(&self) -> Channel {
        self.client.channel()
    }

    /// Returns how many bytes a message of a member may have.
    pub(super) fn receive_bytes_max(&self) -> usize {
        self.receive_bytes_max
    }

    /// Makes a call with one message each way.
    ///
    /// # Errors
    /// The status that a member has answered with, or why none has answered.
    pub(super) async fn unary(
        &self,
        method: method::Method,
        call: Call<'_>,
        message: Raw,
    ) -> Result<Raw, Status> {
        let answer = self.open(method, call, message).await?;
        let mut body = answer.into_body();
        let mut received = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    received.extend_from_slice(&data);
                    self.check_length(&received)?;
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    match Status::from_header_map(&trailers) {
                        Some(status) if status.code() != Code::Ok => return Err(status),
                        _ => return message_of(received),
                    }
                }
            }
        }
        Err(Status::internal("server closed the stream without sending trailers"))
    }

    /// Makes a call with one message, and returns the head of the answer with its body.
    ///
    /// # Errors
    /// The status that a member has answered with and nothing else, or why none has answered.
    pub(super) async fn open(
        &self,
        method: method::Method,
        call: Call<'_>,
        Raw(message): Raw,
    ) -> Result<Response<Answer>, Status> {
        if message.len() > self.send_bytes_max {
            let (length, limit) = (message.len(), self.send_bytes_max);
            return Err(Status::resource_exhausted(format!(
                "trying to send message larger than max ({length} vs. {limit})"
            )));
        }
        let answer = self.channel().call(request(method, call, &message)).await?;
        match Status::from_header_map(answer.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(answer),
        }
    }

    /// Refuses a message that is too long as soon as its length has come.
    fn check_length(&self, received: &[u8]) -> Result<(), Status> {
        let Some(mut length) = received.get(1..PREFIX_BYTES) else { return Ok(()) };
        let (length, limit) = (length.get_u32() as usize, self.receive_bytes_max);
        if length <= limit {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!(
            "grpc: received message larger than max ({length} vs. {limit})"
        )))
    }
}

/// Returns the one message that was received.
fn message_of(received: BytesMut) -> Result<Raw, Status> {
    let mut received = received.freeze();
    let is_whole = received.len() >= PREFIX_BYTES
        && (&received[1..PREFIX_BYTES]).get_u32() as usize == received.len() - PREFIX_BYTES;
    // Nothing was said about compression, so nothing may be compressed.
    if !is_whole || received[0] != 0 {
        return Err(Status::internal("the member's answer is not one message"));
    }
    Ok(Raw(received.split_off(PREFIX_BYTES)))
}

fn request(method: method::Method, call: Call<'_>, message: &Bytes) -> Request<tonic::body::Body> {
    let mut request = Request::new(tonic::body::Body::new(Full::new(framed(message))));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(method);
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(timeout) = call.timeout {
        headers.insert("grpc-timeout", timeout.clone());
    }
    call.caller.add_to(headers);
    request
}

fn uri(method: method::Method) -> Uri {
    let path = format!("/{}/{}", method.service(), method.name());
    let path = PathAndQuery::from_maybe_shared(path);
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path.expect("the names of methods make a path"));
    Uri::from_parts(parts).expect("a path alone is a URI")
}
