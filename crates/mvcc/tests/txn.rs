//! What a transaction sees of its own writes, whatever it has written.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;

fn store() -> Store {
    Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/data"), Options::default()).unwrap()
}

/// Reproducible choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn key(&mut self) -> Bytes {
        format!("{:03}", self.below(120)).into()
    }

    fn range(&mut self) -> KeyRange {
        match self.below(8) {
            0 => KeyRange::all(),
            1 => KeyRange::from(self.key()),
            2 => KeyRange::single(self.key()),
            // Empty ones among them.
            3 | 4 => KeyRange::between(self.key(), self.key()),
            _ => KeyRange::prefix(format!("{:02}", self.below(12))),
        }
    }
}

/// Key and value of what is there.
type Expected = BTreeMap<Bytes, Bytes>;

fn compare(txn: &Txn<'_>, expected: &Expected, query: &RangeQuery) {
    let all: Vec<_> = expected.iter().filter(|(key, _)| query.range.contains(key)).collect();
    let result = txn.range(query).unwrap();
    let context = format!("{query:?}");
    if query.count_only {
        assert_eq!(
            (result.items.len(), result.count, result.more),
            (0, all.len() as u64, false),
            "{context}"
        );
        return;
    }
    let shown = if query.limit == 0 { all.len() } else { all.len().min(query.limit) };
    let value = |value: &Bytes| if query.keys_only { Bytes::new() } else { value.clone() };
    let wanted: Vec<_> = all[..shown].iter().map(|(key, of)| ((*key).clone(), value(of))).collect();
    let found: Vec<_> = result.items.iter().map(|item| (item.key(), item.value())).collect();
    assert_eq!(found, wanted, "{context}");
    assert_eq!(result.more, shown < all.len(), "{context}");
    let count = if result.more && query.without_count { 0 } else { all.len() as u64 };
    assert_eq!(result.count, count, "{context}");
}

#[test]
fn a_transaction_reads_its_own_writes_whatever_they_are() {
    for seed in 1..40 {
        let mut choices = Choices(seed);
        let mut store = store();
        let mut expected = Expected::new();
        for round in 0..4u64 {
            let mut txn = store.txn();
            for step in 0..choices.below(60) {
                match choices.below(5) {
                    0 => {
                        let range = choices.range();
                        let deleted = txn.delete_range(&range);
                        let gone: Vec<_> =
                            expected.keys().filter(|key| range.contains(key)).cloned().collect();
                        assert_eq!(deleted, gone.len(), "seed {seed}");
                        gone.iter().for_each(|key| drop(expected.remove(key)));
                    }
                    1 => {
                        let keys: Vec<_> = (0..choices.below(4)).map(|_| choices.key()).collect();
                        let there = keys.iter().filter(|key| expected.remove(*key).is_some()).count();
                        assert_eq!(txn.delete_keys(keys), there, "seed {seed}");
                    }
                    _ => {
                        let (key, value) = (choices.key(), Bytes::from(format!("{round}.{step}")));
                        txn.put(key.clone(), value.clone(), LeaseId(0));
                        expected.insert(key, value);
                    }
                }
                let query = RangeQuery {
                    limit: choices.below(5) as usize * choices.below(3) as usize,
                    keys_only: choices.below(4) == 0,
                    count_only: choices.below(4) == 0,
                    without_count: choices.below(4) == 0,
                    ..RangeQuery::new(choices.range())
                };
                compare(&txn, &expected, &query);
            }
            txn.commit();
            store.check_invariants();
        }
    }
}

#[test]
fn keys_are_deleted_in_one_revision_and_in_their_order() {
    let mut store = store();
    let mut txn = store.txn();
    for number in 0..20 {
        txn.put(format!("k{number:02}").into(), "v".into(), LeaseId(7));
    }
    txn.commit();
    let keys: Vec<Bytes> =
        (0..20).rev().chain([3, 99]).map(|number| format!("k{number:02}").into()).collect();
    let mut txn = store.txn();
    assert_eq!(txn.delete_keys(keys.iter().cloned()), 20);
    let changes = txn.commit().unwrap();
    assert_eq!(changes.revision, 3);
    for (sub, change) in (0u32..).zip(changes.changes.iter()) {
        assert_eq!((change.revision, &change.key), (Revision { main: 3, sub }, &keys[sub as usize]));
        let before = change.read_before().unwrap().unwrap();
        assert!(change.after.is_none() && before.value() == "v" && before.meta.lease == LeaseId(7));
    }
    assert_eq!(changes.changes.len(), 20);
    assert_eq!(store.keys(), 0);
}
