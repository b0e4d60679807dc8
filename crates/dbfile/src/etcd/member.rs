//! Members and raft's configuration: rows that are JSON.

use serde::{Deserialize, Serialize};

use super::RowFault;

/// The value of a row in the bucket of removed members.
pub const REMOVED: &[u8] = b"removed";

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Where other members reach it.
    #[serde(rename = "peerURLs", deserialize_with = "null_is_empty")]
    pub peer_urls: Vec<String>,
    /// Whether it has no vote.
    #[serde(rename = "isLearner", skip_serializing_if = "is_false")]
    pub is_learner: bool,
    /// Its name; empty until it has started.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where clients reach it; empty until it has started.
    #[serde(
        rename = "clientURLs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub client_urls: Vec<String>,
}

impl Member {
    /// Reads the value of a row.
    ///
    /// # Errors
    /// [`RowFault::Json`].
    pub fn parse(value: &[u8]) -> Result<Self, RowFault> {
        parse_json(value)
    }

    /// Returns the value of a row.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Raft's configuration: ids of members.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfState {
    /// Those that vote.
    #[serde(deserialize_with = "null_is_empty")]
    pub voters: Vec<u64>,
    /// Those that do not.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub learners: Vec<u64>,
    /// Those that voted before a change that is under way.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub voters_outgoing: Vec<u64>,
    /// Those that do not vote once the change is done.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub learners_next: Vec<u64>,
    /// Whether the change ends by itself.
    pub auto_leave: bool,
}

impl ConfState {
    /// Reads the value of a row.
    ///
    /// # Errors
    /// [`RowFault::Json`].
    pub fn parse(value: &[u8]) -> Result<Self, RowFault> {
        parse_json(value)
    }

    /// Returns the value of a row.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        to_json(self)
    }
}

/// Returns the key of a member: its id in lower hexadecimal, without padding.
#[must_use]
pub fn member_key(id: u64) -> Vec<u8> {
    format!("{id:x}").into_bytes()
}

/// Reads the key of a member.
///
/// # Errors
/// [`RowFault::MemberKey`].
pub fn parse_member_key(key: &[u8]) -> Result<u64, RowFault> {
    let text = std::str::from_utf8(key).map_err(|_| RowFault::MemberKey)?;
    let id = u64::from_str_radix(text, 16).map_err(|_| RowFault::MemberKey)?;
    if member_key(id) == key { Ok(id) } else { Err(RowFault::MemberKey) }
}

pub(super) fn parse_json<'v, T: Deserialize<'v>>(value: &'v [u8]) -> Result<T, RowFault> {
    serde_json::from_slice(value).map_err(|error| RowFault::Json(error.to_string()))
}

pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these have texts and numbers only")
}

/// Go writes a list that is nil as `null`.
fn null_is_empty<'d, D: serde::Deserializer<'d>, T: Deserialize<'d>>(json: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or_default())
}

/// For serde, which asks with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_as_etcd_writes_it() {
        let json = br#"{"id":10276657743932975437,"peerURLs":["http://a:2380"],"name":"a","clientURLs":["http://a:2379"]}"#;
        let member = Member::parse(json).unwrap();
        assert_eq!((member.id, &member.name[..], member.is_learner), (0x8e9e_05c5_2164_694d, "a", false));
        assert_eq!(member.encoded(), json);
        let learner = br#"{"id":1,"peerURLs":["http://b:2380"],"isLearner":true}"#;
        assert_eq!(Member::parse(learner).unwrap().encoded(), learner);
        assert_eq!(Member::parse(br#"{"id":1,"peerURLs":null}"#).unwrap().peer_urls, [""; 0]);
        assert!(matches!(Member::parse(b"{"), Err(RowFault::Json(_))));
    }

    #[test]
    fn a_configuration_is_read_as_etcd_writes_it() {
        let json = br#"{"voters":[1,2],"auto_leave":false}"#;
        let state = ConfState::parse(json).unwrap();
        assert_eq!(state, ConfState { voters: vec![1, 2], ..ConfState::default() });
        assert_eq!(state.encoded(), json);
    }

    #[test]
    fn an_id_is_hexadecimal() {
        assert_eq!(parse_member_key(&member_key(0x8e9e)), Ok(0x8e9e));
        for key in ["", "8E9E", "08e9e", "+8", "g", "10000000000000000"] {
            assert_eq!(parse_member_key(key.as_bytes()), Err(RowFault::MemberKey), "{key}");
        }
    }
}
