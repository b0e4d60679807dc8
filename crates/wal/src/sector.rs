//! Sectors and their stamps: how recovery knows which bytes were written, and which of those were synced.
//!
//! A disk writes a sector of 512 bytes whole or not at all, and un-synced sectors in any order. A fresh segment is all
//! zeros, and *each sector of a segment is written once*: what is flushed is padded to whole sectors. So after a
//! crash a sector is either untouched (zero) or what was written. To keep the two apart whatever a payload contains,
//! each written sector begins with a stamp that is never zero:
//!
//! ```text
//!  0           3    4          8                                                    512
//!  ├───────────┼────┼──────────┼────────────────────────────────────────────────────┤
//!  │ start u24 │ FF │ CRC32    │ 504 bytes of the records' stream                   │
//!  └───────────┴────┴──────────┴────────────────────────────────────────────────────┘
//!        │              └─ of identity, segment id, sector number and bytes 0..4
//!        └─ number of the sector with which the batch (what one sync covers) began
//! ```
//!
//! A batch begins only after everything before it was synced. Hence **the largest `start` found in a segment is a
//! line**: what lies before it was synced, and an untouched or damaged sector there is corruption; what lies at or
//! behind it is the last batch, in which an untouched sector is a torn write. A damaged sector is never taken for an
//! untouched one: a stamp has at least eight bits set, and a sector counts as untouched with at most three.
//!
//! Positions are offsets in the file, of bytes behind a stamp. The *stream* is the segment without its stamps.

/// Bytes of a sector: the unit that a disk writes whole or not at all.
pub(crate) const SECTOR: usize = 512;
/// Bytes of the stamp at the start of each written sector.
pub(crate) const STAMP: usize = 8;
/// Bytes of the records' stream in a sector.
pub(crate) const BODY: usize = SECTOR - STAMP;

/// Set bits up to which a sector counts as untouched: bits that flipped where nothing was ever written.
const STRAY_BITS_MAX: u32 = 3;
/// Fourth byte of a stamp: eight set bits between a written sector and an untouched one.
const WRITTEN: u32 = 0xff00_0000;

/// What a sector's bytes say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Never written. `stray` if a bit or two are set all the same.
    Untouched { stray: bool },
    /// Written by the batch that began with sector `start`.
    Written { start: u32 },
    /// Anything else.
    Damaged,
}

/// Makes and checks the stamps of one segment.
#[derive(Debug, Clone)]
pub(crate) struct Stamper {
    seed: u32,
}

impl Stamper {
    pub(crate) fn new(identity: [u64; 2], segment: u64) -> Self {
        let mut crc = crc32fast::Hasher::new();
        for field in [identity[0], identity[1], segment] {
            crc.update(&field.to_le_bytes());
        }
        Self { seed: crc.finalize() }
    }

    /// The stamp of `sector`, written by the batch that began with sector `start`.
    pub(crate) fn stamp(&self, sector: u32, start: u32) -> [u8; STAMP] {
        let word = (WRITTEN | start).to_le_bytes();
        let mut covered = [0; 8];
        covered[..4].copy_from_slice(&word);
        covered[4..].copy_from_slice(&sector.to_le_bytes());
        let mut crc = crc32fast::Hasher::new_with_initial(self.seed);
        crc.update(&covered);
        let mut stamp = [0; STAMP];
        stamp[..4].copy_from_slice(&word);
        stamp[4..].copy_from_slice(&crc.finalize().to_le_bytes());
        stamp
    }

    /// What `bytes`, read as `sector`, are.
    pub(crate) fn state(&self, sector: u32, bytes: &[u8]) -> State {
        debug_assert_eq!(bytes.len(), SECTOR);
        if is_zero(bytes) {
            return State::Untouched { stray: false };
        }
        let start = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        if bytes[..STAMP] == self.stamp(sector, start) && (1..=sector).contains(&start) {
            return State::Written { start };
        }
        let bits: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        if bits <= STRAY_BITS_MAX { State::Untouched { stray: true } } else { State::Damaged }
    }
}

/// Whether all bytes are zero, sixteen at a time.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<16>();
    chunks.iter().all(|chunk| u128::from_ne_bytes(*chunk) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// Number of the sector that holds the byte of the file at `offset`.
pub(crate) fn sector_of(offset: u64) -> u32 {
    u32::try_from(offset / SECTOR as u64).expect("a segment has fewer than 2^24 sectors")
}

/// Offset in the file of the first byte behind the stamp of `sector`.
pub(crate) fn body_of(sector: u32) -> u64 {
    u64::from(sector) * SECTOR as u64 + STAMP as u64
}

/// Offset in the stream of the file's byte at `offset`; a byte of a stamp counts as the first one behind it.
pub(crate) fn to_stream(offset: u64) -> u64 {
    let within = (offset % SECTOR as u64).saturating_sub(STAMP as u64);
    offset / SECTOR as u64 * BODY as u64 + within
}

/// Offset in the file of the stream's byte at `stream`.
pub(crate) fn to_file(stream: u64) -> u64 {
    stream / BODY as u64 * SECTOR as u64 + STAMP as u64 + stream % BODY as u64
}

/// Length of a file that has room for so many bytes of stream after its header.
pub(crate) fn file_bytes_for(stream: u64) -> u64 {
    (1 + stream.div_ceil(BODY as u64)) * SECTOR as u64
}

/// Appends the stream's bytes of whole sectors to `out`.
pub(crate) fn strip_stamps(sectors: &[u8], out: &mut Vec<u8>) {
    out.reserve(sectors.len() / SECTOR * BODY);
    for sector in sectors.chunks_exact(SECTOR) {
        out.extend_from_slice(&sector[STAMP..]);
    }
}

/// Returns the stream of the sectors behind the header, in the memory that the segment was in.
pub(crate) fn into_stream(mut segment: Vec<u8>) -> Vec<u8> {
    let sectors = segment.len() / SECTOR;
    for sector in 1..sectors {
        let body = sector * SECTOR + STAMP;
        segment.copy_within(body..body + BODY, (sector - 1) * BODY);
    }
    segment.truncate(sectors.saturating_sub(1) * BODY);
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stamper: &Stamper, sector: u32, start: u32) -> Vec<u8> {
        let mut bytes = vec![0; SECTOR];
        bytes[..STAMP].copy_from_slice(&stamper.stamp(sector, start));
        bytes
    }

    #[test]
    fn a_stamp_is_taken_only_where_it_belongs() {
        let stamper = Stamper::new([1, 2], 3);
        let bytes = written(&stamper, 9, 7);
        assert_eq!(stamper.state(9, &bytes), State::Written { start: 7 });
        assert_eq!(stamper.state(8, &bytes), State::Damaged);
        assert_eq!(Stamper::new([1, 2], 4).state(9, &bytes), State::Damaged);
        assert_eq!(Stamper::new([1, 3], 3).state(9, &bytes), State::Damaged);
    }

    #[test]
    fn no_flipped_bit_makes_a_written_sector_look_untouched_or_otherwise_written() {
        let stamper = Stamper::new([1, 2], 3);
        let mut bytes = written(&stamper, 6, 4);
        for bit in 0..STAMP * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(stamper.state(6, &bytes), State::Damaged, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_stray_bit_leaves_a_sector_untouched() {
        let stamper = Stamper::new([1, 2], 3);
        let mut bytes = vec![0; SECTOR];
        assert_eq!(stamper.state(6, &bytes), State::Untouched { stray: false });
        bytes[3] = 0x80;
        assert_eq!(stamper.state(6, &bytes), State::Untouched { stray: true });
        bytes[3] = 0xff;
        assert_eq!(stamper.state(6, &bytes), State::Damaged);
    }

    #[test]
    fn offsets_of_file_and_stream_convert() {
        for (file, stream) in [(520, 504), (1023, 1007), (1032, 1008), (512, 504)] {
            assert_eq!(to_stream(file), stream);
        }
        assert_eq!(to_file(1007), 1023);
        assert_eq!(to_file(1008), 1032);
        assert_eq!(body_of(2), 1032);
        for (stream, file) in [(0, 512), (1, 1024), (504, 1024), (505, 1536)] {
            assert_eq!(file_bytes_for(stream), file);
        }
    }
}
