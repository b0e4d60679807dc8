//! The JSON gateway: the API for programs without gRPC, under `/v3/`.
//!
//! A request's JSON becomes the message that a gRPC client would send, and goes the way of every call, through
//! [`router`]: so a method, its permissions, limits and metrics are the same for both, and nothing is said about any
//! method here but its path. The reply's message becomes JSON again.
//!
//! ```text
//!  JSON ──► json::decode ──► framed message ──► router::serve ──► framed messages and status
//!                                                                        │ one: reply::whole
//!                                                                        │ many: lines
//!  JSON ◄── json::encode ◄───────────────────────────────────────────────┘
//! ```
//!
//! * [`routes`]: from a path to a method;
//! * [`json`]: proto3's JSON mapping, by the descriptors that the messages were generated from;
//! * [`request`]: what a request brings; [`reply`] and [`lines`]: what it gets; [`split`]: where one JSON object of a
//!   stream ends and the next begins;
//! * [`status`]: how gRPC's codes are shown in HTTP.

mod json;
mod lines;
mod reply;
mod request;
mod routes;
mod split;
mod status;

use std::sync::Arc;

use http::request::Parts;
use http::{Method as Verb, Response};
use hyper::body::Incoming;
use tonic::Status;

use self::json::Shapes;
use self::request::Fault;
use crate::api::method::{Kind, Method};
use crate::api::{Api, router};
use crate::grpc::body::ResponseBody;
use crate::grpc::request_body::RequestBody;
use crate::readers::ConnectionId;
use crate::tls::CertificateName;

/// Returns whether a path is the gateway's.
pub(crate) fn serves(path: &str) -> bool {
    routes::rest_of(path).is_some()
}

/// Answers a request under `/v3/`.
pub(crate) async fn respond(
    api: &Arc<Api>,
    connection: ConnectionId,
    head: &Parts,
    body: Incoming,
) -> Response<ResponseBody> {
    // The caller would be another than with gRPC, without a word: refused as in etcd.
    let is_named = |name: &CertificateName| !name.as_str().is_empty();
    if head.extensions.get().is_some_and(is_named) && api.is_auth_enabled() {
        return status::common_name_is_ignored();
    }
    let Some(method) = routes::method_of(head.uri.path()) else {
        return status::failure(&Status::not_found("Not Found"));
    };
    if head.method != Verb::POST {
        return status::failure(&Status::unimplemented("Method Not Allowed"));
    }
    let shapes = Shapes::of(method);
    if !request::is_declared(&head.headers) {
        let text = "a request of a page must say that it is JSON (content-type: application/json)";
        return status::failure(&Status::invalid_argument(text));
    }
    let fault = Fault::default();
    let messages = match method.kind() {
        Kind::BidiStream => request::stream(api, &shapes, body, fault.clone()),
        Kind::Unary | Kind::ServerStream => match request::whole(api, &shapes, body).await {
            Ok(messages) => messages,
            Err(refusal) => return status::failure(&refusal),
        },
    };
    let call = request::call(method, head, messages);
    let reply = router::serve(api.clone(), connection, call).await;
    match method.kind() {
        Kind::Unary => reply::one(&shapes, reply).await,
        Kind::ServerStream | Kind::BidiStream => lines::many(shapes, reply, fault),
    }
}

/// Returns the path of a method in gRPC.
fn path_of(method: Method) -> String {
    format!("/{}/{}", method.service(), method.name())
}

type Call = http::Request<RequestBody>;
