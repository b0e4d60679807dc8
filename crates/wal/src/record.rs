//! Records, and the bytes in front of each.
//!
//! ```text
//!  0    1      2     4        8        16    24      28            32           36
//!  ├────┼──────┼─────┼────────┼────────┼─────┼───────┼─────────────┼────────────┼─────────┤
//!  │ A7 │ kind │ 0 0 │ length │ number │ tag │ chain │ payload CRC │ header CRC │ payload │
//!  └────┴──────┴─────┴────────┴────────┴─────┴───────┴─────────────┴────────────┴─────────┘
//!    little-endian                          │                            │
//!            header CRC of the record before, 0 for the first          of bytes 0..32
//! ```
//!
//! The header has a CRC of its own (W1): a length is believed only when it is known to be what was written. Since
//! that CRC covers the payload's and the header CRC of the record before, the header CRC of a record stands for the
//! whole log up to it: a record out of another history does not fit in, however sound it is by itself.
//!
//! A zero where a record could start means that the rest of the sector is padding (of a flush); it never means the
//! end of the log.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::sector::BODY;

/// Bytes of the header in front of each payload.
pub const RECORD_HEADER_BYTES: usize = 36;
const MARK: u8 = 0xa7;

/// Where a record starts: a segment, and an offset in its file.
///
/// In the order of the log. Positions stay what they are for as long as the record exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The segment's id.
    pub segment: u64,
    /// Offset in the segment's file, in bytes.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// What the caller says about a record. The log stores it and does not know what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The caller's kind of record.
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
    /// Where it ends; reading on from here finds the next one.
    pub next: Position,
    /// What the caller said about it.
    pub head: Head,
    /// What the caller put into it.
    pub payload: Bytes,
}

/// A record's header in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) head: Head,
    pub(crate) length: u32,
    /// Header CRC of the record before.
    pub(crate) chain: u32,
    pub(crate) payload_crc: u32,
}

impl Header {
    /// The header's bytes, and its CRC: the chain for the next record.
    pub(crate) fn encode(&self) -> ([u8; RECORD_HEADER_BYTES], u32) {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0] = MARK;
        bytes[1] = self.head.kind;
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.head.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.head.tag.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.chain.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// Reads a header back with its CRC; `None` if these bytes are not one.
    fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Option<(Self, u32)> {
        let crc = le_u32(bytes, 32);
        if bytes[0] != MARK || crc != crc32fast::hash(&bytes[..32]) {
            return None;
        }
        let header = Self {
            head: Head { kind: bytes[1], number: le_u64(bytes, 8), tag: le_u64(bytes, 16) },
            length: le_u32(bytes, 4),
            chain: le_u32(bytes, 24),
            payload_crc: le_u32(bytes, 28),
        };
        Some((header, crc))
    }
}

/// What is found at a place of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An intact record; `crc` is its header's.
    Record { header: Header, crc: u32, payload: Range<usize> },
    /// Nothing more in this sector; the next place to look at.
    Padding { next: usize },
    /// The start of something that needs the stream up to here.
    Short { needs: usize },
    /// Neither.
    Damaged(&'static str),
}

/// Looks at place `at` of a piece of stream that begins with a sector's first byte.
pub(crate) fn find(stream: &[u8], at: usize) -> Found {
    let rest = &stream[at.min(stream.len())..];
    let Some(first) = rest.first() else { return Found::Short { needs: at + 1 } };
    if *first == 0 {
        return padding(stream, at);
    }
    let Some(bytes) = rest.first_chunk::<RECORD_HEADER_BYTES>() else {
        return Found::Short { needs: at + RECORD_HEADER_BYTES };
    };
    let Some((header, crc)) = Header::decode(bytes) else {
        return Found::Damaged("a record's header does not match its checksum");
    };
    let start = at + RECORD_HEADER_BYTES;
    let payload = start..start + header.length as usize;
    match stream.get(payload.clone()) {
        None => Found::Short { needs: payload.end },
        Some(content) if crc32fast::hash(content) != header.payload_crc => {
            Found::Damaged("a record's payload does not match its checksum")
        }
        Some(_) => Found::Record { header, crc, payload },
    }
}

/// The intact header at a place of the stream, and its CRC; `None` if there is none.
pub(crate) fn header_at(stream: &[u8], at: usize) -> Option<(Header, u32)> {
    Header::decode(stream.get(at..)?.first_chunk()?)
}

/// The first place from `at` on that has an intact header.
pub(crate) fn next_header(stream: &[u8], at: usize) -> Option<usize> {
    let mut marks = (at..stream.len()).filter(|place| stream[*place] == MARK);
    marks.find(|place| header_at(stream, *place).is_some())
}

fn padding(stream: &[u8], at: usize) -> Found {
    let next = (at / BODY + 1) * BODY;
    match stream.get(at..next) {
        None => Found::Short { needs: next },
        Some(rest) if !crate::sector::is_zero(rest) => Found::Damaged("padding is not zero"),
        Some(_) => Found::Padding { next },
    }
}

pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le_u32(bytes, at)) | u64::from(le_u32(bytes, at + 4)) << 32
}
