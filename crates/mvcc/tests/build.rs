//! A store that is built from versions that are known is the store that transactions would have made, and takes nothing that
//! no store can hold.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::{
    Applied, BuildError, Change, Extent, Item, KeyRange, LeaseId, Options, Revision, Store, StoreBuilder,
    TableId,
};
use wal::SimDisk;

const OTHER: &str = "/other";

fn begin(disk: &SimDisk, revision: i64, compact_revision: i64) -> Result<StoreBuilder, BuildError> {
    let extent = Extent { revision, compact_revision };
    StoreBuilder::begin(Arc::new(disk.clone()), Path::new(OTHER), Options::default(), extent)
}

fn open(disk: &SimDisk, dir: &str) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new(dir), Options::default()).unwrap()
}

/// A store with a history of puts and deletes, a compaction, and a row beside.
fn made(disk: &SimDisk) -> Store {
    let mut store = open(disk, "/store");
    for number in 0..40 {
        let mut txn = store.txn();
        txn.put(format!("k{}", number % 7).into(), vec![b'v'; number].into(), LeaseId(number as i64));
        txn.put(format!("l{number}").into(), "x".into(), LeaseId(0));
        if number % 3 == 0 {
            txn.delete_range(&KeyRange::single(format!("k{}", (number + 1) % 7)));
        }
        txn.commit().unwrap();
    }
    store.side_put(TableId(1), b"row", "value");
    store.set_applied(Applied { index: 9, term: 2 });
    store.compact(20).unwrap();
    store
}

/// Everything that a store has, as a builder takes it.
fn content(store: &Store) -> (Vec<Item>, Vec<Change>) {
    let live = store.range(&mvcc::RangeQuery::new(KeyRange::all())).unwrap().items;
    let mut changes = Vec::new();
    let mut history = store.view().history(store.compact_revision());
    while let Some(batch) = history.next_batch().unwrap() {
        changes.extend(batch);
    }
    (live, changes)
}

#[test]
fn what_is_built_is_what_was_there() {
    let disk = SimDisk::new(1);
    let store = made(&disk);
    let (live, changes) = content(&store);
    let mut builder = begin(&disk, store.revision(), store.compact_revision()).unwrap();
    let (state, history) = builder.halves();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for change in changes {
                let before = change.read_before().unwrap();
                history.append(change.revision, change.key, change.after, before).unwrap();
            }
        });
        live.into_iter().for_each(|item| state.put_live(item).unwrap());
    });
    state.put_row(TableId(1), b"row", b"value").unwrap();
    builder.finish(store.applied()).unwrap();
    let built = open(&disk.crash(wal::Crash::LoseAll), OTHER);
    built.check_invariants();
    assert_eq!((built.state_hash(), built.applied()), (store.state_hash(), store.applied()));
    for at in 20..=store.revision() {
        let [ours, theirs] = [&built, &store].map(|store| store.view().hash_kv(Some(at)).unwrap());
        assert_eq!(ours, theirs, "at {at}");
    }
    let [ours, theirs] = [&built, &store].map(|store| format!("{:?}", content(store).1));
    assert_eq!(ours, theirs);
}

/// A backup may have nothing of the compact revision itself. Watchers that begin there are shown what follows, from runs as from
/// the tail.
#[test]
fn nothing_may_be_left_of_the_compact_revision() {
    for newest in [11, 2_000] {
        let disk = SimDisk::new(1);
        let options = Options { history_segment_bytes: 4 * wal::SEGMENT_BYTES_MIN, ..Options::default() };
        let extent = Extent { revision: newest, compact_revision: 10 };
        let mut builder =
            StoreBuilder::begin(Arc::new(disk.clone()), Path::new(OTHER), options, extent).unwrap();
        for main in 11..=newest {
            let item = item(&format!("{main:0100}"), main, 0);
            builder
                .halves()
                .1
                .append(Revision { main, sub: 0 }, item.key(), Some(item.clone()), None)
                .unwrap();
            builder.halves().0.put_live(item).unwrap();
        }
        builder.finish(Applied::default()).unwrap();
        let store = Store::open(Arc::new(disk), Path::new(OTHER), options).unwrap();
        store.check_invariants();
        let mut history = store.view().history(10);
        let mut next = 11;
        while let Some(batch) = history.next_batch().unwrap() {
            for change in batch {
                assert_eq!(change.revision, Revision { main: next, sub: 0 });
                next += 1;
            }
        }
        assert_eq!(next, newest + 1);
        let at_compaction = mvcc::RangeQuery::new(KeyRange::all()).at(10);
        assert_eq!(store.range(&at_compaction).unwrap().count, 0);
    }
}

fn item(key: &str, main: i64, sub: u32) -> Item {
    // Numbers from 128 on take two bytes.
    let number = |number: i64| match number {
        0..128 => vec![number as u8],
        _ => vec![number as u8 | 0x80, (number >> 7) as u8],
    };
    let (main_bytes, head) = (number(main), [0x0a, key.len() as u8]);
    let encoded = [&head, key.as_bytes(), &[0x10], &main_bytes, &[0x18], &main_bytes, &[0x20, 1]].concat();
    Item::of_record(Revision { main, sub }, encoded.into()).unwrap()
}

fn refused(result: Result<(), BuildError>) -> &'static str {
    match result {
        Err(BuildError::Refused(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_no_store_can_hold_is_refused() {
    let disk = SimDisk::new(1);
    assert!(
        matches!(begin(&disk, 5, 6), Err(BuildError::Refused(_))),
        "compacted behind its newest revision"
    );
    assert!(matches!(begin(&disk, 0, -1), Err(BuildError::Refused(_))));
    let mut builder = begin(&disk, 5, 3).unwrap();
    builder.halves().0.put_live(item("b", 4, 0)).unwrap();
    assert_eq!(refused(builder.halves().0.put_live(item("a", 4, 1))), "keys are not in order");
    assert_eq!(refused(builder.halves().0.put_live(item("b", 4, 1))), "keys are not in order");
    assert_eq!(refused(builder.halves().0.put_live(item("c", 6, 0))), "a key is from the future");
    let mut append = |main, sub, after: Option<Item>, before: Option<Item>| {
        builder.halves().1.append(Revision { main, sub }, Bytes::from_static(b"k"), after, before)
    };
    assert_eq!(refused(append(5, 0, None, None)), "it does not follow the change before it");
    assert_eq!(refused(append(4, 1, None, None)), "it does not follow the change before it");
    append(3, 2, None, None).unwrap();
    append(3, 5, None, None).unwrap();
    assert_eq!(refused(append(4, 1, None, None)), "it does not follow the change before it");
    assert_eq!(
        refused(append(4, 0, Some(item("k", 3, 0)), None)),
        "a change has a version of another revision"
    );
    assert_eq!(
        refused(append(4, 0, None, Some(item("k", 4, 0)))),
        "a change replaces a version that is not older"
    );
    append(4, 0, Some(item("k", 4, 0)), None).unwrap();
    let finished = builder.finish(Applied::default());
    assert_eq!(refused(finished), "the changes of the newest revision are missing");
    assert!(!wal::Disk::exists(&disk, &Path::new(OTHER).join("current.redb")).unwrap(), "it is no store");
}

#[test]
fn a_record_is_a_version_only_in_the_form_that_etcd_writes() {
    let good = b"\x0a\x01k\x10\x02\x18\x03\x20\x02\x2a\x01v".as_slice();
    let revision = Revision { main: 3, sub: 1 };
    assert!(Item::of_record(revision, good.into()).is_some());
    assert!(Item::of_record(Revision { main: 4, sub: 1 }, good.into()).is_none());
    let bad: [&[u8]; 7] = [
        b"\x0a\x01k\x18\x03\x10\x02\x20\x02\x2a\x01v",
        b"\x0a\x01k\x10\x02\x18\x03\x20\x02\x2a\x00",
        b"\x0a\x01k\x10\x02\x18\x03\x20\x02\x38\x01",
        b"\x0a\x01k\x10\x04\x18\x03\x20\x02",
        b"\x0a\x01k\x10\x02\x18\x03",
        b"\x10\x02\x18\x03\x20\x02",
        b"\x0a\x01k\x10\x82\x00\x18\x03\x20\x02",
    ];
    for record in bad {
        assert!(Item::of_record(revision, record.into()).is_none(), "{}", record.escape_ascii());
    }
}
