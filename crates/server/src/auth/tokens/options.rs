//! The value of `--auth-token`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::key::Method;
use crate::config::parse_go_duration;

/// etcd's `DefaultTTL`.
const TTL_DEFAULT: Duration = Duration::from_secs(300);

/// Why tokens cannot be used as the flag says. The texts are etcd's, and what it has in its log.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The flag's value makes no sense.
    #[error("auth: invalid auth options: {0}")]
    Invalid(String),
    /// A key file cannot be read.
    #[error("auth: invalid auth options: {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The method needs a key and none is named.
    #[error("auth: missing key data")]
    MissingKey,
    /// Both keys are named and do not belong together.
    #[error("auth: public and private keys don't match")]
    KeyMismatch,
    /// A file does not hold a key of the method's kind.
    #[error("auth: {} holds no {kind} key", path.display())]
    BadKey {
        /// Which.
        path: PathBuf,
        /// What kind was looked for.
        kind: &'static str,
    },
}

/// Which tokens are given out.
#[derive(Debug)]
pub(super) enum Kind {
    Simple,
    Web(WebOptions),
    None,
}

/// `--auth-token=jwt,...`.
#[derive(Debug)]
pub(super) struct WebOptions {
    pub(super) method: Method,
    pub(super) public_key: Option<PathBuf>,
    pub(super) private_key: Option<PathBuf>,
    pub(super) ttl: Duration,
}

pub(super) fn parse(flag: &str) -> Result<Kind, OptionsError> {
    let mut parts = flag.split(',');
    let kind = parts.next().unwrap_or_default();
    let mut options = BTreeMap::new();
    for part in parts {
        let pair = part.split_once('=').filter(|(_, value)| !value.contains('='));
        let Some((name, value)) = pair else { return Err(invalid(format!("{part:?} is no option"))) };
        if options.insert(name, value).is_some() {
            return Err(invalid(format!("{name:?} is there twice")));
        }
    }
    match kind {
        "simple" => Ok(Kind::Simple),
        "jwt" => web(&options).map(Kind::Web),
        "" => Ok(Kind::None),
        other => Err(invalid(format!("unknown token type {other:?}"))),
    }
}

fn invalid(text: impl Into<String>) -> OptionsError {
    OptionsError::Invalid(text.into())
}

fn web(options: &BTreeMap<&str, &str>) -> Result<WebOptions, OptionsError> {
    for unknown in options.keys().filter(|name| !KNOWN.contains(name)) {
        tracing::warn!(keys = unknown, "unknown JWT options");
    }
    let named = |name: &str| options.get(name).copied().filter(|value| !value.is_empty());
    let method = options.get(SIGN_METHOD).and_then(|name| Method::of(name));
    let ttl = named(TTL).map_or(Ok(TTL_DEFAULT), |text| {
        parse_go_duration(text).ok_or_else(|| invalid(format!("ttl: invalid duration {text:?}")))
    })?;
    Ok(WebOptions {
        method: method.ok_or_else(|| invalid("auth: invalid auth signature method"))?,
        public_key: named(PUBLIC_KEY).map(PathBuf::from),
        private_key: named(PRIVATE_KEY).map(PathBuf::from),
        ttl,
    })
}

const SIGN_METHOD: &str = "sign-method";
const PUBLIC_KEY: &str = "pub-key";
const PRIVATE_KEY: &str = "priv-key";
const TTL: &str = "ttl";
const KNOWN: [&str; 4] = [SIGN_METHOD, PUBLIC_KEY, PRIVATE_KEY, TTL];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_read_as_etcd_reads_it() {
        assert!(matches!(parse("simple"), Ok(Kind::Simple)));
        assert!(matches!(parse("simple,x=y"), Ok(Kind::Simple)));
        assert!(matches!(parse(""), Ok(Kind::None)));
        let Ok(Kind::Web(options)) = parse("jwt,sign-method=ES512,priv-key=/k,ttl=1m30s,other=1") else {
            panic!("good options")
        };
        assert_eq!((options.method, options.ttl), (Method::Es512, Duration::from_secs(90)));
        assert_eq!((options.private_key, options.public_key), (Some("/k".into()), None));
        for bad in [
            "opaque",
            "jwt",
            "jwt,sign-method=none",
            "jwt,sign-method=XX",
            "jwt,sign-method",
            "jwt,sign-method=RS256=",
            "jwt,sign-method=RS256,sign-method=RS256",
            "jwt,sign-method=RS256,ttl=soon",
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("auth: invalid auth options: "), "{bad}: {error}");
        }
    }
}
