//! A call of any method: one message in, and the first that comes back, as bytes.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use proto::etcdserverpb::WatchResponse;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Messages as they are on the wire.
#[derive(Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Puts a token into a request.
pub(crate) fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.parse().expect("a token is ASCII"));
    }
    request
}

/// Calls a method, whatever its kind: unary and streaming calls are the same on the wire.
pub(crate) async fn call(
    channel: &Channel,
    path: &str,
    message: Bytes,
    token: Option<&str>,
) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    // The client's half stays open: some streams end with it.
    let messages = tokio_stream::StreamExt::chain(tokio_stream::once(message), tokio_stream::pending());
    let is_watch = path == "/etcdserverpb.Watch/Watch";
    let is_open = is_watch || path.ends_with("/LeaseKeepAlive");
    let path: PathAndQuery = path.parse().expect("a path");
    let mut replies = if is_open {
        grpc.streaming(with_token(messages, token), path, Raw).await?.into_inner()
    } else {
        let only = tokio_stream::StreamExt::take(messages, 1);
        grpc.streaming(with_token(only, token), path, Raw).await?.into_inner()
    };
    let first = replies.message().await?.unwrap_or_default();
    if is_watch {
        refusal_of_watch(&first).map_or(Ok(()), Err)?;
    }
    Ok(first)
}

/// A watch is refused by a message, whose reason is a status as Go prints it.
fn refusal_of_watch(reply: &Bytes) -> Option<Status> {
    let reply = WatchResponse::decode(reply.clone()).ok().filter(|reply| reply.canceled)?;
    let (code, text) = reply.cancel_reason.strip_prefix("rpc error: code = ")?.split_once(" desc = ")?;
    let code = match code {
        "Unauthenticated" => Code::Unauthenticated,
        "InvalidArgument" => Code::InvalidArgument,
        "PermissionDenied" => Code::PermissionDenied,
        _ => Code::Unknown,
    };
    Some(Status::new(code, text))
}
