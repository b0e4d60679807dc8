//! Who the restored member is: the flags say it, as they do for a new cluster.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

use datadir::url::join;
use datadir::{Origin, Url};

/// The settings of a cluster that is founded.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The member's name.
    pub name: String,
    /// All members, by name, with their peer URLs.
    pub members: BTreeMap<String, Vec<Url>>,
    /// What tells clusters of the same URLs apart.
    pub token: String,
    /// Where the member says that it is reached.
    pub advertised: Vec<Url>,
}

/// The settings contradict each other. The texts are etcd's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoundingError {
    /// The own name is not among the members.
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    UnknownName(String),
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
    /// Two members claim one URL.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
}

impl Founding {
    /// Returns who the member is, and with whom.
    ///
    /// # Errors
    /// If the settings contradict each other: in etcd's order.
    pub fn origin(&self) -> Result<Origin, FoundingError> {
        let Self { name, members, token, .. } = self;
        let own = members.get(name).ok_or_else(|| FoundingError::UnknownName(name.clone()))?;
        self.check_advertised(own)?;
        let mut urls: Vec<&Url> = members.values().flatten().collect();
        urls.sort();
        if urls.windows(2).any(|pair| pair[0] == pair[1]) {
            let pairs =
                members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
            return Err(FoundingError::DuplicateUrl(pairs.collect::<Vec<_>>().join(",")));
        }
        Ok(Origin::founded(own, members, token))
    }

    /// What the member advertises must be what the cluster lists for it, or lead to the same addresses.
    fn check_advertised(&self, listed: &[Url]) -> Result<(), FoundingError> {
        let Self { name, advertised, .. } = self;
        let Some(why) = difference(advertised, listed) else { return Ok(()) };
        let named =
            |urls: &[&Url]| urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");
        let missing: Vec<&Url> = listed.iter().filter(|url| !advertised.contains(url)).collect();
        if !missing.is_empty() {
            let advertised = join(advertised);
            return Err(FoundingError::NotAdvertised { missing: named(&missing), advertised, why });
        }
        let missing: Vec<Url> = advertised.iter().filter(|url| !listed.contains(url)).cloned().collect();
        let listed = named(&advertised.iter().collect::<Vec<_>>());
        Err(FoundingError::NotListed { missing: join(&missing), listed })
    }
}

/// How two lists differ, by their texts or else by the addresses that their names have.
fn difference(one: &[Url], other: &[Url]) -> Option<String> {
    if one.len() != other.len() {
        return Some(format!("len({}) != len({})", quoted(one), quoted(other)));
    }
    let sorted = |urls: &[Url], place: fn(&Url) -> Url| {
        let mut urls: Vec<Url> = urls.iter().map(place).collect();
        urls.sort();
        urls
    };
    if sorted(one, Url::clone) == sorted(other, Url::clone) {
        return None;
    }
    let (one, other) = (sorted(one, resolved), sorted(other, resolved));
    let different = one.into_iter().zip(other).find(|(one, other)| one != other);
    different.map(|(one, other)| format!("resolved urls: \"{one}\" != \"{other}\""))
}

/// The URL with an address for its name, if that resolves.
fn resolved(url: &Url) -> Url {
    let address = || {
        let (host, port) = url.host_port().filter(|(host, _)| *host != "localhost")?;
        let address = (host, port).to_socket_addrs().ok()?.next()?;
        Some(url.with_address(address.ip(), port))
    };
    address().unwrap_or_else(|| url.clone())
}

/// A list as Go's `%q` prints it.
fn quoted(urls: &[Url]) -> String {
    let quoted: Vec<String> = urls.iter().map(|url| format!("{:?}", url.as_str())).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use datadir::url::{parse_cluster, parse_list};

    use super::*;

    fn founding(name: &str, members: &str, advertised: &str) -> Result<Origin, FoundingError> {
        let founding = Founding {
            name: name.to_owned(),
            members: parse_cluster(members).unwrap(),
            token: "etcd-cluster".to_owned(),
            advertised: parse_list(advertised).unwrap(),
        };
        founding.origin()
    }

    #[test]
    fn ids_are_those_that_etcdutl_gives() {
        let origin = founding("default", "default=http://localhost:2380", "http://localhost:2380").unwrap();
        assert_eq!(origin.identity.member.0, 10_276_657_743_932_975_437);
        assert_eq!(origin.identity.cluster.0, 14_841_639_068_965_178_418);
    }

    #[test]
    fn contradictions_have_etcds_words() {
        let cases = [
            (
                "c",
                "a=http://127.0.0.1:1",
                "http://127.0.0.1:1",
                "couldn't find local name \"c\" in the initial cluster configuration",
            ),
            (
                "a",
                "a=http://127.0.0.1:1,b=http://127.0.0.1:1",
                "http://127.0.0.1:1",
                "initial cluster a=http://127.0.0.1:1,b=http://127.0.0.1:1 has duplicate url",
            ),
            (
                "a",
                "a=http://127.0.0.1:1",
                "http://127.0.0.1:2",
                "--initial-cluster has a=http://127.0.0.1:1 but missing from \
                 --initial-advertise-peer-urls=http://127.0.0.1:2 (resolved urls: \"http://127.0.0.1:2\" != \
                 \"http://127.0.0.1:1\")",
            ),
            (
                "a",
                "a=http://127.0.0.1:1",
                "http://127.0.0.1:1,http://127.0.0.1:2",
                "--initial-advertise-peer-urls has http://127.0.0.1:2 but missing from \
                 --initial-cluster=a=http://127.0.0.1:1,a=http://127.0.0.1:2",
            ),
        ];
        for (name, initial, advertised, text) in cases {
            assert_eq!(founding(name, initial, advertised).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn an_address_may_be_written_in_two_ways() {
        founding("a", "a=http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:1").unwrap();
    }
}
