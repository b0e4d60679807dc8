//! `Accept-Encoding`: the metrics are a hundred kilobytes of text, and Prometheus asks for them in gzip.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::{Body, reply};
use crate::gzip::deflated;

/// Returns whether the client takes a body in gzip (RFC 9110, section 12.5.3), which is sent then.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings: Vec<&str> =
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    let weight = |wanted| codings.iter().find_map(|coding| weight_of(coding, wanted));
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// Returns the weight of a coding, if it is the one that is wanted.
fn weight_of(coding: &str, wanted: &str) -> Option<f32> {
    let mut parts = coding.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q="));
    Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

/// Returns a 200 with a body of this type, compressed.
pub(super) async fn gzip(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = reply::of_type(content_type, deflated(body.into()).await);
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("GZIP", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("xgzip", false),
            ("gzip;q=x", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(takes_gzip(&headers), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
