//! The headers with which a browser refuses everything that is not the console's own.
//!
//! Names, keys and values come from whoever may write them. The scripts put them into a page as text only; these headers
//! are the second wall (rule S11): no script and no style but from the member itself, no frame around the page, no form that goes
//! elsewhere, and no text that becomes HTML (trusted types).

use http::{HeaderName, HeaderValue, Response, header};

/// What browsers are told of every file, whatever the cluster is.
const FIXED: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the headers. `client_urls` are the addresses that scripts may ask beside the member's own.
pub(super) fn apply<B>(response: &mut Response<B>, client_urls: &[String]) {
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::try_from(content_security_policy(client_urls));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.expect("sources are plain ASCII"));
}

fn content_security_policy(client_urls: &[String]) -> String {
    let mut connect = String::from("connect-src 'self'");
    let mut sources: Vec<&str> = client_urls.iter().filter_map(|url| source(url)).collect();
    sources.sort_unstable();
    sources.dedup();
    for source in sources {
        connect.push(' ');
        connect.push_str(source);
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; {connect}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// Returns a URL as a source of the policy: scheme, host and port of plain characters. `None` for anything else: members
/// choose their URLs, and a blank or a semicolon would begin another source or rule. Addresses of IPv6 have no
/// form in a policy.
fn source(url: &str) -> Option<&str> {
    let url = url.strip_suffix('/').unwrap_or(url);
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
    (!host.is_empty() && host.bytes().all(is_plain)).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_members_may_be_asked_and_nobody_else() {
        let urls = ["http://b:2379", "https://a.example:2379/", "http://b:2379"].map(str::to_owned);
        let policy = content_security_policy(&urls);
        assert!(policy.contains("; connect-src 'self' http://b:2379 https://a.example:2379; "), "{policy}");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a_members_url_cannot_change_the_policy() {
        for url in
            ["http://a; script-src *", "http://*", "http://a b", "unix:///x", "http://[::1]:1", "http://", ""]
        {
            assert_eq!(source(url), None, "{url}");
        }
    }
}
