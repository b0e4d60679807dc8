//! Where a member is reached: an endpoint as the user writes it, taken apart.

use std::path::PathBuf;

use crate::error::Error;

/// The port of an endpoint that names none.
const DEFAULT_PORT: u16 = 2379;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// As it was written.
    pub(crate) text: String,
    /// Whether the connection is encrypted.
    pub(crate) security: Security,
    /// What is dialed.
    pub(crate) place: Place,
}

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    Tls,
}

/// What is dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
    /// Nothing: the text is no endpoint. Calls fail with the reason.
    Nowhere(String),
}

impl Address {
    /// Takes an endpoint apart: `host:port`, or a URL of the schemes `http`, `https`, `unix` and `unixs`. An endpoint
    /// without a scheme is encrypted as `default` says.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn parse(text: &str, default: Security) -> Result<Address, Error> {
        let (security, rest) = match text.split_once("://") {
            None => (default, text),
            Some(("http", rest)) => (Security::Plain, rest),
            Some(("https", rest)) => (Security::Tls, rest),
            Some(("unix", path)) => return Address::unix(text, Security::Plain, path),
            Some(("unixs", path)) => return Address::unix(text, Security::Tls, path),
            Some((scheme, _)) => return Err(Error::endpoint(text, format!("unknown scheme {scheme:?}"))),
        };
        let place = tcp(rest.split('/').next().unwrap_or_default());
        let place = place.ok_or_else(|| Error::endpoint(text, "not host:port".to_owned()))?;
        Ok(Address { text: text.to_owned(), security, place })
    }

    /// As [`Address::parse`], for a text that the first call is to fail for.
    pub(crate) fn parse_or_nowhere(text: &str, default: Security) -> Address {
        Address::parse(text, default).unwrap_or_else(|error| Address {
            text: text.to_owned(),
            security: Security::Plain,
            place: Place::Nowhere(error.to_string()),
        })
    }

    fn unix(text: &str, security: Security, path: &str) -> Result<Address, Error> {
        if path.is_empty() {
            return Err(Error::endpoint(text, "no path".to_owned()));
        }
        Ok(Address { text: text.to_owned(), security, place: Place::Unix(path.into()) })
    }

    /// Returns the host that a certificate must name.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Tcp { host, .. } => host,
            Place::Unix(_) | Place::Nowhere(_) => "localhost",
        }
    }

    /// Returns what the `:authority` of a request says.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port } => format!("{host}:{port}"),
            Place::Unix(_) | Place::Nowhere(_) => "localhost".to_owned(),
        }
    }
}

fn tcp(text: &str) -> Option<Place> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            // More than one colon: an IPv6 address without brackets.
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(DEFAULT_PORT), str::parse).ok()?;
    let is_host = !host.is_empty() && !host.contains(char::is_whitespace);
    is_host.then(|| Place::Tcp { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_taken_apart() {
        let tcp = |host: &str, port| Some(Place::Tcp { host: host.to_owned(), port });
        for (text, security, place) in [
            ("127.0.0.1:2379", Security::Plain, tcp("127.0.0.1", 2379)),
            ("http://h:1/", Security::Plain, tcp("h", 1)),
            ("https://h", Security::Tls, tcp("h", 2379)),
            ("[::1]:7", Security::Plain, tcp("::1", 7)),
            ("::1", Security::Plain, tcp("::1", 2379)),
            ("unix:///run/x", Security::Plain, Some(Place::Unix("/run/x".into()))),
            ("unixs://x:1", Security::Tls, Some(Place::Unix("x:1".into()))),
            ("ftp://h:1", Security::Plain, None),
            ("h:port", Security::Plain, None),
            ("", Security::Plain, None),
            ("unix://", Security::Plain, None),
        ] {
            let parsed = Address::parse(text, Security::Plain).ok();
            assert_eq!(parsed.as_ref().map(|parsed| &parsed.place), place.as_ref(), "{text}");
            assert!(parsed.is_none_or(|parsed| parsed.security == security), "{text}");
        }
        let default = Address::parse("h:1", Security::Tls).expect("an endpoint");
        assert_eq!(default.security, Security::Tls);
        assert_eq!(Address::parse("[::1]:7", Security::Plain).expect("an endpoint").authority(), "[::1]:7");
    }
}
