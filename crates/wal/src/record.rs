//! Records, and the bytes in front of each.
//!
//! ```text
//!  0     1      2     4      8        16    24      32           36           40           44
//!  ├─────┼──────┼─────┼──────┼────────┼─────┼───────┼────────────┼────────────┼────────────┤
//!  │ A7  │ kind │ 0 0 │ len  │ number │ tag │ batch │ chain      │ check      │ header crc │ payload …
//!  └─────┴──────┴─────┴──────┴────────┴─────┴───────┴────────────┴────────────┴────────────┘
//!    little-endian       ▲                           ▲            ▲            ▲
//!            payload bytes        `check` of the record before     │            bytes 0..40, segment and offset
//!                                          bytes 0..36 and the payload
//! ```
//!
//! The header has a CRC of its own (W1), so that a length is never believed before it is known to be what was
//! written; it covers where the record is, so that a stale or misplaced copy of a record is not one. `check` covers
//! the record and, through `chain`, every record before it.

use bytes::Bytes;

use crate::{Error, Position};

/// Length of a record's header in bytes.
pub(crate) const HEADER_BYTES: usize = 44;
const MAGIC: u8 = 0xa7;

/// The kind of the records that the log writes for itself: the end of a batch.
pub(crate) const PERSISTED: u8 = 0xff;

/// What the caller says about a record. The log stores it and does not know what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The caller's kind of record, below 255.
    pub kind: u8,
    /// The caller's sequence number (a raft index, a revision).
    pub number: u64,
    /// Anything else (a term, a sub-revision).
    pub tag: u64,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it starts.
    pub position: Position,
    /// Where the next one would start.
    pub next: Position,
    /// What the caller said about it.
    pub head: Head,
    /// What the caller put into it.
    pub payload: Bytes,
}

/// The header in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) head: Head,
    pub(crate) len: u32,
    /// Number of the batch (of what one sync makes durable), counted over the whole life of the log.
    pub(crate) batch: u64,
    pub(crate) chain: u32,
    pub(crate) check: u32,
}

impl Header {
    /// A header for `payload` behind a record whose check is `chain`.
    pub(crate) fn new(head: Head, batch: u64, chain: u32, payload: &[&[u8]]) -> Self {
        let len = payload.iter().map(|part| part.len()).sum::<usize>() as u32;
        let mut header = Self { head, len, batch, chain, check: 0 };
        let mut crc = header.checked_fields();
        for part in payload {
            crc.update(part);
        }
        header.check = crc.finalize();
        header
    }

    fn checked_fields(&self) -> crc32fast::Hasher {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.fields()[..36]);
        crc
    }

    /// Whether `payload` is what the header was made for.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        let mut crc = self.checked_fields();
        crc.update(payload);
        crc.finalize() == self.check
    }

    fn fields(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = MAGIC;
        bytes[1] = self.head.kind;
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.head.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.head.tag.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.batch.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.chain.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.check.to_le_bytes());
        bytes
    }

    /// The header's bytes at `at`.
    pub(crate) fn encode(&self, at: Position) -> [u8; HEADER_BYTES] {
        let mut bytes = self.fields();
        let crc = header_crc(&bytes, at);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header back; `None` if these bytes are not one that was written at `at`.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], at: Position) -> Option<Self> {
        if bytes[0] != MAGIC || le_u32(bytes, 40) != header_crc(bytes, at) {
            return None;
        }
        Some(Self {
            head: Head { kind: bytes[1], number: le_u64(bytes, 8), tag: le_u64(bytes, 16) },
            len: le_u32(bytes, 4),
            batch: le_u64(bytes, 24),
            chain: le_u32(bytes, 32),
            check: le_u32(bytes, 36),
        })
    }

    /// Where the record behind this one starts.
    pub(crate) fn next(&self, at: Position) -> Position {
        Position { offset: at.offset + HEADER_BYTES as u64 + u64::from(self.len), ..at }
    }
}

/// Whether a header could start with this byte: the cheap test of a search for one.
pub(crate) fn may_start_header(byte: u8) -> bool {
    byte == MAGIC
}

fn header_crc(bytes: &[u8; HEADER_BYTES], at: Position) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&at.segment.to_le_bytes());
    crc.update(&at.offset.to_le_bytes());
    crc.update(&bytes[..40]);
    crc.finalize()
}

pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le_u32(bytes, at)) | u64::from(le_u32(bytes, at + 4)) << 32
}

/// Checks what a caller wants to append.
pub(crate) fn check_size(payload: &[&[u8]], max: u64) -> Result<(), Error> {
    let bytes: usize = payload.iter().map(|part| part.len()).sum();
    if bytes as u64 > max { Err(Error::TooLarge { bytes, max }) } else { Ok(()) }
}
