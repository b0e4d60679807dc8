//! Why a member without data does not start.

use std::io;

use datadir::FoundingError;

use super::registry::RegistryError;
use crate::ids::{ClusterId, MemberId};

/// The flags contradict each other, or what the other members say. The texts are etcd's, but for the last ones.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The settings that found a cluster, or join one, cannot be read or are not served.
    #[error("{0}")]
    Settings(String),
    /// The settings of the cluster contradict each other.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// The DNS does not say who the members are.
    #[error("error setting up initial cluster: {0}")]
    Discovery(String),
    /// The discovery service does not say who the members are.
    #[error("failed to join discovery cluster ({0})")]
    Registry(#[source] RegistryError),
    /// Two members of the discovery service's list claim one URL.
    #[error("discovery cluster {0} has duplicate url")]
    DuplicateInRegistry(String),
    /// A discovery service lists the members of new clusters.
    #[error("discovery URL should not be set when joining existing initial cluster")]
    DiscoveryToJoin,
    /// A founding member lost its data, and its cluster runs: founding it again would make promises void.
    #[error("member {0} has already been bootstrapped")]
    AlreadyBootstrapped(MemberId),
    /// Nobody says who the members are.
    #[error("initial cluster unset and no discovery endpoints found")]
    Unset,
    /// Nobody who could say answers.
    #[error("cannot fetch cluster info from peer urls: {0}")]
    Fetch(&'static str),
    /// The flags list other members than the cluster has.
    #[error("error validating peerURLs {cluster}: {why}")]
    Members {
        /// The cluster as its members see it.
        cluster: String,
        /// How the two differ.
        why: String,
    },
    /// The cluster runs at a version that this one cannot join.
    #[error("incompatible with current running cluster")]
    Incompatible,
    /// The cluster has more learners than this member's flag allows.
    #[error("membership: too many learner members in cluster")]
    TooManyLearners,
    /// The members are another program: etcd's consensus is not spoken here.
    #[error(
        "cluster {0} does not speak quorate's peer protocol (it may be one of etcd): a member joins only members of its \
         own kind"
    )]
    OtherKind(ClusterId),
    /// There is nothing to ask with.
    #[error("cannot start asking other members: {0}")]
    Runtime(io::Error),
}
