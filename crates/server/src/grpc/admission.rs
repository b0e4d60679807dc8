//! What grpc-go looks at before it knows the method: content type, deadline, HTTP method. The answers are its own, with HTTP
//! statuses for clients that do not speak gRPC at all.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tonic::Status;

use super::body::ResponseBody;
use super::deadline::{Deadline, exceeded};
use super::encoding::quoted;
use super::metadata::Metadata;
use super::unary::failure;

/// What a content type of gRPC begins with.
const BASE: &[u8] = b"application/grpc";

/// Returns whether the content type begins as one of gRPC does: such a request is answered as a call, if only to refuse it.
pub(crate) fn looks_like_grpc(headers: &HeaderMap) -> bool {
    content_type(headers.get(CONTENT_TYPE)).starts_with(BASE)
}

/// Returns the deadline of a request that is a call.
///
/// # Errors
/// The response, if it is none, or one whose deadline has passed.
pub(crate) fn admit(
    method: &Method,
    metadata: &Metadata<'_>,
) -> Result<Option<Deadline>, Box<Response<ResponseBody>>> {
    let refuse = |http: StatusCode, status: Status| {
        let mut response = failure(&status);
        *response.status_mut() = http;
        Err(Box::new(response))
    };
    let content_type = content_type(metadata.content_type);
    if !is_grpc(content_type) {
        let text = quoted(content_type);
        let status = Status::invalid_argument(format!("invalid gRPC request content-type {text:?}"));
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, status);
    }
    let deadline = match Deadline::of(metadata.timeout) {
        Ok(deadline) => deadline,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, Status::internal(why)),
    };
    if method != Method::POST {
        let method = method.as_str();
        let why = format!("Received a HEADERS frame with :method {method:?} which should be POST");
        return refuse(StatusCode::METHOD_NOT_ALLOWED, Status::internal(why));
    }
    if deadline.is_some_and(Deadline::has_passed) {
        return refuse(StatusCode::OK, exceeded());
    }
    Ok(deadline)
}

fn content_type(header: Option<&HeaderValue>) -> &[u8] {
    header.map_or(b"", HeaderValue::as_bytes)
}

/// Returns whether this is `application/grpc`, alone or with a subtype behind a plus or a semicolon.
fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(BASE);
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a request with this method and these headers: HTTP status, gRPC status and message.
    fn answer(method: Method, fields: &[(&'static str, &'static str)]) -> Option<(u16, String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        let response = admit(&method, &Metadata::of(&headers)).err()?;
        let of = |name| response.headers()[name].to_str().unwrap().to_owned();
        Some((response.status().as_u16(), of("grpc-status"), of("grpc-message")))
    }

    #[test]
    fn content_types_are_those_of_grpc_go() {
        for good in ["application/grpc", "application/grpc+proto", "application/grpc;x", "application/grpc+"]
        {
            assert_eq!(answer(Method::POST, &[("content-type", good)]), None, "{good}");
        }
        for bad in ["application/grpcfoo", "application/grp", "text/html", "application/grpc-web"] {
            let (http, status, message) = answer(Method::POST, &[("content-type", bad)]).unwrap();
            assert_eq!((http, status.as_str()), (415, "3"));
            assert!(message.contains(bad.split('/').next().unwrap()), "{message}");
        }
        assert_eq!(answer(Method::POST, &[]).unwrap().0, 415);
    }

    #[test]
    fn what_is_wrong_is_not_quoted_for_megabytes() {
        let long = "{".repeat(1 << 20);
        let mut headers = HeaderMap::new();
        for (content_type, timeout) in
            [(format!("application/grpc{long}"), "1S"), ("application/grpc".into(), &long)]
        {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            headers.insert("grpc-timeout", timeout.parse().unwrap());
            let response = admit(&Method::POST, &Metadata::of(&headers)).unwrap_err();
            let bytes = response.headers()["grpc-message"].len();
            assert!((1_000..10_000).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn the_first_thing_that_is_wrong_is_named() {
        let grpc = ("content-type", "application/grpc");
        let (http, status, message) = answer(Method::GET, &[grpc]).unwrap();
        assert_eq!((http, status.as_str()), (405, "13"));
        assert!(message.starts_with("Received"), "{message}");
        let malformed = answer(Method::GET, &[grpc, ("grpc-timeout", "abc")]).unwrap();
        assert_eq!((malformed.0, malformed.1.as_str()), (400, "13"));
        assert!(malformed.2.starts_with("malformed"), "{}", malformed.2);
        let late = answer(Method::POST, &[grpc, ("grpc-timeout", "0n")]).unwrap();
        assert_eq!((late.0, late.1.as_str()), (200, "4"));
        assert_eq!(answer(Method::GET, &[grpc, ("grpc-timeout", "0n")]).unwrap().0, 405);
    }
}
