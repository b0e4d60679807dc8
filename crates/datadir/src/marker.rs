//! The marker: who the member is, and how far its founding came.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wal::Disk;

use crate::{ClusterId, DataDirError, FORMAT, Identity, MemberId, Url, cluster_id, io_error, member_id};

/// Longest marker file that is believed to be one, and is written. It lists the members: 256 at most, usually three, with
/// names and URLs of any length.
const BYTES_MAX: u64 = 4 << 20;

/// What a member starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who it is.
    pub identity: Identity,
    /// How it came to be a member.
    pub how: How,
    /// Everybody it knows of at its start, itself included: where to reach them until the log says so.
    pub members: Vec<KnownMember>,
}

impl Origin {
    /// Who a founder of a cluster is: with these peer URLs, among all members by name, of a cluster with this token. Every founder
    /// computes the same.
    #[must_use]
    pub fn founded(own: &[Url], members: &BTreeMap<String, Vec<Url>>, token: &str) -> Self {
        let known = |(name, urls): (&String, &Vec<Url>)| KnownMember {
            id: member_id(urls, token),
            name: name.clone(),
            peer_urls: urls.iter().map(Url::to_string).collect(),
        };
        let mut members: Vec<KnownMember> = members.iter().map(known).collect();
        members.sort();
        let ids: Vec<MemberId> = members.iter().map(|member| member.id).collect();
        let identity = Identity { cluster: cluster_id(&ids), member: member_id(own, token) };
        Self { identity, how: How::Founded, members }
    }
}

/// How a member came to be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is one of those that the cluster started with: their names and URLs are the cluster's first command, and all of
    /// them vote from the start.
    #[default]
    Founded,
    /// It was added to a running cluster, and knows nothing until it is told.
    Joined,
}

/// A member as it is known before there is a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownMember {
    /// Its id.
    #[serde(with = "hexadecimal")]
    pub id: MemberId,
    /// Its name; empty if it is not known.
    #[serde(default)]
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
}

/// What the marker says of log and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They may not be there yet.
    Founding,
    /// They are there. A log that is not there is lost.
    Complete,
    /// They are to be thrown away and fetched from the others.
    StartingOver,
}

/// The marker file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Who the member is.
    pub origin: Origin,
    /// How far its founding came.
    pub state: State,
}

/// The JSON of the marker. Ids are hexadecimal text, as etcd prints them: JSON numbers lose digits. A field of another name
/// is damage: a checksum whose name is damaged would not be looked at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    format: u32,
    cluster_id: String,
    member_id: String,
    #[serde(default)]
    how: How,
    #[serde(default)]
    members: Vec<KnownMember>,
    /// Log and store may not be there yet. From the moment on when this says no, a log that is not there is lost.
    #[serde(default)]
    founding: bool,
    /// Log and store are to be thrown away and fetched from the others.
    #[serde(default)]
    starting_over: bool,
    /// CRC of the rest. The first markers were written without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl Marker {
    /// Reads the marker file at `path`; `None` if there is none.
    ///
    /// # Errors
    /// [`DataDirError::Marker`] if it is damaged, [`DataDirError::NewerFormat`], and those of the disk.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, DataDirError> {
        if !disk.exists(path).map_err(io_error("look for", path))? {
            return Ok(None);
        }
        let content = wal::read_file(disk, path, BYTES_MAX).map_err(io_error("read", path))?;
        Self::decode(&content, path).map(Some)
    }

    fn decode(content: &[u8], path: &Path) -> Result<Self, DataDirError> {
        let damaged = |what: String| DataDirError::Marker { path: path.to_owned(), what };
        // The format alone first: a newer marker may have other fields.
        let value: serde_json::Value =
            serde_json::from_slice(content).map_err(|error| damaged(error.to_string()))?;
        let found = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0) as u32;
        if found > FORMAT {
            let path = path.parent().unwrap_or(path).to_owned();
            return Err(DataDirError::NewerFormat { path, found });
        }
        let mut json: Json = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        if let Some(checksum) = json.checksum.take()
            && checksum != json.checksum()
        {
            return Err(damaged("it does not match its checksum".to_owned()));
        }
        let id = |text: &str| u64::from_str_radix(text, 16).map_err(|error| damaged(error.to_string()));
        let identity =
            Identity { cluster: ClusterId(id(&json.cluster_id)?), member: MemberId(id(&json.member_id)?) };
        let state = match (json.starting_over, json.founding) {
            (true, _) => State::StartingOver,
            (false, true) => State::Founding,
            (false, false) => State::Complete,
        };
        Ok(Self { origin: Origin { identity, how: json.how, members: json.members }, state })
    }

    /// Writes the marker file at `path`, durably, whole or not at all.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), DataDirError> {
        let Origin { identity, how, members } = &self.origin;
        let mut json = Json {
            format: FORMAT,
            cluster_id: identity.cluster.to_string(),
            member_id: identity.member.to_string(),
            how: *how,
            members: members.clone(),
            founding: self.state == State::Founding,
            starting_over: self.state == State::StartingOver,
            checksum: None,
        };
        json.checksum = Some(json.checksum());
        let content = json.encode();
        if content.len() as u64 > BYTES_MAX {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, "the list of members is too long");
            return Err(io_error("write", path)(source));
        }
        wal::replace_file(disk, path, &content).map_err(io_error("write", path))
    }
}

impl Json {
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a struct of numbers and strings is JSON")
    }

    /// Returns the checksum of what has none (yet).
    fn checksum(&self) -> String {
        debug_assert!(self.checksum.is_none(), "a checksum does not cover itself");
        format!("{:08x}", crc32fast::hash(&self.encode()))
    }
}

/// Ids as text, as etcd prints them: JSON numbers lose digits.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::MemberId;

    pub(super) fn serialize<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(MemberId).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        let identity = Identity { cluster: ClusterId(0xcdf8_18ae), member: MemberId(0x8e9e_05c5_2164_694d) };
        let own = KnownMember {
            id: identity.member,
            name: "n".into(),
            peer_urls: vec!["http://127.0.0.1:1".into()],
        };
        Marker { origin: Origin { identity, how: How::Joined, members: vec![own] }, state: State::Founding }
    }

    #[test]
    fn a_marker_of_a_member_alone_is_read() {
        let content = br#"{"format": 1, "cluster_id": "a", "member_id": "b"}"#;
        let identity = Identity { cluster: ClusterId(0xa), member: MemberId(0xb) };
        let origin = Origin { identity, how: How::Founded, members: Vec::new() };
        let decoded = Marker::decode(content, Path::new("m")).unwrap();
        assert_eq!(decoded, Marker { origin, state: State::Complete });
    }

    /// A marker that was written and cannot be read keeps its member from starting ever again.
    #[test]
    fn what_is_written_can_be_read_however_many_members_there_are() {
        let disk = wal::SimDisk::new(1);
        let path = Path::new("/m");
        let with_url_bytes = |length: usize| {
            let member = |id| KnownMember {
                id: MemberId(id),
                name: format!("member-{id}"),
                peer_urls: vec![format!("http://{}:2380", "a".repeat(length))],
            };
            let mut marker = marker();
            marker.origin.members = (1..=256).map(member).collect();
            marker
        };
        let long = with_url_bytes(1000);
        long.write(&disk, path).unwrap();
        assert_eq!(Marker::read(&disk, path).unwrap(), Some(long.clone()));
        assert!(matches!(with_url_bytes(100_000).write(&disk, path), Err(DataDirError::Io { .. })));
        assert_eq!(Marker::read(&disk, path).unwrap(), Some(long), "the old one stays");
    }

    #[test]
    fn no_flipped_bit_in_a_marker_goes_unnoticed() {
        let disk = wal::SimDisk::new(1);
        let path = Path::new("/m");
        marker().write(&disk, path).unwrap();
        let content = wal::read_file(&disk, path, BYTES_MAX).unwrap();
        assert_eq!(Marker::decode(&content, path).unwrap(), marker());
        for bit in 0..content.len() * 8 {
            let mut damaged = content.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // White space that became other white space still says the same.
            if let Ok(found) = Marker::decode(&damaged, path) {
                assert_eq!(found, marker(), "bit {bit}: {}", damaged.escape_ascii());
            }
        }
    }
}
