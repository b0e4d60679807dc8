//! Records, packed.
//!
//! A block holds some kilobytes of records in the order of their keys. Keys of a store have long prefixes in common; a
//! record keeps only what differs from the key before it:
//!
//! ```text
//! shared | rest | value | mod revision | mod - create revision | version | lease   numbers, 7 bits a byte
//! the rest of the key | the value
//! ```
//!
//! A block is never changed: an edit makes new ones of it. So it has exactly its size, and can be part of several views.

use std::sync::Arc;

use bytes::Bytes;

use crate::kv::KeyValue;
use crate::number::{LeaseId, Revision};

/// Bytes of a block, unless one record alone has more.
pub(super) const BLOCK_BYTES_MAX: usize = 4096;

/// Records in their order.
pub(super) type Block = Arc<[u8]>;

/// A record without its key, which is the [`Cursor`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) value: &'a [u8],
    mod_revision: i64,
    create_revision: i64,
    version: i64,
    lease: i64,
}

impl<'a> Record<'a> {
    /// Returns the record of a key with its value.
    pub(super) fn of(kv: &'a KeyValue) -> Record<'a> {
        Record {
            value: &kv.value,
            mod_revision: kv.mod_revision.0,
            create_revision: kv.create_revision.0,
            version: kv.version,
            lease: kv.lease.unwrap_or_default().0,
        }
    }

    /// Returns a copy, with its key.
    pub(super) fn to_kv(self, key: &[u8]) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(key),
            value: Bytes::copy_from_slice(self.value),
            create_revision: Revision(self.create_revision),
            mod_revision: Revision(self.mod_revision),
            version: self.version,
            lease: (self.lease != 0).then_some(LeaseId(self.lease)),
        }
    }
}

/// Reads a block.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    left: &'a [u8],
    /// The key of the record that was read last.
    pub(super) key: Vec<u8>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(block: &'a [u8]) -> Cursor<'a> {
        Cursor { left: block, key: Vec::new() }
    }

    /// Reads the next record.
    pub(super) fn next(&mut self) -> Option<Record<'a>> {
        if self.left.is_empty() {
            return None;
        }
        let [shared, rest, value] = [(); 3].map(|()| length(&mut self.left));
        let [mod_revision, age, version, lease] = [(); 4].map(|()| number(&mut self.left) as i64);
        self.key.truncate(shared);
        self.key.extend_from_slice(take(&mut self.left, rest));
        let value = take(&mut self.left, value);
        Some(Record { value, mod_revision, create_revision: mod_revision.wrapping_sub(age), version, lease })
    }
}

/// Returns the first key of a block.
pub(super) fn first_key(mut block: &[u8]) -> &[u8] {
    let [_, rest, _] = [(); 3].map(|()| length(&mut block));
    for _ in 0..4 {
        number(&mut block);
    }
    take(&mut block, rest)
}

/// Writes blocks.
#[derive(Debug)]
pub(super) struct Writer {
    /// How many bytes make a block.
    chunk: usize,
    bytes: Vec<u8>,
    last: Vec<u8>,
    done: Vec<Block>,
}

impl Writer {
    /// Begins to write about so many bytes, in blocks of equal size.
    pub(super) fn new(total: usize) -> Writer {
        let blocks = total.div_ceil(BLOCK_BYTES_MAX).max(1);
        let bytes = Vec::with_capacity(BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 4);
        Writer { chunk: total.div_ceil(blocks), bytes, last: Vec::new(), done: Vec::new() }
    }

    /// Adds a record. Its key must be greater than the one before.
    pub(super) fn push(&mut self, key: &[u8], record: Record<'_>) {
        let size = key.len() + record.value.len();
        if !self.bytes.is_empty()
            && (self.bytes.len() >= self.chunk || self.bytes.len() + size > BLOCK_BYTES_MAX)
        {
            self.cut();
        }
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        let rest = &key[shared..];
        let age = record.mod_revision.wrapping_sub(record.create_revision);
        for length in [shared, rest.len(), record.value.len()] {
            put_number(&mut self.bytes, length as u64);
        }
        for number in [record.mod_revision, age, record.version, record.lease] {
            put_number(&mut self.bytes, number as u64);
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(record.value);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
    }

    /// Returns the blocks.
    pub(super) fn finish(mut self) -> Vec<Block> {
        self.cut();
        self.done
    }

    fn cut(&mut self) {
        if !self.bytes.is_empty() {
            self.done.push(Block::from(&self.bytes[..]));
            self.bytes.clear();
            self.last.clear();
        }
    }
}

/// Returns about how many bytes a record has.
pub(super) fn weight(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len() + 12
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

fn length(bytes: &mut &[u8]) -> usize {
    number(bytes) as usize
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(key: &str, value: &[u8], numbers: [i64; 3], lease: i64) -> KeyValue {
        let [create, modified, version] = numbers;
        KeyValue {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::copy_from_slice(value),
            create_revision: Revision(create),
            mod_revision: Revision(modified),
            version,
            lease: (lease != 0).then_some(LeaseId(lease)),
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let large = vec![7; 3 * BLOCK_BYTES_MAX];
        let rows = [
            kv("a", b"", [1, 1, 1], 0),
            kv("a/b", b"x", [1, i64::MAX, 300], i64::MAX),
            kv("a/c", &large, [127, 128, 2], 5),
            kv("b", &[0x80; 200], [2, 2, 1], -1),
        ];
        let mut writer = Writer::new(rows.iter().map(weight).sum());
        rows.iter().for_each(|row| writer.push(&row.key, Record::of(row)));
        let blocks = writer.finish();
        assert!(blocks.len() > 1);
        assert_eq!(first_key(&blocks[0]), b"a");
        let mut read = Vec::new();
        for block in &blocks {
            let mut cursor = Cursor::new(block);
            while let Some(record) = cursor.next() {
                read.push(record.to_kv(&cursor.key));
            }
        }
        assert_eq!(read, rows);
    }
}
