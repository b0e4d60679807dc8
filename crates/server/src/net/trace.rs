//! The heads of gRPC requests on standard error, when `GODEBUG` asks for them.
//!
//! `GODEBUG=http2debug=2` makes Go's HTTP/2 library write every header that it decodes, and operators of etcd use it to
//! see what authority their clients and load balancers send (so does `TestAuthority` of etcd's own suite). The lines
//! are the library's, for the pseudo-headers alone: the other headers may be tokens, which belong in no log.

use std::io::{self, Write};

use http::Request;
use http::uri::{Authority, PathAndQuery, Scheme};

/// The variable that Go reads.
const VARIABLE: &str = "GODEBUG";

/// What the library looks for in it.
const SWITCH: &str = "http2debug=2";

/// Returns whether the environment asks for the heads of requests.
pub(crate) fn is_asked_for(environment: &[(String, String)]) -> bool {
    environment.iter().any(|(name, value)| name == VARIABLE && value.contains(SWITCH))
}

/// Writes the head of a request. A line that cannot be written is lost.
pub(super) fn write<B>(request: &Request<B>) {
    let _ = io::stderr().lock().write_all(lines(request).as_bytes());
}

fn lines<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    let fields = [
        (":method", request.method().as_str()),
        (":scheme", uri.scheme().map_or("", Scheme::as_str)),
        (":path", uri.path_and_query().map_or("", PathAndQuery::as_str)),
        (":authority", uri.authority().map_or("", Authority::as_str)),
    ];
    fields
        .iter()
        .map(|(name, value)| format!("http2: decoded hpack field header field {name:?} = {value:?}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_may_say_other_things_too() {
        for (name, value, asked) in [
            ("GODEBUG", "http2debug=2", true),
            ("GODEBUG", "gctrace=1,http2debug=2", true),
            ("GODEBUG", "http2debug=1", false),
            ("GODEBUG", "", false),
            ("HTTP2", "http2debug=2", false),
        ] {
            assert_eq!(is_asked_for(&[(name.to_owned(), value.to_owned())]), asked, "{name}={value}");
        }
    }

    #[test]
    fn a_head_is_its_pseudo_headers_and_no_token() {
        let request = Request::post("http://localhost:20000/etcdserverpb.KV/Put")
            .header("token", "secret")
            .body(())
            .unwrap();
        assert_eq!(
            lines(&request),
            "http2: decoded hpack field header field \":method\" = \"POST\"\n\
             http2: decoded hpack field header field \":scheme\" = \"http\"\n\
             http2: decoded hpack field header field \":path\" = \"/etcdserverpb.KV/Put\"\n\
             http2: decoded hpack field header field \":authority\" = \"localhost:20000\"\n"
        );
    }
}
