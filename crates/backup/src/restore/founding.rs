//! Who the restored member is: the flags say it, as they do for a new cluster.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

use datadir::founding::{check_duplicates, disagreement, own_urls};
use datadir::{FoundingError, Origin, Url};

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

impl Founding {
    /// Returns who the member is, and with whom.
    ///
    /// # Errors
    /// If the settings contradict each other: in etcd's order.
    pub fn origin(&self) -> Result<Origin, FoundingError> {
        let Self { name, members, token, advertised } = self;
        let own = own_urls(name, members)?;
        if let Some(why) = difference(advertised, own) {
            return Err(disagreement(name, own, advertised, why));
        }
        check_duplicates(members)?;
        Ok(Origin::founded(own, members, token))
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
