//! Statuses, as HTTP shows them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tonic::{Code, Status};

use crate::grpc::body::ResponseBody;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What grpc-gateway makes of the content type of the gRPC reply. Clients have come to see it.
const METADATA_CONTENT_TYPE: HeaderName = HeaderName::from_static("grpc-metadata-content-type");

/// A status in JSON. What is empty is left out.
#[derive(Serialize)]
struct StatusJson<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    code: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it")]
fn is_zero(code: &i32) -> bool {
    *code == 0
}

/// The last line of a stream that fails.
#[derive(Serialize)]
struct LastLine<'a> {
    error: StatusJson<'a>,
}

fn shown(status: &Status) -> StatusJson<'_> {
    StatusJson { code: status.code() as i32, message: status.message() }
}

/// Returns the HTTP status for a code (contract: errors, section 6).
fn http_of(code: Code) -> StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Returns a response of JSON.
pub(super) fn json(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(METADATA_CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Returns the response for a call that has failed.
pub(super) fn failure(status: &Status) -> Response<ResponseBody> {
    let body = serde_json::to_vec(&shown(status)).expect("a number and a text are JSON");
    let mut response = json(ResponseBody::Full(Some(Bytes::from(body))));
    *response.status_mut() = http_of(status.code());
    response
}

/// Returns the last line of a stream that has failed.
pub(super) fn last_line(status: &Status) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(&LastLine { error: shown(status) }).expect("a number and a text are JSON");
    line.push(b'\n');
    line
}

/// Returns the refusal of a request whose client has a certificate with a name, while users are asked for.
pub(super) fn common_name_is_ignored() -> Response<ResponseBody> {
    let text =
        "CommonName of client sending a request against gateway will be ignored and not used as expected\n";
    let mut response = Response::new(ResponseBody::Full(Some(Bytes::from_static(text.as_bytes()))));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_http_status() {
        for (code, http) in
            [(1, 499), (2, 500), (3, 400), (5, 404), (7, 403), (8, 429), (12, 501), (14, 503), (16, 401)]
        {
            assert_eq!(http_of(Code::from_i32(code)).as_u16(), http);
            assert_eq!(failure(&Status::new(Code::from_i32(code), "why")).status().as_u16(), http);
        }
    }

    #[test]
    fn a_stream_ends_with_a_line_that_says_why() {
        let line = last_line(&Status::unavailable("etcdserver: \"no\" leader"));
        assert_eq!(line, b"{\"error\":{\"code\":14,\"message\":\"etcdserver: \\\"no\\\" leader\"}}\n");
    }
}
