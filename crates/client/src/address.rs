//! Where a member is reached: an endpoint as the user writes it, taken apart.

use std::path::{Path, PathBuf};

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
        // `unix:x` is the path `x`, as `unix://x` is.
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme @ ("unix" | "unixs"), path)) => {
                (Some(scheme), path.strip_prefix("//").unwrap_or(path))
            }
            _ => text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest)),
        };
        let security = match scheme {
            None => default,
            Some("http") => Security::Plain,
            Some("https") => Security::Tls,
            Some("unix") => return Address::unix(text, Security::Plain, rest),
            Some("unixs") => return Address::unix(text, Security::Tls, rest),
            Some(scheme) => return Err(Error::endpoint(text, format!("unknown scheme {scheme:?}"))),
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

    /// Returns the host that a certificate must name. A socket may be named like a host and its port, as etcd's are.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Tcp { host, .. } => host,
            Place::Unix(path) => host_and_port(path).map_or("localhost", |(host, _)| host),
            Place::Nowhere(_) => "localhost",
        }
    }

    /// Returns what the `:authority` of a request says.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port } => format!("{host}:{port}"),
            Place::Unix(path) => match host_and_port(path) {
                Some((host, port)) => format!("{host}:{port}"),
                None => "localhost".to_owned(),
            },
            Place::Nowhere(_) => "localhost".to_owned(),
        }
    }
}

/// Returns host and port, if the path of a socket is made of them.
fn host_and_port(path: &Path) -> Option<(&str, u16)> {
    let (host, port) = path.to_str()?.split_once(':')?;
    let is_host = !host.is_empty() && !host.contains(['/', ' ']);
    Some((host, port.parse().ok()?)).filter(|_| is_host)
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
            ("unix:x:1", Security::Plain, Some(Place::Unix("x:1".into()))),
            ("unixs:/run/x", Security::Tls, Some(Place::Unix("/run/x".into()))),
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
        for (text, authority, host) in [
            ("unix:localhost:7", "localhost:7", "localhost"),
            ("unixs://h:7", "h:7", "h"),
            ("unix:///run/h:7", "localhost", "localhost"),
        ] {
            let address = Address::parse(text, Security::Plain).expect("an endpoint");
            assert_eq!((address.authority().as_str(), address.host()), (authority, host), "{text}");
        }
        assert_eq!(Address::parse("[::1]:7", Security::Plain).expect("an endpoint").authority(), "[::1]:7");
    }
}
