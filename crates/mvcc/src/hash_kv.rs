//! HashKV: etcd's hash of the content, byte for byte.
//!
//! etcd keeps every version of every key as a record, by revision, and hashes those up to a revision: CRC-32 (Castagnoli)
//! over the bucket's name `key`, then each record's key (`main`, `_`, `sub`, and `t` for a tombstone) and value. Below the
//! compaction revision only those count that a compaction at the hashed revision would keep.
//!
//! Here live keys and history are apart. Records after the compaction revision are the history, in order. Those before are
//! the versions that are still current at the hashed revision: they are in the order of keys, not of revisions, and there
//! may be millions. So each gets a CRC of its own, the CRCs are sorted by revision, and joined: the CRC of two strings in
//! a row follows from their CRCs and the length of the second ([`Joiner`]). 24 bytes a key, no value is kept.

mod compaction;

use bytes::Bytes;

pub use self::compaction::CompactionHash;
pub(crate) use self::compaction::{Compaction, CompactionHashes};

use crate::read::Cursor;
use crate::scanner::Scanner;
use crate::shared::{Hold, Inner, Parts, Wanted};
use crate::{Change, Error, KeyRange, ReadError, Revision, encoding};

/// The name of etcd's bucket of versions.
const BUCKET: &[u8] = b"key";
/// Items read at a time.
const CHUNK: usize = 512;

/// A hash of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    /// CRC-32 (Castagnoli).
    pub hash: u32,
    /// The revision up to which is hashed.
    pub hash_revision: i64,
    /// The compaction revision that the hash is relative to; -1: never compacted.
    pub compact_revision: i64,
    /// The newest revision.
    pub revision: i64,
}

/// A record's hash, to be joined with others.
struct Part {
    revision: Revision,
    crc: u32,
    len: u64,
}

/// What is hashed: the records up to a revision, relative to a compaction.
struct Span {
    at: i64,
    compact_revision: i64,
    /// Whether a compaction at `at` hashes what it goes through.
    is_compaction: bool,
}

pub(crate) fn hash_kv(inner: &Inner, at: Option<i64>) -> Result<HashKv, ReadError> {
    // 0 is "newest", as in the API; what is negative is compacted, as any revision before the first.
    let at = at.filter(|&at| at != 0);
    if let Some(at) = at
        && let Some(hash) = compaction::of_compaction(inner, at)?
    {
        return Ok(hash);
    }
    let shared = inner.shared.read();
    let at = shared.check(at)?;
    let (revision, compact_revision) = (shared.revision, shared.compact_revision);
    let hold = shared.hold(inner, compact_revision.min(at));
    drop(shared);
    let span = Span { at, compact_revision, is_compaction: false };
    let hash = compute(inner, &span, &hold, &|| true)?.expect("it is wanted to the end");
    Ok(HashKv { hash, hash_revision: at, compact_revision, revision })
}

/// Asked now and then whether the hash is still wanted.
type IsWanted<'a> = &'a dyn Fn() -> bool;

/// The hash of what the caller holds on to; `None` if it is not wanted any more.
fn compute(
    inner: &Inner,
    span: &Span,
    hold: &Hold,
    is_wanted: IsWanted<'_>,
) -> Result<Option<u32>, ReadError> {
    let joiner = Joiner::new();
    let mut crc = crc32c::crc32c(BUCKET);
    let Some(parts) = kept(inner, span, hold, is_wanted)? else { return Ok(None) };
    for part in parts {
        crc = joiner.join(crc, part.crc, part.len);
    }
    let mut scanner = Scanner::held(span.compact_revision + 1, span.at, hold);
    while let Some(changes) = scanner.next_batch(inner)? {
        if !is_wanted() {
            return Ok(None);
        }
        for change in &changes {
            let (key, value) = record(change);
            crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &key), &value);
        }
    }
    Ok(Some(crc))
}

/// The records up to the compaction revision that count.
fn kept(
    inner: &Inner,
    span: &Span,
    hold: &Hold,
    is_wanted: IsWanted<'_>,
) -> Result<Option<Vec<Part>>, ReadError> {
    let Span { at, compact_revision, is_compaction } = *span;
    if compact_revision < 2 {
        return Ok(Some(Vec::new()));
    }
    let Some((is_any_live, parts)) = versions(inner, at, compact_revision, hold, is_wanted)? else {
        return Ok(None);
    };
    // A compaction keeps the tombstones of its own revision, too.
    if is_any_live || (is_compaction && has_tombstone(inner, at, hold)?) {
        return Ok(Some(parts));
    }
    // etcd's rule is off when nothing is to be kept: then what the last compaction kept counts.
    let versions = versions(inner, compact_revision, compact_revision, hold, is_wanted)?;
    Ok(versions.map(|(_, parts)| parts))
}

/// Whether this revision deleted a key.
fn has_tombstone(inner: &Inner, main: i64, hold: &Hold) -> Result<bool, ReadError> {
    let mut scanner = Scanner::held(main, main, hold);
    while let Some(changes) = scanner.next_batch(inner)? {
        if changes.iter().any(|change| !change.is_put()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether any key is live at revision `at`, and the versions then that are from `newest` or before, by revision. `None`
/// if they are not wanted any more.
fn versions(
    inner: &Inner,
    at: i64,
    newest: i64,
    hold: &Hold,
    is_wanted: IsWanted<'_>,
) -> Result<Option<(bool, Vec<Part>)>, Error> {
    let range = KeyRange::all();
    let wanted = Wanted { range: &range, at, parts: Parts::All };
    let mut cursor = Cursor::held(inner, wanted, Vec::new(), hold);
    let mut is_any_live = false;
    let mut parts = Vec::new();
    while !cursor.is_done() {
        if !is_wanted() {
            return Ok(None);
        }
        for item in cursor.step(CHUNK)? {
            is_any_live = true;
            let revision = item.meta.mod_revision;
            if revision.main <= newest {
                let crc = crc32c::crc32c(&bucket_key(revision));
                let len = (bucket_key(revision).len() + item.encoded.len()) as u64;
                parts.push(Part { revision, crc: crc32c::crc32c_append(crc, &item.encoded), len });
            }
        }
    }
    parts.sort_unstable_by_key(|part| part.revision);
    Ok(Some((is_any_live, parts)))
}

/// The record that etcd has for a change.
fn record(change: &Change) -> (Vec<u8>, Bytes) {
    let mut key = bucket_key(change.revision).to_vec();
    match &change.after {
        Some(item) => (key, item.encoded.clone()),
        None => {
            key.push(b't');
            (key, encoding::tombstone(&change.key))
        }
    }
}

fn bucket_key(revision: Revision) -> [u8; 17] {
    let mut key = [b'_'; 17];
    key[..8].copy_from_slice(&revision.main.to_be_bytes());
    key[9..].copy_from_slice(&i64::from(revision.sub).to_be_bytes());
    key
}

/// Joins CRCs.
///
/// Appending zero bytes to a string is a linear map of the 32 bits of its CRC (over GF(2), leaving initial and final
/// inversion aside, which cancel out). The map for 2^n zero bytes is that for 2^(n-1) applied twice. With those maps as
/// tables by byte, a CRC is moved over any length in four look-ups for each bit of the length.
struct Joiner {
    /// For 2^n zero bytes: what each byte of the CRC contributes.
    maps: Vec<[[u32; 256]; 4]>,
}

/// Lengths up to 2^32 bytes.
const MAPS: usize = 32;

impl Joiner {
    fn new() -> Self {
        let one_byte = columns_of_one_byte();
        let mut maps = Vec::with_capacity(MAPS);
        let mut columns = one_byte;
        for _ in 0..MAPS {
            let map = by_byte(&columns);
            columns.iter_mut().for_each(|column| *column = apply(&map, *column));
            maps.push(map);
        }
        Self { maps }
    }

    /// The CRC of two strings in a row.
    fn join(&self, first: u32, second: u32, second_len: u64) -> u32 {
        let mut moved = first;
        for (bit, map) in self.maps.iter().enumerate() {
            if second_len >> bit & 1 == 1 {
                moved = apply(map, moved);
            }
        }
        moved ^ second
    }
}

/// What one zero byte makes of each single bit.
fn columns_of_one_byte() -> [u32; 32] {
    // The polynomial of Castagnoli, bits reversed.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    std::array::from_fn(|bit| {
        (0..8).fold(1u32 << bit, |crc, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 })
    })
}

fn by_byte(columns: &[u32; 32]) -> [[u32; 256]; 4] {
    std::array::from_fn(|byte| {
        std::array::from_fn(|value| {
            let bits = (0..8).filter(|bit| value >> bit & 1 == 1);
            bits.fold(0, |sum, bit| sum ^ columns[byte * 8 + bit])
        })
    })
}

fn apply(map: &[[u32; 256]; 4], crc: u32) -> u32 {
    let [a, b, c, d] = crc.to_le_bytes().map(usize::from);
    map[0][a] ^ map[1][b] ^ map[2][c] ^ map[3][d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_crcs_are_those_of_the_strings_in_a_row() {
        let joiner = Joiner::new();
        let text: Vec<u8> = (0..1000u32).map(|number| (number * 7 % 251) as u8).collect();
        for cut in [0, 1, 2, 3, 17, 500, 999, 1000] {
            let (first, second) = text.split_at(cut);
            let joined = joiner.join(crc32c::crc32c(first), crc32c::crc32c(second), second.len() as u64);
            assert_eq!(joined, crc32c::crc32c(&text), "cut at {cut}");
        }
    }

    #[test]
    fn a_bucket_key_is_main_and_sub_big_endian() {
        let key = bucket_key(Revision { main: 0x0102, sub: 3 });
        assert_eq!(&key, b"\0\0\0\0\0\0\x01\x02_\0\0\0\0\0\0\0\x03");
    }
}
