//! The bytes of sections.

use crate::chain::{DIGEST_BYTES, Digest};

use super::{Header, Sample};

/// What a piece begins with: its last byte is the form.
pub(super) const MAGIC: [u8; 8] = *b"QRPIECE\x01";

/// Kinds of sections, in the order in which they come.
pub(super) const HEADER: u8 = 1;
pub(super) const ROWS: u8 = 2;
pub(super) const TABLE: u8 = 3;
pub(super) const SAMPLES: u8 = 4;
pub(super) const END: u8 = 5;

/// Bytes of a header.
const HEADER_BYTES: usize = 7 * 8 + 3 * DIGEST_BYTES;

/// Bytes of a sample.
const SAMPLE_BYTES: usize = 24;

/// Appends a section.
pub(super) fn put_section(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let start = out.len();
    out.push(kind);
    out.extend_from_slice(&u32::try_from(content.len()).expect("a section is bounded").to_le_bytes());
    out.extend_from_slice(content);
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).expect("a row is bounded").to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Splits bytes with their length before them off the front.
pub(super) fn take_bytes<'i>(input: &mut &'i [u8]) -> Option<&'i [u8]> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *input = rest;
    Some(bytes)
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (number, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_i64(input: &mut &[u8]) -> Option<i64> {
    take_u64(input).map(|number| number as i64)
}

fn take_digest(input: &mut &[u8]) -> Option<Digest> {
    let (digest, rest) = input.split_first_chunk::<DIGEST_BYTES>()?;
    *input = rest;
    Some(Digest(*digest))
}

impl Header {
    pub(super) fn encoded(&self) -> Vec<u8> {
        let numbers = [
            self.cluster,
            self.member,
            self.from as u64,
            self.to as u64,
            self.raft_term,
            self.raft_index,
            self.time,
        ];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        for digest in [self.before, self.after, self.rows] {
            bytes.extend_from_slice(&digest.0);
        }
        bytes
    }

    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() != HEADER_BYTES {
            return None;
        }
        let input = &mut bytes;
        let (cluster, member) = (take_u64(input)?, take_u64(input)?);
        let (from, to) = (take_i64(input)?, take_i64(input)?);
        let (raft_term, raft_index, time) = (take_u64(input)?, take_u64(input)?, take_u64(input)?);
        let (before, after, rows) = (take_digest(input)?, take_digest(input)?, take_digest(input)?);
        let header = Self { cluster, member, from, to, before, after, rows, raft_term, raft_index, time };
        (0 < from && from <= to && to < i64::MAX).then_some(header)
    }
}

/// Returns the content of the section of samples.
pub(super) fn encode_samples(samples: &[Sample]) -> Vec<u8> {
    let bytes = |sample: &Sample| {
        let numbers = [sample.time, sample.revision as u64, sample.compact_revision as u64];
        numbers.into_iter().flat_map(u64::to_le_bytes)
    };
    samples.iter().flat_map(bytes).collect()
}

/// Reads the content of the section of samples.
pub(super) fn parse_samples(bytes: &[u8]) -> Option<Vec<Sample>> {
    if !bytes.len().is_multiple_of(SAMPLE_BYTES) {
        return None;
    }
    let sample = |mut bytes: &[u8]| {
        let input = &mut bytes;
        let (time, revision, compact_revision) = (take_u64(input)?, take_i64(input)?, take_i64(input)?);
        (compact_revision <= revision).then_some(Sample { time, revision, compact_revision })
    };
    bytes.chunks_exact(SAMPLE_BYTES).map(sample).collect()
}
