//! URLs of listeners and members.
//!
//! A URL here is only ever an address: `http://host:port`, `https://host:port`, `unix://path` or `unixs://path`, without path,
//! query or user. Its text matters: member ids are a hash over the texts of the peer URLs (see [`crate::ids`]), so it is
//! kept as it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::uri::Authority;

/// How to talk to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TCP in the clear.
    Http,
    /// TCP with TLS.
    Https,
    /// A Unix socket.
    Unix,
    /// A Unix socket with TLS.
    Unixs,
}

/// One address, as it was written. Ordered by its text, as etcd orders URLs.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    text: String,
}

/// Why a URL was refused. The texts are etcd's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither of the four schemes.
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// No port, or something that is not `host:port`.
    #[error("URL address does not have the form \"host:port\": {0}")]
    Address(String),
    /// Something follows the address.
    #[error("URL must not contain a path: {0}")]
    Path(String),
}

impl Url {
    /// Reads one URL; surrounding white space does not count.
    ///
    /// # Errors
    /// If it is no address.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError::Scheme(text.to_owned()));
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => return Err(UrlError::Scheme(text.to_owned())),
        };
        let url = Url { scheme, text: format!("{}://{rest}", scheme.name()) };
        if url.is_unix() {
            return Ok(url);
        }
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if split_host_port(&rest[..authority_end]).is_none() {
            return Err(UrlError::Address(text.to_owned()));
        }
        if authority_end != rest.len() {
            return Err(UrlError::Path(text.to_owned()));
        }
        Ok(url)
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The URL as text: what member ids are derived from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this names a Unix socket rather than a host and a port.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.scheme, Scheme::Unix | Scheme::Unixs)
    }

    /// Whether the address wants TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Unixs)
    }

    /// Host (without the brackets of an IPv6 address) and port; `None` for Unix sockets.
    #[must_use]
    pub fn host_port(&self) -> Option<(&str, u16)> {
        let rest = &self.text[self.scheme.name().len() + 3..];
        if self.is_unix() { None } else { split_host_port(rest) }
    }

    /// The path of a Unix socket, as etcd reads it: what follows the slashes, relative unless there are three. `None` for
    /// a host and a port.
    #[must_use]
    pub fn socket_path(&self) -> Option<&str> {
        self.is_unix().then(|| &self.text[self.scheme.name().len() + 3..])
    }

    /// The host that a certificate is to name. A Unix socket may have one, too (`unixs://host:port` is a file of that name in
    /// the working directory); one that has none is on this machine.
    #[must_use]
    pub fn host(&self) -> &str {
        let place = self.host_port().or_else(|| split_host_port(self.named_socket()?));
        place.map_or("localhost", |(host, _)| host)
    }

    /// What stands for the place in the head of a request.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = &self.text[self.scheme.name().len() + 3..];
        if self.is_unix() { self.named_socket().unwrap_or("localhost") } else { rest }
    }

    /// The path of a Unix socket that looks like a host and a port.
    fn named_socket(&self) -> Option<&str> {
        let is_named = |path: &&str| !path.contains('/') && Authority::try_from(*path).is_ok();
        self.socket_path().filter(is_named).filter(|path| split_host_port(path).is_some())
    }

    /// Where to bind for this URL. `None` when the host is a domain name: a listener wants an address, and `localhost` is
    /// the one name allowed (the IPv4 loopback, which is what etcd binds).
    #[must_use]
    pub fn bind_address(&self) -> Option<SocketAddr> {
        let (host, port) = self.host_port()?;
        let host = if host == "localhost" { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host.parse().ok()? };
        Some(SocketAddr::new(host, port))
    }

    /// The same URL with an address for its host: `0.0.0.0` cannot be advertised, and a name is compared by its address.
    #[must_use]
    pub fn with_address(&self, host: IpAddr, port: u16) -> Url {
        Url { scheme: self.scheme, text: format!("{}://{}", self.scheme.name(), SocketAddr::new(host, port)) }
    }
}

impl Scheme {
    /// The scheme as a URL has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Unix => "unix",
            Scheme::Unixs => "unixs",
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialOrd for Url {
    fn partial_cmp(&self, other: &Url) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Url {
    fn cmp(&self, other: &Url) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

/// `host:port` or `[v6]:port`. The host may be empty (`:2379`); what that means is the caller's business.
fn split_host_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => {
            authority.split_once(':').filter(|(host, port)| !host.contains('@') && !port.contains(':'))?
        }
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, port.parse().ok()?))
}

/// A comma-separated list: sorted and without duplicates, as etcd keeps them. The empty text is the empty list.
///
/// # Errors
/// That of the first that is no address.
pub fn parse_list(text: &str) -> Result<Vec<Url>, UrlError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut urls = text.split(',').map(Url::parse).collect::<Result<Vec<_>, _>>()?;
    urls.sort();
    urls.dedup();
    Ok(urls)
}

/// The list as one text, comma-separated.
#[must_use]
pub fn join(urls: &[Url]) -> String {
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(",")
}

/// Returns the texts of the list.
#[must_use]
pub fn texts(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

/// `--initial-cluster`: `n1=url,n2=url,...`. A name given several times has several URLs; each member's URLs are sorted.
///
/// # Errors
/// That of the first that is no address.
pub fn parse_cluster(text: &str) -> Result<BTreeMap<String, Vec<Url>>, UrlError> {
    let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (name, url) = part.split_once('=').unwrap_or((part, ""));
        members.entry(name.to_owned()).or_default().push(Url::parse(url)?);
    }
    members.values_mut().for_each(|urls| urls.sort());
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_address_and_nothing_more() {
        let good = [
            ("http://localhost:2379", "http://localhost:2379"),
            ("  https://10.0.0.1:2379 ", "https://10.0.0.1:2379"),
            ("HTTP://[::1]:2379", "http://[::1]:2379"),
            ("http://:2379", "http://:2379"),
            ("unix:///run/quorate.sock", "unix:///run/quorate.sock"),
            ("unixs://localhost:2380", "unixs://localhost:2380"),
        ];
        for (text, kept) in good {
            assert_eq!(Url::parse(text).unwrap().as_str(), kept);
        }
        let bad = [
            ("localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"),
            ("ftp://localhost:2379", "URL scheme must be http, https, unix, or unixs: ftp://localhost:2379"),
            ("http://localhost", "URL address does not have the form \"host:port\": http://localhost"),
            ("http://::1:2379", "URL address does not have the form \"host:port\": http://::1:2379"),
            ("http://localhost:x", "URL address does not have the form \"host:port\": http://localhost:x"),
            (
                "http://localhost:99999",
                "URL address does not have the form \"host:port\": http://localhost:99999",
            ),
            ("http://localhost:2379/", "URL must not contain a path: http://localhost:2379/"),
            ("", "URL scheme must be http, https, unix, or unixs: "),
        ];
        for (text, error) in bad {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn only_addresses_and_localhost_can_be_bound() {
        let cases = [
            ("http://localhost:1", Some("127.0.0.1:1")),
            ("http://0.0.0.0:2379", Some("0.0.0.0:2379")),
            ("http://[::1]:7", Some("[::1]:7")),
            ("http://example.org:1", None),
            ("unix:///x", None),
        ];
        for (text, address) in cases {
            let bound = Url::parse(text).unwrap().bind_address().map(|address| address.to_string());
            assert_eq!(bound.as_deref(), address, "{text}");
        }
    }

    #[test]
    fn a_socket_may_be_named_like_a_host() {
        let cases = [
            ("http://a.example:1", "a.example", "a.example:1"),
            ("https://[::1]:7", "::1", "[::1]:7"),
            ("unixs://m1.example:1", "m1.example", "m1.example:1"),
            ("unix:///run/m1.sock", "localhost", "localhost"),
            ("unix:///run/m1:1", "localhost", "localhost"),
            ("unix://m1", "localhost", "localhost"),
            ("unix://a b:1", "localhost", "localhost"),
        ];
        for (text, host, authority) in cases {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.authority()), (host, authority), "{text}");
        }
    }

    #[test]
    fn lists_are_sorted_and_unique() {
        let list = parse_list("http://b:1,http://a:2,http://b:1").unwrap();
        assert_eq!(join(&list), "http://a:2,http://b:1");
        assert_eq!(parse_list("").unwrap(), []);
        assert!(parse_list("http://a:2,").is_err());
    }

    #[test]
    fn a_cluster_maps_names_to_urls() {
        let cluster = parse_cluster("b=http://b:1,a=http://a:2,,a=http://a:1").unwrap();
        let text: Vec<_> = cluster.iter().map(|(name, urls)| format!("{name}:{}", join(urls))).collect();
        assert_eq!(text, ["a:http://a:1,http://a:2", "b:http://b:1"]);
        assert!(parse_cluster("a").is_err());
        assert!(parse_cluster("").unwrap().is_empty());
    }
}
