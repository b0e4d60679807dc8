//! Where a member serves clients, and what a connection needs to be let in.

use anyhow::Context;
use http::HeaderValue;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// The address of a member with the means of access that all members of its server share.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    access: Arc<Access>,
}

/// What clients present.
#[derive(Clone, Default)]
pub(crate) struct Access {
    /// How connections are secured; `None` is plain text.
    pub(crate) tls: Option<TlsConnector>,
    /// The token of each call, when users are checked.
    pub(crate) token: Option<HeaderValue>,
}

impl Endpoint {
    /// Returns the endpoint at `address` that is entered with `access`.
    pub(crate) fn new(address: SocketAddr, access: Access) -> Endpoint {
        Endpoint { address, access: Arc::new(access) }
    }

    /// Returns how its connections are secured, or `None` for plain text.
    pub(crate) fn tls(&self) -> Option<&TlsConnector> {
        self.access.tls.as_ref()
    }

    /// Returns the token that its calls carry.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.access.token.as_ref()
    }

    /// Returns the scheme of its URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        scheme(self.access.tls.is_some())
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint::new(address, Access::default())
    }
}

impl fmt::Debug for Endpoint {
    /// Shows the address; a token is not for logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(formatter)
    }
}

/// Returns the scheme of URLs with or without TLS.
pub(crate) fn scheme(secured: bool) -> &'static str {
    if secured { "https" } else { "http" }
}

/// Returns a token as the value of its header.
pub(crate) fn token(text: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).context("a token that no header can carry")?;
    value.set_sensitive(true);
    Ok(value)
}
