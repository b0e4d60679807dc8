//! What the settings of a cluster that is founded have to agree on, for a server that founds one and for a restore.
//!
//! Whether two URLs lead to the same place may take the DNS, and how long that is waited for is the caller's: it says how the
//! lists differ.

use std::collections::BTreeMap;

use crate::url::{Url, join};

/// The settings contradict each other. The texts are etcd's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoundingError {
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
}

/// Returns the URLs that the cluster lists for a member.
///
/// # Errors
/// [`FoundingError::UnknownName`].
pub fn own_urls<'a>(name: &str, members: &'a BTreeMap<String, Vec<Url>>) -> Result<&'a [Url], FoundingError> {
    let own = members.get(name).map(Vec::as_slice);
    own.ok_or_else(|| FoundingError::UnknownName(name.to_owned()))
}

/// Checks that no two members claim one URL.
///
/// # Errors
/// [`FoundingError::DuplicateUrl`].
pub fn check_duplicates(members: &BTreeMap<String, Vec<Url>>) -> Result<(), FoundingError> {
    let mut urls: Vec<&Url> = members.values().flatten().collect();
    urls.sort();
    if urls.windows(2).any(|pair| pair[0] == pair[1]) {
        let pairs =
            members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
        return Err(FoundingError::DuplicateUrl(pairs.collect::<Vec<_>>().join(",")));
    }
    Ok(())
}

/// Returns what is wrong if a member advertises other places than the cluster lists for it. `why` is how they differ.
#[must_use]
pub fn disagreement(name: &str, listed: &[Url], advertised: &[Url], why: String) -> FoundingError {
    let named = |urls: &[&Url]| urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");
    let missing: Vec<&Url> = listed.iter().filter(|url| !advertised.contains(url)).collect();
    if !missing.is_empty() {
        return FoundingError::NotAdvertised { missing: named(&missing), advertised: join(advertised), why };
    }
    let missing: Vec<Url> = advertised.iter().filter(|url| !listed.contains(url)).cloned().collect();
    let listed = named(&advertised.iter().collect::<Vec<_>>());
    if missing.is_empty() {
        return FoundingError::Unresolved { advertised: join(advertised), listed, why };
    }
    FoundingError::NotListed { missing: join(&missing), listed }
}
