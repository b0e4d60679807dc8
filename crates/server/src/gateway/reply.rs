//! The reply of a unary call.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::Response;
use http_body_util::BodyExt;
use tonic::{Code, Status};

use super::json::Shapes;
use super::status::{failure, json};
use crate::grpc::body::ResponseBody;
use crate::grpc::messages::PREFIX_BYTES;

/// Returns the response for the reply of a unary call.
pub(super) async fn one(shapes: &Shapes, reply: Response<ResponseBody>) -> Response<ResponseBody> {
    match json_of(shapes, reply).await {
        Ok(body) => json(ResponseBody::Full(Some(body.into()))),
        Err(status) => failure(&status),
    }
}

async fn json_of(shapes: &Shapes, reply: Response<ResponseBody>) -> Result<Vec<u8>, Status> {
    if let Some(status) = Status::from_header_map(reply.headers()) {
        return Err(status);
    }
    let body = reply.into_body();
    shapes.encode_all(body.bytes(), move || message_of(body)).await
}

/// Returns the message of a body that has one, and all of it at hand.
fn message_of(mut body: ResponseBody) -> Result<Bytes, Status> {
    let mut bytes = BytesMut::with_capacity(body.bytes());
    while let Some(frame) = body.frame().now_or_never().flatten() {
        match frame?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => match frame.trailers_ref().and_then(Status::from_header_map) {
                Some(status) if status.code() != Code::Ok => return Err(status),
                _ => {}
            },
        }
    }
    if bytes.len() < PREFIX_BYTES {
        return Err(Status::internal("a reply without a message"));
    }
    Ok(bytes.freeze().split_off(PREFIX_BYTES))
}
