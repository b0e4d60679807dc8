//! Why a member without data does not start.

use std::io;

use crate::ids::{ClusterId, MemberId};

/// The flags contradict each other, or what the other members say. The texts are etcd's, but for the last ones.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The settings that found a cluster, or join one, cannot be read or are not served.
    #[error("{0}")]
    Settings(String),
    /// The own name is not among the members.
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    UnknownName(String),
    /// Two members claim one URL.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    /// The cluster lists a URL that the member does not advertise.
    #[error(
        "--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised} ({why})"
    )]
    NotAdvertised {
        /// `name=url` of what is missing.
        missing: String,
        /// What is advertised.
        advertised: String,
        /// How the two differ.
        why: String,
    },
    /// The member advertises a URL that the cluster does not list.
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={listed}")]
    NotListed {
        /// What is missing.
        missing: String,
        /// What is advertised, as the cluster would have to list it.
        listed: String,
    },
    /// The same URLs, and still not the same places.
    #[error("failed to resolve {advertised} to match --initial-cluster={listed} ({why})")]
    Unresolved {
        /// What is advertised.
        advertised: String,
        /// What is advertised, as the cluster would have to list it.
        listed: String,
        /// Why not.
        why: String,
    },
    /// The DNS does not say who the members are.
    #[error("error setting up initial cluster: {0}")]
    Discovery(String),
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
