//! The manifest of a full backup: a small JSON document beside it, written last.

use serde::{Deserialize, Serialize};

use crate::chain::Digest;
use crate::name::Millis;

/// The only form of manifests that there is.
const FORMAT: u32 = 1;

/// What a full backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The cluster it is of.
    pub cluster: u64,
    /// The member that made it.
    pub member: u64,
    /// The newest revision in it.
    pub revision: i64,
    /// The compact revision; -1: never compacted.
    pub compact_revision: i64,
    /// Term of the entry of the raft log that it is as of.
    pub raft_term: u64,
    /// Index of that entry.
    pub raft_index: u64,
    /// When its state was current.
    pub time: Millis,
    /// Length of the file, its digest at the end included.
    pub bytes: u64,
    /// Digest of all of the file.
    pub sha256: Digest,
    /// The chain at its revision.
    pub chain: Digest,
    /// Digest of the rows of its revision; `None`: the history does not have them.
    pub rows: Option<Digest>,
    /// The version of the program that made it.
    pub version: String,
}

/// The document.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    format: u32,
    cluster_id: String,
    member_id: String,
    revision: i64,
    compact_revision: i64,
    raft_term: u64,
    raft_index: u64,
    time_ms: Millis,
    bytes: u64,
    sha256: String,
    chain: String,
    rows: Option<String>,
    version: String,
}

impl Manifest {
    /// Returns the document.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let document = Document {
            format: FORMAT,
            cluster_id: format!("{:016x}", self.cluster),
            member_id: format!("{:016x}", self.member),
            revision: self.revision,
            compact_revision: self.compact_revision,
            raft_term: self.raft_term,
            raft_index: self.raft_index,
            time_ms: self.time,
            bytes: self.bytes,
            sha256: self.sha256.to_string(),
            chain: self.chain.to_string(),
            rows: self.rows.map(|rows| rows.to_string()),
            version: self.version.clone(),
        };
        let mut bytes = serde_json::to_vec_pretty(&document).expect("numbers and texts are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.format != FORMAT {
            return Err(format!("form {} is unknown: a newer version wrote it", document.format));
        }
        let id = |text: &str| u64::from_str_radix(text, 16).map_err(|_| format!("{text:?} is no id"));
        let digest = |text: &str| Digest::parse(text).ok_or_else(|| format!("{text:?} is no digest"));
        Ok(Self {
            cluster: id(&document.cluster_id)?,
            member: id(&document.member_id)?,
            revision: document.revision,
            compact_revision: document.compact_revision,
            raft_term: document.raft_term,
            raft_index: document.raft_index,
            time: document.time_ms,
            bytes: document.bytes,
            sha256: digest(&document.sha256)?,
            chain: digest(&document.chain)?,
            rows: document.rows.as_deref().map(digest).transpose()?,
            version: document.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        let mut manifest = Manifest {
            cluster: 1,
            member: u64::MAX,
            revision: 7,
            compact_revision: -1,
            raft_term: 2,
            raft_index: 9,
            time: 1_700_000_000_000,
            bytes: 8_224,
            sha256: Digest::of(b"a"),
            chain: Digest::of(b"b"),
            rows: Some(Digest::of(b"c")),
            version: "0.1.0".to_owned(),
        };
        assert_eq!(Manifest::parse(&manifest.encoded()), Ok(manifest.clone()));
        manifest.rows = None;
        assert_eq!(Manifest::parse(&manifest.encoded()), Ok(manifest.clone()));
        let newer = String::from_utf8(manifest.encoded()).unwrap().replace("\"format\": 1", "\"format\": 2");
        assert!(Manifest::parse(newer.as_bytes()).unwrap_err().contains("newer version"));
        assert!(Manifest::parse(b"{}").is_err());
    }
}
