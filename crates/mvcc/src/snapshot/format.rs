//! The bytes of a snapshot.
//!
//! ```text
//! chunk:   number 4 | crc 4 | payload        crc over number and payload
//! stream:  the payloads of all chunks but the last, one behind the other; records cross chunks
//! record:  kind 1 | length 4 | content
//! ```
//!
//! Records stand in the order of their kinds: one header, the rows, the keys, the changes. The last chunk holds the end
//! record alone, which counts and hashes the chunks before it.

use bytes::Bytes;

use super::SnapshotId;
use crate::checkpoint::Mark;
use crate::record::{Fields, crc};
use crate::shared::FIRST_CHANGE;
use crate::state_hash::StateHash;
use crate::{Applied, Revision};

/// The newest format known.
pub(super) const FORMAT: u32 = 1;
/// Longest chunk, in bytes: one is held in memory at each end, and sent again when a transfer breaks off.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Bytes of a chunk before its payload.
pub(super) const CHUNK_HEADER_BYTES: usize = 8;
/// Bytes of a record before its content.
pub(super) const RECORD_HEADER_BYTES: usize = 5;
/// Longest content of a record, in bytes: a change's revision, and its record in the history, which holds a key's versions.
pub(super) const CONTENT_BYTES_MAX: usize = 12 + wal::PAYLOAD_BYTES_MAX as usize;

/// Kinds of records, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Header = 1,
    Row = 2,
    Key = 3,
    Change = 4,
    End = 5,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Row, Self::Key, Self::Change, Self::End]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Appends a record whose content is the parts one behind the other.
pub(super) fn put_record(buffer: &mut Vec<u8>, kind: Kind, content: &[&[u8]]) {
    let length: usize = content.iter().map(|part| part.len()).sum();
    buffer.push(kind as u8);
    buffer.extend(u32::try_from(length).expect("records are far smaller than 4 GiB").to_le_bytes());
    content.iter().for_each(|part| buffer.extend_from_slice(part));
}

/// Makes a chunk.
pub(super) fn chunk(number: u32, payload: &[u8]) -> Bytes {
    let mut chunk = Vec::with_capacity(CHUNK_HEADER_BYTES + payload.len());
    chunk.extend(number.to_le_bytes());
    chunk.extend(crc(&[&number.to_le_bytes(), payload]).to_le_bytes());
    chunk.extend_from_slice(payload);
    chunk.into()
}

/// Takes a chunk apart: its number and its payload. `None`: it is damaged.
pub(super) fn open_chunk(chunk: &[u8]) -> Option<(u32, &[u8])> {
    let mut fields = Fields(chunk);
    let (number, check) = (fields.u32()?, fields.u32()?);
    let payload = fields.0;
    let is_sound = chunk.len() <= CHUNK_BYTES_MAX && check == crc(&[&number.to_le_bytes(), payload]);
    is_sound.then_some((number, payload))
}

/// What comes before the first change of a history that begins with this compact revision.
pub(crate) fn floor_of(compact_revision: i64) -> Revision {
    match compact_revision.max(FIRST_CHANGE) - 1 {
        1 => Revision { main: 1, sub: 0 },
        main => Revision { main, sub: u32::MAX },
    }
}

/// What a snapshot says of itself first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) revision: i64,
    pub(super) compact_revision: i64,
    pub(super) applied: Applied,
    pub(super) keys: u64,
    pub(super) key_hash: StateHash,
    pub(super) rows: u64,
    pub(super) row_hash: StateHash,
}

impl Header {
    pub(super) fn of(mark: &Mark) -> Self {
        Self {
            revision: mark.revision,
            compact_revision: mark.compact_revision,
            applied: mark.applied,
            keys: mark.keys,
            key_hash: mark.key_hash,
            rows: mark.rows,
            row_hash: mark.row_hash,
        }
    }

    /// The main revision of the first change that goes over.
    pub(super) fn first_change(&self) -> i64 {
        self.compact_revision.max(FIRST_CHANGE)
    }

    /// What comes before the first change: no revision that can be read is in it.
    pub(super) fn floor(&self) -> Revision {
        floor_of(self.compact_revision)
    }

    pub(super) fn id(&self) -> SnapshotId {
        let mut hash = self.key_hash;
        hash += self.row_hash.0;
        let state_hash = hash.with_numbers(self.revision, self.compact_revision);
        SnapshotId { applied: self.applied, state_hash, format: FORMAT }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(84);
        content.extend(FORMAT.to_le_bytes());
        content.extend(self.revision.to_le_bytes());
        content.extend(self.compact_revision.to_le_bytes());
        content.extend(self.applied.index.to_le_bytes());
        content.extend(self.applied.term.to_le_bytes());
        content.extend(self.keys.to_le_bytes());
        content.extend(self.key_hash.0.to_le_bytes());
        content.extend(self.rows.to_le_bytes());
        content.extend(self.row_hash.0.to_le_bytes());
        content
    }

    /// `Err` is the format of a newer version; `Ok(None)`: it makes no sense.
    pub(super) fn decode(content: &[u8]) -> Result<Option<Self>, u32> {
        let fields = &mut Fields(content);
        match fields.u32() {
            Some(format) if format > FORMAT => Err(format),
            Some(FORMAT) => Ok(Self::decode_fields(fields).filter(Self::is_possible)),
            _ => Ok(None),
        }
    }

    fn decode_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let header = Self {
            revision: fields.i64()?,
            compact_revision: fields.i64()?,
            applied: Applied { index: fields.u64()?, term: fields.u64()? },
            keys: fields.u64()?,
            key_hash: StateHash(fields.u128()?),
            rows: fields.u64()?,
            row_hash: StateHash(fields.u128()?),
        };
        fields.0.is_empty().then_some(header)
    }

    fn is_possible(&self) -> bool {
        (1..i64::MAX).contains(&self.revision) && (-1..=self.revision).contains(&self.compact_revision)
    }
}

/// What a snapshot says of itself last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Chunks before this one.
    pub(super) chunks: u32,
    pub(super) changes: u64,
    /// Hash of the payloads of those chunks.
    pub(super) hash: u128,
}

impl End {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut content = self.chunks.to_le_bytes().to_vec();
        content.extend(self.changes.to_le_bytes());
        content.extend(self.hash.to_le_bytes());
        content
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        let end = Self { chunks: fields.u32()?, changes: fields.u64()?, hash: fields.u128()? };
        fields.0.is_empty().then_some(end)
    }
}
