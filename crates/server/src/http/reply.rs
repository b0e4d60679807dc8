//! Responses as Go's `net/http` words them.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::Body;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

fn with_body(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    *response.status_mut() = status;
    response
}

/// 200 with a body of this type.
pub(crate) fn of_type(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = with_body(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 200 with plain text that no browser may take for anything else.
pub(super) fn plain(body: impl Into<Bytes>) -> Response<Body> {
    let mut response = with_body(StatusCode::OK, body);
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// An error: the text and a newline.
pub(crate) fn error(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = plain(format!("{text}\n"));
    *response.status_mut() = status;
    response
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    with_body(status, Bytes::new())
}

/// 400, in the words with which Go refuses a request that it cannot read. `reason` is empty or begins with a colon.
pub(super) fn bad_request(reason: &str) -> Response<Body> {
    let mut response = with_body(StatusCode::BAD_REQUEST, format!("400 Bad Request{reason}"));
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 404.
pub(crate) fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "404 page not found")
}

/// 405: only GET will do (not even HEAD).
pub(crate) fn method_not_allowed() -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

/// The answer, if the method is GET.
pub(super) fn only_get(head: &Parts, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if head.method == Method::GET { answer() } else { method_not_allowed() }
}

/// Tells a browser that a page of this origin may read the response.
pub(super) fn allow_origin<B>(response: &mut Response<B>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"),
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("accept, content-type, authorization"),
    );
}
