//! A naive model of the store: every state of every revision, in full.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod strategies;

use std::collections::BTreeMap;

use bytes::Bytes;
use mvcc::*;

/// What a key is at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub meta: Meta,
    pub value: Vec<u8>,
}

pub type State = BTreeMap<Vec<u8>, Version>;

/// A change: its revision and key, and the values after it and before its transaction.
pub type Changed = (Revision, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// One change within a transaction.
#[derive(Debug, Clone)]
pub enum Op {
    Put { key: Vec<u8>, value: Vec<u8>, lease: i64 },
    Delete(KeyRange),
}

/// What a caller's log would hold.
#[derive(Debug, Clone)]
pub enum Command {
    Txn(Vec<Op>),
    Compact(i64),
    SidePut(u8, Vec<u8>, Vec<u8>),
    SideDelete(u8, Vec<u8>),
}

/// A record as etcd has it in its bucket of versions.
#[derive(Debug, Clone)]
struct Record {
    revision: Revision,
    key: Vec<u8>,
    /// `None`: a tombstone.
    version: Option<Version>,
}

/// The model after some commands.
#[derive(Debug, Clone)]
pub struct Model {
    /// By main revision, from 0.
    pub states: Vec<State>,
    pub compact_revision: i64,
    records: Vec<Record>,
    pub side: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    pub commands: u64,
}

impl Default for Model {
    fn default() -> Self {
        let states = vec![State::new(), State::new()];
        Self { states, compact_revision: -1, records: Vec::new(), side: BTreeMap::new(), commands: 0 }
    }
}

impl Model {
    pub fn revision(&self) -> i64 {
        self.states.len() as i64 - 1
    }

    pub fn apply(&mut self, command: &Command) {
        self.commands += 1;
        match command {
            Command::Txn(ops) => self.txn(ops),
            Command::Compact(revision) => {
                if *revision > self.compact_revision && *revision <= self.revision() {
                    self.compact_revision = *revision;
                }
            }
            Command::SidePut(table, key, value) => {
                drop(self.side.insert((*table, key.clone()), value.clone()))
            }
            Command::SideDelete(table, key) => drop(self.side.remove(&(*table, key.clone()))),
        }
    }

    fn txn(&mut self, ops: &[Op]) {
        let mut state = self.states.last().unwrap().clone();
        let main = self.revision() + 1;
        let mut sub = 0;
        for op in ops {
            match op {
                Op::Put { key, value, lease } => {
                    let revision = Revision { main, sub };
                    let old = state.get(key).map(|old| old.meta);
                    let meta = Meta {
                        create_revision: old.map_or(main, |old| old.create_revision),
                        mod_revision: revision,
                        version: old.map_or(0, |old| old.version) + 1,
                        lease: LeaseId(*lease),
                    };
                    let version = Version { meta, value: value.clone() };
                    state.insert(key.clone(), version.clone());
                    self.records.push(Record { revision, key: key.clone(), version: Some(version) });
                    sub += 1;
                }
                Op::Delete(range) => {
                    let keys: Vec<_> = state.keys().filter(|key| range.contains(key)).cloned().collect();
                    for key in keys {
                        state.remove(&key);
                        self.records.push(Record { revision: Revision { main, sub }, key, version: None });
                        sub += 1;
                    }
                }
            }
        }
        if sub > 0 {
            self.states.push(state);
        }
    }

    /// Does the same to a store.
    pub fn command(store: &mut Store, command: &Command, index: u64) {
        match command {
            Command::Txn(ops) => {
                let mut txn = store.txn();
                for op in ops {
                    match op {
                        Op::Put { key, value, lease } => {
                            let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                            txn.put(key, value, LeaseId(*lease));
                        }
                        Op::Delete(range) => _ = txn.delete_range(range),
                    }
                }
                txn.commit();
            }
            Command::Compact(revision) => drop(store.compact(*revision)),
            Command::SidePut(table, key, value) => drop(store.side_put(TableId(*table), key, value.clone())),
            Command::SideDelete(table, key) => drop(store.side_delete(TableId(*table), key)),
        }
        store.set_applied(Applied { index, term: 1 });
    }

    /// The items of a range at a revision.
    pub fn items(&self, range: &KeyRange, at: i64) -> Vec<(Vec<u8>, Version)> {
        let in_range = self.states[at as usize].iter().filter(|(key, _)| range.contains(key));
        in_range.map(|(key, version)| (key.clone(), version.clone())).collect()
    }

    /// etcd's hash, as its source says it: a walk over the bucket.
    pub fn hash_kv(&self, at: i64) -> u32 {
        let newest = |record: &Record, at: i64| {
            !self.records.iter().any(|other| {
                other.key == record.key && other.revision > record.revision && other.revision.main <= at
            })
        };
        let is_kept =
            |record: &Record| record.revision.main <= at && record.version.is_some() && newest(record, at);
        let keeps_any = self.records.iter().any(is_kept);
        let mut crc = crc32c::crc32c(b"key");
        for record in self.records.iter().filter(|record| record.revision.main <= at) {
            let main = record.revision.main;
            if main <= self.compact_revision {
                let is_there = newest(record, self.compact_revision) && record.version.is_some();
                if !is_there || (keeps_any && !is_kept(record)) {
                    continue;
                }
            }
            let mut bytes = main.to_be_bytes().to_vec();
            bytes.push(b'_');
            bytes.extend(i64::from(record.revision.sub).to_be_bytes());
            match &record.version {
                Some(version) => bytes.extend(wire(&record.key, version)),
                None => {
                    bytes.push(b't');
                    bytes.push(0x0a);
                    varint(&mut bytes, record.key.len() as u64);
                    bytes.extend(&record.key);
                }
            }
            crc = crc32c::crc32c_append(crc, &bytes);
        }
        crc
    }

    /// The changes from a revision on: key, value after, value before the transaction.
    pub fn history(&self, from: i64) -> Vec<Changed> {
        let records = self.records.iter().filter(|record| record.revision.main >= from);
        let value = |version: &Version| version.value.clone();
        records
            .map(|record| {
                let before = (record.revision.main > self.compact_revision)
                    .then(|| self.states[record.revision.main as usize - 1].get(&record.key).map(value))
                    .flatten();
                (record.revision, record.key.clone(), record.version.as_ref().map(value), before)
            })
            .collect()
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number /= 128;
    }
    bytes.push(number as u8);
}

/// Protobuf wire form.
fn wire(key: &[u8], version: &Version) -> Vec<u8> {
    fn number(bytes: &mut Vec<u8>, tag: u8, number: i64) {
        if number != 0 {
            bytes.push(tag);
            varint(bytes, number as u64);
        }
    }
    let mut bytes = vec![0x0a];
    varint(&mut bytes, key.len() as u64);
    bytes.extend(key);
    number(&mut bytes, 0x10, version.meta.create_revision);
    number(&mut bytes, 0x18, version.meta.mod_revision.main);
    number(&mut bytes, 0x20, version.meta.version);
    if !version.value.is_empty() {
        number(&mut bytes, 0x2a, version.value.len() as i64);
        bytes.extend(&version.value);
    }
    number(&mut bytes, 0x30, version.meta.lease.0);
    bytes
}

fn versions(items: &[Item]) -> Vec<(Vec<u8>, Version)> {
    let version = |item: &Item| Version { meta: item.meta, value: item.value().to_vec() };
    items.iter().map(|item| (item.key().to_vec(), version(item))).collect()
}

/// Compares everything that can be read of the store at some revisions with the model.
pub fn check(store: &Store, model: &Model, ranges: &[KeyRange], revisions: impl Iterator<Item = i64>) {
    store.check_invariants();
    assert_eq!(store.revision(), model.revision());
    assert_eq!(store.compact_revision(), model.compact_revision);
    assert_eq!(store.keys() as usize, model.states.last().unwrap().len());
    let mut rows = BTreeMap::new();
    for table in 0..3u8 {
        rows.extend(
            store.side_scan(TableId(table)).map(|(key, value)| ((table, key.to_vec()), value.to_vec())),
        );
    }
    assert_eq!(rows, model.side);
    for at in revisions {
        check_at(store, model, ranges, at);
    }
}

fn check_at(store: &Store, model: &Model, ranges: &[KeyRange], at: i64) {
    let view = store.view();
    let query = |range: &KeyRange| RangeQuery::new(range.clone()).at(at);
    if at < model.compact_revision {
        assert!(matches!(view.range(&query(&ranges[0])), Err(ReadError::Compacted(_))));
        assert!(at == 0 || matches!(view.hash_kv(Some(at)), Err(ReadError::Compacted(_))), "at {at}");
        return;
    }
    for range in ranges {
        let expected = model.items(range, at);
        let result = view.range(&query(range)).unwrap();
        assert_eq!(versions(&result.items), expected, "{range:?} at {at}");
        assert_eq!((result.count, result.more), (expected.len() as u64, false));
        for item in &result.items {
            let version = Version { meta: item.meta, value: item.value().to_vec() };
            assert_eq!(item.encoded, wire(&item.key(), &version));
        }
        let limited = view.range(&query(range).limit(2)).unwrap();
        assert_eq!(versions(&limited.items), expected[..expected.len().min(2)]);
        assert_eq!((limited.count, limited.more), (expected.len() as u64, expected.len() > 2));
        let keys = view.range(&RangeQuery { keys_only: true, ..query(range) }).unwrap();
        let metas: Vec<_> = keys.items.iter().map(|item| (item.key().to_vec(), item.meta)).collect();
        assert_eq!(
            metas,
            expected.iter().map(|(key, version)| (key.clone(), version.meta)).collect::<Vec<_>>()
        );
        assert!(keys.items.iter().all(|item| item.value().is_empty()));
        let uncounted = view.range(&RangeQuery { without_count: true, ..query(range).limit(2) }).unwrap();
        assert_eq!((&uncounted.items, uncounted.more), (&limited.items, limited.more));
        assert_eq!(uncounted.count, if limited.more { 0 } else { limited.count });
        let counted = view.range(&RangeQuery { count_only: true, ..query(range) }).unwrap();
        assert_eq!(counted.count, expected.len() as u64);
        let mut chunks = view.chunks(query(range)).unwrap();
        let mut read = Vec::new();
        while let Some(items) = chunks.next_chunk(3).unwrap() {
            read.extend(versions(&items));
            assert_eq!(chunks.remaining().unwrap() as usize, expected.len() - read.len());
        }
        assert_eq!(read, expected);
    }
    if at > 0 {
        let hash = view.hash_kv(Some(at)).unwrap();
        assert_eq!(
            (hash.hash, hash.hash_revision),
            (model.hash_kv(at), at),
            "compacted {}",
            model.compact_revision
        );
    }
    let from = at.max(2);
    let mut history = view.history(from);
    let mut changes = Vec::new();
    while let Some(batch) = history.next_batch().unwrap() {
        changes.extend(batch.into_iter().map(|change| {
            let value = |item: &Option<Item>| item.as_ref().map(|item| item.value().to_vec());
            let before = change.read_before().unwrap();
            (change.revision, change.key.to_vec(), value(&change.after), value(&before))
        }));
    }
    assert_eq!(changes, model.history(from), "history from {from}");
}
