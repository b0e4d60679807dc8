//! How a member without data learns who it is: it founds a cluster with others, or joins one.
//!
//! ```text
//!  --initial-cluster-state new        every founder computes the same ids from the same flags; nobody is asked, except
//!                                     whether this very member has been here before
//!  --initial-cluster-state existing   the members there know this one already (`member add`): they are asked for the
//!                                     ids and the cluster's, and what they say must be what the flags say
//! ```
//!
//! With `--discovery-srv` the DNS takes the place of `--initial-cluster` ([`srv`]), with `--discovery-endpoints` the keys of
//! another cluster do ([`discover`]).
//!
//! The result, the [`Origin`], is written into the data directory, and from then on the flags do not count: a member that has
//! data is who its data says. Checks, their order and their words are etcd's.

mod discover;
mod error;
mod found;
mod join;
mod registry;
mod remote;
mod resolve;
mod srv;

use std::sync::Arc;

use proto::membershippb::Member;

use crate::config::{ClusterState, Config, Discovery};
use crate::ids::MemberId;
use crate::tls::Connector;
pub(crate) use datadir::{How, KnownMember, Origin};
pub use error::BootstrapError;
pub use registry::RegistryError;
pub(crate) use remote::{PROTOCOL, PROTOCOL_HEADER, server_version};

/// A member of the state machine, as it is known before there is a log.
pub(crate) fn known_member(member: &Member) -> KnownMember {
    KnownMember {
        id: MemberId(member.id),
        name: member.member_attributes.as_ref().map(|own| own.name.clone()).unwrap_or_default(),
        peer_urls: member.raft_attributes.as_ref().map(|raft| raft.peer_urls.clone()).unwrap_or_default(),
    }
}

/// Who a member without data is. May ask other members over the network, and takes its time: up to half a minute for each
/// name that does not resolve.
///
/// # Errors
/// See [`BootstrapError`].
pub(crate) fn origin(config: &Config, connector: &Arc<Connector>) -> Result<Origin, BootstrapError> {
    if let Some(why) = &config.cluster.cannot_found {
        return Err(BootstrapError::Settings(why.clone()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BootstrapError::Runtime)?;
    let origin = runtime.block_on(determine(config, connector));
    // A look-up of a name that hangs does not hold up the start.
    runtime.shutdown_background();
    origin
}

async fn determine(config: &Config, connector: &Arc<Connector>) -> Result<Origin, BootstrapError> {
    let mut config = config.clone();
    match config.cluster.discovery.take() {
        None => {}
        Some(Discovery::Dns(srv)) => {
            config.cluster.initial =
                srv::discover(&config.name, &srv, &config.cluster.advertise_peer).await?;
        }
        Some(Discovery::Service(_)) if config.cluster.state == ClusterState::Existing => {
            return Err(BootstrapError::DiscoveryToJoin);
        }
        Some(Discovery::Service(service)) => {
            discover::discover(&config.name, &service, &mut config.cluster).await?;
        }
    }
    match config.cluster.state {
        ClusterState::New => found::found(&config.name, &config.cluster, connector).await,
        ClusterState::Existing => join::join(&config, connector).await,
    }
}
