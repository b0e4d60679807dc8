//! The bytes of a snapshot, held against `docs/format/snapshot.md`, and what hostile ones can do.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod model;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use model::{Command, Model, Op};
use mvcc::*;
use proptest::prelude::*;
use wal::SimDisk;

fn open(disk: &SimDisk, dir: &str) -> Result<Store, Error> {
    let options = Options { history_segment_bytes: 8 << 10, identity: [1, 2], ..Options::default() };
    Store::open(Arc::new(disk.clone()), Path::new(dir), options)
}

fn put(key: &[u8], value: &[u8], lease: i64) -> Op {
    Op::Put { key: key.to_vec(), value: value.to_vec(), lease }
}

fn crc(parts: &[&[u8]]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.finalize().to_le_bytes()
}

const S: [u64; 5] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
];

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn digest(bytes: &[u8]) -> u64 {
    let mut state = S[0] ^ bytes.len() as u64;
    for block in bytes.chunks(16) {
        let mut filled = [0; 16];
        filled[..block.len()].copy_from_slice(block);
        let both = u128::from_le_bytes(filled);
        let (a, b) = (both as u64, (both >> 64) as u64);
        state = fold(a ^ S[1], b ^ state).wrapping_add(a);
    }
    fold(state ^ S[2], S[3])
}

fn hash(words: &[u64]) -> u128 {
    let (mut one, mut other) = (S[3], S[4]);
    for &word in words {
        one = fold(word ^ S[1], one ^ S[2]).wrapping_add(word.rotate_left(32));
        other = fold(word ^ S[4], other ^ S[0]).wrapping_add(word);
    }
    u128::from(fold(one, S[0])) << 64 | u128::from(fold(other ^ S[2], S[1]))
}

fn record(kind: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    [&[kind][..], &(content.len() as u32).to_le_bytes(), &content].concat()
}

fn chunk(number: u32, payload: &[u8]) -> Bytes {
    let number = number.to_le_bytes();
    [&number[..], &crc(&[&number, payload]), payload].concat().into()
}

/// Chunks of a stream of records, with the end.
fn chunks(stream: &[u8], chunk_bytes: usize, changes: u64) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut all = 0;
    for (number, payload) in stream.chunks(chunk_bytes - 8).enumerate() {
        all = hash(&[4, (all >> 64) as u64, all as u64, digest(payload)]);
        chunks.push(chunk(number as u32, payload));
    }
    let number = chunks.len() as u32;
    let end = record(5, &[&number.to_le_bytes(), &changes.to_le_bytes(), &all.to_le_bytes()]);
    chunks.push(chunk(number, &end));
    chunks
}

/// The record of a live key, as `docs/format/mvcc.md` has it.
fn key_record(
    key: &[u8],
    create: i64,
    modified: (i64, u32),
    version: i64,
    lease: i64,
    value: &[u8],
) -> Vec<u8> {
    let (main, sub) = (modified.0.to_le_bytes(), modified.1.to_le_bytes());
    let length = (value.len() as u32).to_le_bytes();
    let numbers = [create.to_le_bytes(), version.to_le_bytes(), lease.to_le_bytes()];
    let mut entry = [&numbers[0][..], &main, &sub, &numbers[1], &numbers[2], &length].concat();
    entry.extend(digest(value).to_le_bytes());
    entry.extend(crc(&[key, &entry]));
    let check = crc(&[key, &main, &sub, value]);
    record(3, &[&(key.len() as u32).to_le_bytes(), key, &entry, &check, value])
}

fn change_record(main: i64, sub: u32, flags: u8, before_sub: u32, after: &[u8], before: &[u8]) -> Vec<u8> {
    let length = (after.len() as u32).to_le_bytes();
    let (main, sub, before_sub) = (main.to_le_bytes(), sub.to_le_bytes(), before_sub.to_le_bytes());
    record(4, &[&main, &sub, &[flags], &before_sub, &length, after, before])
}

fn key_hash(key: &[u8], create: i64, modified: (i64, u32), version: i64, lease: i64, value: &[u8]) -> u128 {
    let numbers = [create, modified.0, i64::from(modified.1), version, lease].map(|number| number as u64);
    hash(&[&[1, digest(key)], &numbers[..], &[digest(value)]].concat())
}

/// A store with two keys, a deleted one, a row and a compaction, and the same as the page says it.
fn example() -> (Store, Vec<u8>) {
    let mut store = open(&SimDisk::new(1), "/kv").unwrap();
    let commands = [
        Command::Txn(vec![put(b"a", b"1", 0), put(b"b", b"", 7)]),
        Command::Txn(vec![put(b"a", b"two", 5)]),
        Command::Txn(vec![put(b"c", b"3", 0), Op::Delete(KeyRange::single("b"))]),
        Command::SidePut(9, b"row".to_vec(), b"value".to_vec()),
        Command::Compact(3),
    ];
    for (number, command) in commands.iter().enumerate() {
        Model::command(&mut store, command, number as u64 + 1);
    }
    store.checkpoint().unwrap();
    let keys = key_hash(b"a", 2, (3, 0), 2, 5, b"two").wrapping_add(key_hash(b"c", 4, (4, 0), 1, 0, b"3"));
    let rows = hash(&[2, 9, digest(b"row"), digest(b"value")]);
    let numbers = [4i64, 3, 5, 1, 2].map(i64::to_le_bytes).concat();
    let header = record(
        1,
        &[&1u32.to_le_bytes(), &numbers, &keys.to_le_bytes(), &1u64.to_le_bytes(), &rows.to_le_bytes()],
    );
    let stream = [
        header,
        record(2, &[&4u32.to_le_bytes(), b"\x09row", b"value"]),
        key_record(b"a", 2, (3, 0), 2, 5, b"two"),
        key_record(b"c", 4, (4, 0), 1, 0, b"3"),
        // Of the compact revision: without its before.
        change_record(3, 0, 0, 0, b"\x0a\x01a\x10\x02\x18\x03\x20\x02\x2a\x03two\x30\x05", b""),
        change_record(4, 0, 0, 0, b"\x0a\x01c\x10\x04\x18\x04\x20\x01\x2a\x013", b""),
        change_record(4, 1, 1 | 2, 1, b"\x0a\x01b", b"\x0a\x01b\x10\x02\x18\x02\x20\x01\x30\x07"),
    ];
    (store, stream.concat())
}

#[test]
fn the_bytes_are_those_of_the_page() {
    let (store, stream) = example();
    for chunk_bytes in [64, 100, 1 << 20] {
        let export = store.snapshot().unwrap().with_chunk_bytes(chunk_bytes);
        let exported: Vec<Bytes> = export.map(Result::unwrap).collect();
        assert_eq!(exported, chunks(&stream, chunk_bytes, 3), "chunks of {chunk_bytes}");
    }
}

#[test]
fn an_empty_store_is_a_header_and_an_end() {
    let store = open(&SimDisk::new(1), "/kv").unwrap();
    let numbers = [1i64, -1, 0, 0, 0, 0, 0, 0, 0, 0].map(i64::to_le_bytes).concat();
    let header = record(1, &[&1u32.to_le_bytes(), &numbers]);
    let exported: Vec<Bytes> = store.snapshot().unwrap().map(Result::unwrap).collect();
    assert_eq!(exported, chunks(&header, 1 << 20, 0));
}

/// Imports chunks; and whatever comes of that is opened, read, written and checkpointed without a panic.
fn use_whatever_it_is(chunks: &[Bytes]) -> bool {
    let disk = SimDisk::new(2);
    let options = Options { history_segment_bytes: 8 << 10, identity: [1, 2], ..Options::default() };
    let mut import = SnapshotImport::begin(Arc::new(disk.clone()), Path::new("/new"), options).unwrap();
    if chunks.iter().any(|chunk| import.push(chunk.clone()).is_err()) || import.finish().is_err() {
        return false;
    }
    let Ok(mut store) = open(&disk, "/new") else { return true };
    let read = |store: &Store| {
        for at in store.compact_revision().max(1)..=store.revision().min(store.compact_revision() + 50) {
            let _ = store.range(&RangeQuery::new(KeyRange::all()).at(at));
            let _ = store.view().hash_kv(Some(at));
        }
        let mut history = store.view().history(store.compact_revision());
        while let Ok(Some(_)) = history.next_batch() {}
    };
    read(&store);
    if store.revision() < i64::MAX - 10 {
        let mut txn = store.txn();
        let _ = txn.delete_range(&KeyRange::all());
        let _ = txn.put("a".into(), "new".into(), LeaseId(1));
        txn.commit();
        let _ = store.checkpoint();
        read(&store);
    }
    true
}

#[test]
fn the_example_can_be_used() {
    let (_, stream) = example();
    assert!(use_whatever_it_is(&chunks(&stream, 100, 3)));
    // What follows would find nothing if it were refused for a trifle.
    let mut other = stream.clone();
    let at = other.windows(3).rposition(|bytes| bytes == b"two").unwrap();
    other[at] = b'T';
    assert!(use_whatever_it_is(&chunks(&other, 100, 3)), "only the history says something else");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// All checksums and hashes that a liar can make are right: those of chunks and the whole.
    #[test]
    fn hostile_streams_cause_no_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4),
        chunk_bytes in prop::sample::select(vec![64usize, 90, 1 << 20]),
        changes in 0..5u64,
    ) {
        let (_, mut stream) = example();
        for (place, byte, what) in edits {
            let at = place.index(stream.len());
            match what {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                2 => drop(stream.remove(at)),
                _ => stream[at] ^= 1 << (byte % 8),
            }
        }
        use_whatever_it_is(&chunks(&stream, chunk_bytes, changes));
    }

    #[test]
    fn noise_causes_no_panic(noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        let signed: Vec<Bytes> =
            noise.iter().enumerate().map(|(number, payload)| chunk(number as u32, payload)).collect();
        prop_assert!(!use_whatever_it_is(&signed));
        let raw: Vec<Bytes> = noise.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect();
        prop_assert!(!use_whatever_it_is(&raw));
    }
}
