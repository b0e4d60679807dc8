//! How a member without data learns who it is: it founds a cluster with others, or joins one.
//!
//! ```text
//!  --initial-cluster-state new        every founder computes the same ids from the same flags; nobody is asked, except
//!                                     whether this very member has been here before
//!  --initial-cluster-state existing   the members there know this one already (`member add`): they are asked for the
//!                                     ids and the cluster's, and what they say must be what the flags say
//! ```
//!
//! With `--discovery-srv` the DNS takes the place of `--initial-cluster` ([`srv`]).
//!
//! The result, the [`Origin`], is written into the data directory, and from then on the flags do not count: a member that has
//! data is who its data says. Checks, their order and their words are etcd's.

mod error;
mod found;
mod join;
mod remote;
mod resolve;
mod srv;

use std::sync::Arc;

use proto::membershippb::Member;
use serde::{Deserialize, Serialize};

use crate::config::{ClusterState, Config};
use crate::ids::{Identity, MemberId};
use crate::tls::Connector;
pub use error::BootstrapError;
pub(crate) use remote::{PROTOCOL, PROTOCOL_HEADER, server_version};

/// What a member starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Who it is.
    pub(crate) identity: Identity,
    /// How it came to be a member.
    pub(crate) how: How,
    /// Everybody it knows of at its start, itself included: where to reach them until the log says so.
    pub(crate) members: Vec<KnownMember>,
}

/// How a member came to be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum How {
    /// It is one of those that the cluster started with: their names and URLs are the cluster's first command, and all of
    /// them vote from the start.
    #[default]
    Founded,
    /// It was added to a running cluster, and knows nothing until it is told.
    Joined,
}

/// A member as it is known before there is a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct KnownMember {
    /// Its id.
    #[serde(with = "hexadecimal")]
    pub(crate) id: MemberId,
    /// Its name; empty if it is not known.
    #[serde(default)]
    pub(crate) name: String,
    /// Where other members reach it.
    pub(crate) peer_urls: Vec<String>,
}

impl KnownMember {
    /// A member as the state machine has it.
    pub(crate) fn of(member: &Member) -> Self {
        Self {
            id: MemberId(member.id),
            name: member.member_attributes.as_ref().map(|own| own.name.clone()).unwrap_or_default(),
            peer_urls: member.raft_attributes.as_ref().map(|raft| raft.peer_urls.clone()).unwrap_or_default(),
        }
    }
}

/// Ids as text, as etcd prints them: JSON numbers lose digits.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::ids::MemberId;

    pub(super) fn serialize<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(MemberId).map_err(D::Error::custom)
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
    if let Some(discovery) = &config.cluster.discovery {
        config.cluster.initial =
            srv::discover(&config.name, discovery, &config.cluster.advertise_peer).await?;
    }
    match config.cluster.state {
        ClusterState::New => found::found(&config.name, &config.cluster, connector).await,
        ClusterState::Existing => join::join(&config, connector).await,
    }
}
