//! The client.

use crate::builder::Builder;
use crate::channel::Channel;

/// A client of a cluster. It is cheap to clone, and all clones use the same connections.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// Begins a client.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(channel: Channel) -> Client {
        Client { channel }
    }

    /// Returns the channel, for the stubs that tonic generates.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Returns the endpoints as they were given, or as they were found.
    pub fn endpoints(&self) -> Vec<String> {
        self.channel.inner().pool.links().iter().map(|link| link.address.text.clone()).collect()
    }

    /// Returns a client for one endpoint, with the same credentials and, if it is one of this client's endpoints, the
    /// same connection. An endpoint that is none fails with the first call.
    pub fn at(&self, endpoint: &str) -> Client {
        Client { channel: self.channel.at(endpoint) }
    }
}
