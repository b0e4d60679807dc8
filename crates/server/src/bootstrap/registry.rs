//! The registry of a discovery service: keys of a cluster in which the founding members of another list themselves.
//!
//! ```text
//!  /_etcd/registry/<token>/_config/size          how many members found the cluster; put by whoever makes the registry
//!  /_etcd/registry/<token>/members/<id in hex>   name=URL[,name=URL...] of a member; put by the member
//! ```
//!
//! Members that come at the same time may be more than the cluster has places. Those whose keys were created first have them,
//! and all members see the same order. What is in the keys is somebody else's word: it can be wrong, and then the member is
//! not started.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Url, url};
use crate::ids::MemberId;

const PREFIX: &str = "/_etcd/registry";

/// Why the registry gives no cluster. The texts are etcd's, but for the last ones.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Nobody has made the registry.
    #[error("discovery: size key not found")]
    SizeNotFound,
    /// The number of members is none, or one of a cluster that cannot be.
    #[error("discovery: size key is bad")]
    BadSize,
    /// All places are taken, by others.
    #[error("discovery: cluster is full")]
    Full,
    /// A member of the cluster has an entry that does not name its URLs.
    #[error("discovery: invalid peer URL")]
    InvalidUrl,
    /// Two members have one name.
    #[error("discovery: more than one member has the name {0:?}")]
    DuplicateName(String),
    /// The entry under this member's id is another's: somebody has written over it.
    #[error("discovery: the entry of this member, {entry:?}, is not the one that it has registered")]
    NotOurs {
        /// What is there.
        entry: String,
    },
    /// The service has refused the user, or there is nothing to ask it with.
    #[error(transparent)]
    Service(#[from] client::Error),
}

/// The keys of one registry.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    cluster: String,
}

impl Keys {
    /// Returns the keys of the registry with this token, which is part of a path: like in one, empty steps and `.` do not count,
    /// and `..` takes back the step before.
    pub(super) fn of(token: &str) -> Keys {
        let mut steps: Vec<&str> = Vec::new();
        for step in PREFIX.split('/').chain(token.split('/')) {
            match step {
                "" | "." => {}
                ".." => drop(steps.pop()),
                step => steps.push(step),
            }
        }
        Keys { cluster: steps.iter().map(|step| format!("/{step}")).collect() }
    }

    pub(super) fn size(&self) -> String {
        format!("{}/_config/size", self.cluster)
    }

    pub(super) fn members(&self) -> String {
        format!("{}/members", self.cluster)
    }

    pub(super) fn member(&self, id: MemberId) -> String {
        format!("{}/members/{id}", self.cluster)
    }
}

/// Returns how many members found the cluster.
///
/// # Errors
/// [`RegistryError::BadSize`]: it is no number, or more than a cluster can have.
pub(super) fn parse_size(value: &[u8]) -> Result<usize, RegistryError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
    let size = number.and_then(|number| usize::try_from(number).ok());
    size.filter(|size| (1..=raft::VOTERS_MAX).contains(size)).ok_or(RegistryError::BadSize)
}

/// One member's entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The revision that created its key.
    created: i64,
    key: String,
    text: String,
}

/// The members that have registered, the first first.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    members: Vec<Entry>,
}

impl Entries {
    /// Adds what is in a key.
    ///
    /// # Errors
    /// With etcd's text, what is wrong with it. Such a key does not count.
    pub(super) fn add(&mut self, key: &str, value: &str, created: i64) -> Result<(), &'static str> {
        let (key, text) = (key.trim().to_owned(), value.trim().to_owned());
        if !text.contains('=') {
            return Err("invalid peer info returned from discovery service");
        }
        if self.members.iter().any(|member| member.key == key) {
            return Err("found duplicate peer from discovery service");
        }
        self.members.push(Entry { created, key, text });
        self.members.sort();
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Checks that the member with this key has a place in the cluster, or can still get one.
    ///
    /// # Errors
    /// [`RegistryError::Full`].
    pub(super) fn check_place(&self, own_key: &str, size: usize) -> Result<(), RegistryError> {
        let has_place = self.members.iter().take(size).any(|member| member.key == own_key);
        if has_place || self.members.len() < size { Ok(()) } else { Err(RegistryError::Full) }
    }

    /// Returns the entries of those that have a place, as `--initial-cluster` would have them.
    pub(super) fn text(&self, size: usize) -> String {
        let entries = self.members.iter().take(size).map(|member| member.text.as_str());
        entries.collect::<Vec<_>>().join(",")
    }

    /// Returns the founding members by name.
    ///
    /// # Errors
    /// When an entry does not name one member and its URLs, when two have the same name, and when the entry under `own_key` is
    /// not `own_entry`.
    pub(super) fn founders(
        &self,
        size: usize,
        own_key: &str,
        own_entry: &str,
    ) -> Result<BTreeMap<String, Vec<Url>>, RegistryError> {
        let mut founders = BTreeMap::new();
        for entry in self.members.iter().take(size) {
            if entry.key == own_key && entry.text != own_entry {
                return Err(RegistryError::NotOurs { entry: entry.text.clone() });
            }
            let named = url::parse_cluster(&entry.text).map_err(|_| RegistryError::InvalidUrl)?;
            if named.len() != 1 {
                return Err(RegistryError::InvalidUrl);
            }
            for (name, urls) in named {
                if founders.insert(name.clone(), urls).is_some() {
                    return Err(RegistryError::DuplicateName(name));
                }
            }
        }
        Ok(founders)
    }
}

/// Returns the entry of a member.
pub(super) fn entry(name: &str, urls: &[Url]) -> String {
    let texts: BTreeSet<String> = urls.iter().map(|url| format!("{name}={url}")).collect();
    Vec::from_iter(texts).join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "/_etcd/registry/t/members/2";

    /// A registry with these values under the ids 1, 2 and so on, created in this order.
    fn registry(values: &[&str]) -> Entries {
        let mut entries = Entries::default();
        for (place, value) in (1_i64..).zip(values) {
            let _ = entries.add(&format!("/_etcd/registry/t/members/{place}"), value, place);
        }
        entries
    }

    #[test]
    fn keys_are_those_of_etcd() {
        let keys = Keys::of("8A591FAB-1D72-41FA-BDF2-A27162FDA1E0");
        assert_eq!(keys.size(), "/_etcd/registry/8A591FAB-1D72-41FA-BDF2-A27162FDA1E0/_config/size");
        assert_eq!(
            keys.member(MemberId(0xa0b1)),
            "/_etcd/registry/8A591FAB-1D72-41FA-BDF2-A27162FDA1E0/members/a0b1"
        );
        for (token, members) in [
            ("a/b", "/_etcd/registry/a/b/members"),
            ("/a//./b/", "/_etcd/registry/a/b/members"),
            ("../x", "/_etcd/x/members"),
            ("../../../..", "/members"),
        ] {
            assert_eq!(Keys::of(token).members(), members, "{token}");
        }
    }

    #[test]
    fn a_size_is_a_number_that_a_cluster_can_have() {
        for (value, size) in [("1", Some(1)), ("3", Some(3)), ("+5", Some(5)), ("32", Some(32))] {
            assert_eq!(parse_size(value.as_bytes()).ok(), size, "{value}");
        }
        for value in
            ["", "0", "-1", "33", " 3", "3.0", "three", "99999999999999999999", "9223372036854775807"]
        {
            let error = parse_size(value.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "discovery: size key is bad", "{value}");
        }
        parse_size(b"\xff\xfe").unwrap_err();
    }

    #[test]
    fn those_that_registered_first_have_the_places() {
        let mut entries = registry(&["a=http://h:1", "b=http://h:2"]);
        entries.check_place("/_etcd/registry/t/members/9", 3).unwrap();
        // Registered last, and seen before the third.
        entries.add("/_etcd/registry/t/members/9", "d=http://h:9", 9).unwrap();
        entries.add("/_etcd/registry/t/members/3", "c=http://h:3", 3).unwrap();
        assert_eq!(entries.text(3), "a=http://h:1,b=http://h:2,c=http://h:3");
        entries.check_place(OWN, 3).unwrap();
        let error = entries.check_place("/_etcd/registry/t/members/9", 3).unwrap_err();
        assert_eq!(error.to_string(), "discovery: cluster is full");
        let founders = entries.founders(3, OWN, "b=http://h:2").unwrap();
        assert_eq!(Vec::from_iter(founders.keys()), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_no_entry_does_not_count() {
        let mut entries = registry(&["nobody", "b=http://h:2", ""]);
        assert_eq!(entries.count(), 1);
        let again = entries.add(OWN, "b=http://h:4", 7).unwrap_err();
        assert_eq!(again, "found duplicate peer from discovery service");
        let none = entries.add("/_etcd/registry/t/members/4", "\u{0}", 7).unwrap_err();
        assert_eq!(none, "invalid peer info returned from discovery service");
    }

    #[test]
    fn a_registry_that_lies_is_refused() {
        let own = "b=http://h:2";
        for (others, why) in [
            ("a=http://h", "discovery: invalid peer URL"),
            ("a=", "discovery: invalid peer URL"),
            ("=", "discovery: invalid peer URL"),
            ("a=http://h:1,c=http://h:3", "discovery: invalid peer URL"),
            (",=,", "discovery: invalid peer URL"),
            ("a=http://h:1/path", "discovery: invalid peer URL"),
            ("b=http://h:1", "discovery: more than one member has the name \"b\""),
        ] {
            let error = registry(&[others, own]).founders(2, OWN, own).unwrap_err();
            assert_eq!(error.to_string(), why, "{others}");
        }
        let error = registry(&["a=http://h:1", "b=http://h:7"]).founders(2, OWN, own).unwrap_err();
        assert_eq!(
            error.to_string(),
            "discovery: the entry of this member, \"b=http://h:7\", is not the one that it has registered"
        );
        let several = "a=http://h:1,a=http://h:3";
        assert_eq!(registry(&[several, own]).founders(2, OWN, own).unwrap()["a"].len(), 2);
    }
}
