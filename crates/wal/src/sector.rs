//! Sectors with a stamp: how a byte that was never written is told from one that was.
//!
//! A disk writes a sector of 512 bytes whole or not at all, in any order, and a fresh segment is all zeros. So a torn
//! write shows as sectors that are still zero, or still as short as they were; damage shows as anything else. The
//! content of a record could look like a sector of zeros too, and then the two could not be told apart. Therefore
//! every sector of a segment begins with a stamp byte that is not zero, and the records are laid through the
//! remaining 511: *a sector is stamped if and only if it was written*. One flipped bit neither makes nor unmakes a
//! stamp, since it takes four to get from 0x00 to 0xC5.
//!
//! ```text
//!  file    ├── sector 0: segment header ──┼C5│ 511 bytes ──────────┼C5│ 511 bytes ──────────┼00 never written …
//!  stream                                    0 ─────────────── 510    511 ─────────── 1021
//! ```
//!
//! Offsets in a [`Position`](crate::Position) count bytes of the stream; file offsets appear in errors.

/// Bytes in a sector.
pub(crate) const SECTOR: usize = 512;
/// Bytes of the stream in a sector.
pub(crate) const ROOM: usize = SECTOR - 1;
/// The first byte of every sector that was written.
pub(crate) const STAMP: u8 = 0xc5;

/// Offset in the file of a byte of the stream.
pub(crate) fn file_offset(stream: u64) -> u64 {
    let (sector, within) = (stream / ROOM as u64, stream % ROOM as u64);
    (sector + 1) * SECTOR as u64 + 1 + within
}

/// Offset in the file of the sector that holds a byte of the stream.
pub(crate) fn sector_start(stream: u64) -> u64 {
    (stream / ROOM as u64 + 1) * SECTOR as u64
}

/// Bytes of the stream that fit into a file of this length.
pub(crate) fn stream_capacity(file_len: u64) -> u64 {
    (file_len / SECTOR as u64).saturating_sub(1) * ROOM as u64
}

/// Appends bytes of the stream to whole and partial sectors, stamping each new one.
pub(crate) fn lay(sectors: &mut Vec<u8>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let used = sectors.len() % SECTOR;
        if used == 0 {
            sectors.push(STAMP);
        }
        let room = SECTOR - used.max(1);
        let (now, later) = bytes.split_at(bytes.len().min(room));
        sectors.extend_from_slice(now);
        bytes = later;
    }
}

/// Takes the stamps out again: copies the stream bytes of `sectors`, from `skip` bytes into the first sector, to `out`.
pub(crate) fn lift(sectors: &[u8], skip: usize, out: &mut [u8]) {
    let mut done = 0;
    let mut skip = skip;
    for sector in sectors.chunks(SECTOR) {
        if done == out.len() {
            return;
        }
        let content = &sector[1 + skip..];
        let count = content.len().min(out.len() - done);
        out[done..done + count].copy_from_slice(&content[..count]);
        done += count;
        skip = 0;
    }
    debug_assert_eq!(done, out.len(), "the sectors hold what is asked for");
}

/// Length of the sectors, from the one that holds `stream` on, that hold `len` bytes of the stream.
pub(crate) fn span(stream: u64, len: usize) -> usize {
    let skip = (stream % ROOM as u64) as usize;
    (skip + len).div_ceil(ROOM) * SECTOR
}

/// Whether each of these sectors has its stamp.
pub(crate) fn are_stamped(sectors: &[u8]) -> bool {
    sectors.chunks(SECTOR).all(|sector| sector[0] == STAMP)
}

/// Whether a sector was never written.
pub(crate) fn is_untouched(sector: &[u8]) -> bool {
    sector.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_is_lifted() {
        let stream: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        for cut in [0, 1, 510, 511, 512, 1021, 1022, 4999] {
            let mut sectors = Vec::new();
            lay(&mut sectors, &stream[..cut]);
            lay(&mut sectors, &stream[cut..]);
            assert!(sectors.chunks(SECTOR).all(|sector| sector[0] == STAMP));
            for (from, len) in [(0, 5000), (cut, 5000 - cut), (cut / 2, cut / 2), (4000, 1)] {
                let first = from / ROOM * SECTOR;
                let end = (first + span(from as u64, len)).min(sectors.len());
                let mut out = vec![0; len];
                lift(&sectors[first..end], from % ROOM, &mut out);
                assert_eq!(out, stream[from..from + len]);
                if len > 0 {
                    let byte = file_offset(from as u64) as usize - SECTOR;
                    assert_eq!(sectors[byte], stream[from]);
                }
            }
        }
    }
}
