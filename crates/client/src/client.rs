//! The client.

use std::sync::{Arc, Weak};

use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;

use crate::builder::Builder;
use crate::channel::Channel;
use crate::lease;
use crate::watch;

/// A client of a cluster. It is cheap to clone, and all clones use the same connections.
///
/// ```no_run
/// # async fn example() -> Result<(), quorate_client::Error> {
/// let client = quorate_client::Client::builder().endpoints(["127.0.0.1:2379"]).connect().await?;
/// client.put("greeting", "hello").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    channel: Channel,
    watches: watch::Hub,
    leases: lease::Hub,
}

impl Client {
    /// Begins a client.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(channel: Channel) -> Client {
        let (watches, leases) = (watch::Hub::default(), lease::Hub::default());
        Client { inner: Arc::new(Inner { channel, watches, leases }) }
    }

    /// Returns the channel, for the stubs that tonic generates.
    pub fn channel(&self) -> Channel {
        self.inner.channel.clone()
    }

    /// Returns the endpoints as they were given, or as they were found.
    pub fn endpoints(&self) -> Vec<String> {
        let links = self.inner.channel.inner().pool.links();
        links.iter().map(|link| link.address.text.clone()).collect()
    }

    /// Returns a client for one endpoint, with the same credentials and, if it is one of this client's endpoints, the
    /// same connection. An endpoint that is none fails with the first call.
    pub fn at(&self, endpoint: &str) -> Client {
        Client::new(self.inner.channel.at(endpoint))
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.inner))
    }

    pub(crate) fn watch_hub(&self) -> &watch::Hub {
        &self.inner.watches
    }

    pub(crate) fn lease_hub(&self) -> &lease::Hub {
        &self.inner.leases
    }
}

/// A client as a background task has it: the task is not what keeps it.
pub(crate) struct WeakClient(Weak<Inner>);

impl WeakClient {
    /// Returns the client, if anybody else still has it.
    pub(crate) fn upgrade(&self) -> Option<Client> {
        self.0.upgrade().map(|inner| Client { inner })
    }
}

/// Makes a stub with the limits of the client.
macro_rules! stub {
    ($(#[$doc:meta])* $name:ident: $stub:ident) => {
        impl Client {
            $(#[$doc])*
            pub fn $name(&self) -> $stub<Channel> {
                let settings = &self.inner.channel.inner().settings;
                $stub::new(self.channel())
                    .max_encoding_message_size(settings.send_bytes_max)
                    .max_decoding_message_size(settings.recv_bytes_max)
            }
        }
    };
}

stub! {
    /// Returns the generated stub of the key space, with the limits of the client.
    kv: KvClient
}
stub! {
    /// Returns the generated stub for leases, with the limits of the client.
    lease_stub: LeaseClient
}
stub! {
    /// Returns the generated stub for users and roles, with the limits of the client.
    auth_stub: AuthClient
}
stub! {
    /// Returns the generated stub for the members, with the limits of the client.
    cluster_stub: ClusterClient
}
stub! {
    /// Returns the generated stub for maintenance, with the limits of the client.
    maintenance_stub: MaintenanceClient
}
