//! Tokens as a fuzzer sends them: as they come, and with a good signature on any content.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

use super::jwt::WebTokens;
use super::simple::{self, SimpleTokens};
use crate::auth::Caller;
use crate::grpc::metadata::Metadata;

/// The secret that tokens are signed with.
const SECRET: &[u8] = b"a secret that no input has";

const TTL: Duration = Duration::from_secs(300);

/// Takes bytes for the metadata of a request, and for the two parts of a signed token, with a newline between them.
///
/// # Panics
/// When a token is taken that was not given out: a bug.
pub fn tokens(input: &[u8]) {
    as_metadata(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = simple::index_of(text);
    assert_eq!(simple_tokens().user_of(text), None, "{text:?} was not given out");
    assert_eq!(web_tokens().verify(text), None, "{text:?} was not signed");
    if let Some((head, claims)) = text.split_once('\n') {
        as_content(head, claims);
    }
}

/// What a client may put where a token is expected.
fn as_metadata(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    for name in ["token", "authorization"] {
        let headers = HeaderMap::from_iter([(name.parse().expect("a header's name"), value.clone())]);
        let caller = Caller::of(&Metadata::of(&headers), None, crate::readers::ConnectionId::default());
        assert!(caller.token().is_some() && caller.common_name().is_none());
    }
}

/// Whoever has the key may sign anything. Only what names the method is a token then.
fn as_content(head: &str, claims: &str) {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let Some(token) = web_tokens().signed(&message) else { return };
    if web_tokens().verify(&token).is_none() {
        return;
    }
    // Not what is nested deeper than this reads it.
    if let Ok(head) = serde_json::from_str::<serde_json::Value>(head) {
        assert_eq!(head["alg"], "HS256");
    }
}

fn simple_tokens() -> &'static SimpleTokens {
    static TOKENS: OnceLock<SimpleTokens> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let tokens = SimpleTokens::new(TTL);
        tokens.add("a token that no input has.1", Arc::from("user"));
        tokens
    })
}

fn web_tokens() -> &'static WebTokens {
    static TOKENS: OnceLock<WebTokens> = OnceLock::new();
    TOKENS.get_or_init(|| WebTokens::shared(SECRET, TTL))
}
