//! Requests as they go over a connection.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use http::uri::{self, Authority, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version, request};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::outgoing::Outgoing;
use crate::address::{Address, Security};
use crate::settings::Settings;

/// The token of a user.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("token");

/// Refuses a request at a member that knows no leader.
const HAS_LEADER: HeaderName = HeaderName::from_static("hasleader");

/// The version of the API, which members count requests by.
const API_VERSION: HeaderName = HeaderName::from_static("client-api-version");

/// gRPC's deadline.
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest message, in bytes, that is kept as a copy. tonic encodes each message into a buffer of 8 KiB; a thousand
/// calls that wait would keep a thousand of them.
const COPIED_MAX: usize = 4 << 10;

const AGENT: &str = concat!("quorate-client/", env!("CARGO_PKG_VERSION"));

/// A request that can be sent again and again.
pub(crate) struct Template {
    parts: request::Parts,
    message: Bytes,
}

impl Template {
    /// Takes a request apart. Its body must be one message.
    ///
    /// # Errors
    /// When the message cannot be encoded.
    pub(crate) async fn of(request: Request<Body>) -> Result<Template, Status> {
        let (parts, body) = request.into_parts();
        let message = body.collect().await?.to_bytes();
        let message = if message.len() <= COPIED_MAX { Bytes::copy_from_slice(&message) } else { message };
        Ok(Template { parts, message })
    }

    /// Returns the path of the method.
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Returns whether the request brings a token of its own: no other takes its place.
    pub(crate) fn has_token(&self) -> bool {
        self.parts.headers.contains_key(&TOKEN) || self.parts.headers.contains_key(AUTHORIZATION)
    }

    /// Returns the request as it goes to an endpoint.
    pub(crate) fn to(&self, origin: &Origin) -> Request<Outgoing> {
        let mut request = Request::new(Outgoing::Message(Some(self.message.clone())));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.parts.headers.clone();
        *request.uri_mut() = origin.uri(&self.parts.uri);
        request
    }
}

/// What the URIs of requests to an endpoint begin with. It is parsed once.
#[derive(Debug)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    pub(crate) fn of(address: &Address) -> Origin {
        let scheme = match address.security {
            Security::Plain => Scheme::HTTP,
            Security::Tls => Scheme::HTTPS,
        };
        let authority = address.authority().parse();
        Origin { scheme, authority: authority.unwrap_or(Authority::from_static("localhost")) }
    }

    /// Returns a URI of a method with the endpoint in it.
    pub(crate) fn uri(&self, method: &Uri) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = method.path_and_query().cloned();
        Uri::from_parts(parts).unwrap_or_else(|_| method.clone())
    }
}

/// Adds what every request has.
pub(crate) fn add_common(headers: &mut HeaderMap, settings: &Settings) {
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(API_VERSION, HeaderValue::from_static("3.7"));
    if settings.requires_leader {
        headers.insert(HAS_LEADER, HeaderValue::from_static("true"));
    }
}

/// Returns the deadline that a request has by its header.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let nanoseconds = match unit {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    Instant::now().checked_add(std::time::Duration::from_nanos(number.checked_mul(nanoseconds)?))
}

/// Returns the header that says how much time is left.
pub(crate) fn time_left(deadline: Instant) -> HeaderValue {
    // At most 8 digits (gRPC over HTTP/2, "Timeout"), and a millisecond rather than none.
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{left}m")).unwrap_or(HeaderValue::from_static("1m"))
}

/// Returns a request with nothing but what gRPC demands, to whatever is connected.
pub(crate) fn bare(url: &'static str, body: Outgoing) -> Request<Outgoing> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_static(url);
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_from_its_header() {
        for (text, seconds) in [("2S", 2), ("3000m", 3), ("1H", 3600)] {
            let headers = HeaderMap::from_iter([(TIMEOUT, HeaderValue::from_static(text))]);
            let left = deadline(&headers).expect(text) - Instant::now();
            assert!(left.as_secs() <= seconds && left.as_secs() + 1 >= seconds, "{text}");
        }
        for text in ["", "S", "12", "xS", "1d"] {
            let headers = HeaderMap::from_iter([(TIMEOUT, HeaderValue::try_from(text).expect("a header"))]);
            assert!(deadline(&headers).is_none(), "{text}");
        }
        assert_eq!(time_left(Instant::now()), "1m");
    }
}
