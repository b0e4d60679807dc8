//! The bytes on the disk, as `docs/format/mvcc.md` says, for one small store.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::*;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use wal::SimDisk;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn options() -> Options {
    Options { history_segment_bytes: 8 << 10, identity: [0x11, 0x22], ..Options::default() }
}

/// r2: a put, r3: another version and a second key, r4: a tombstone; a row; compacted at 2; applied 9@7.
fn small_store(disk: &SimDisk) {
    let mut store = Store::open(Arc::new(disk.clone()), Path::new("/data"), options()).unwrap();
    let mut put = |pairs: &[(&'static str, &'static str, i64)]| {
        let mut txn = store.txn();
        for &(key, value, lease) in pairs {
            txn.put(Bytes::from(key), Bytes::from(value), LeaseId(lease));
        }
        txn.commit();
    };
    put(&[("a", "one", 0)]);
    put(&[("a", "two", 5), ("b", "", 0)]);
    let mut txn = store.txn();
    txn.delete_range(&KeyRange::single("b"));
    txn.commit();
    store.side_put(TableId(3), b"row", "content");
    store.compact(2).unwrap();
    store.set_applied(Applied { index: 9, term: 7 });
    store.checkpoint().unwrap();
}

/// The pairs of a table in the database file.
fn table(file: &Path, name: &str) -> Vec<String> {
    let database = redb::Database::open(file).unwrap();
    let transaction = database.begin_read().unwrap();
    if name == "mark" {
        let table = transaction.open_table(TableDefinition::<&str, &[u8]>::new(name)).unwrap();
        return vec![hex(table.get("checkpoint").unwrap().unwrap().value())];
    }
    let table = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(name)).unwrap();
    let pairs = table.iter().unwrap().map(Result::unwrap);
    pairs.map(|(key, value)| format!("{} -> {}", hex(key.value()), hex(value.value()))).collect()
}

fn crc(bytes: &[u8]) -> String {
    hex(&crc32fast::hash(bytes).to_le_bytes())
}

#[test]
fn the_database_has_the_tables_of_the_page() {
    let disk = SimDisk::new(1);
    small_store(&disk);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("current.redb");
    std::fs::write(&file, disk.content(Path::new("/data/current.redb")).unwrap()).unwrap();

    let entry =
        "020000000000000003000000000000000000000002000000000000000500000000000000030000004183d1a478054858";
    let entry_bytes: Vec<u8> =
        (0..entry.len()).step_by(2).map(|at| u8::from_str_radix(&entry[at..at + 2], 16).unwrap()).collect();
    let entry_crc = crc(&[b"a", &entry_bytes[..]].concat());
    assert_eq!(table(&file, "keys"), [format!("61 -> {entry}{entry_crc}")]);

    let value_crc = crc(&[b"a", &3i64.to_le_bytes()[..], &0u32.to_le_bytes(), b"two"].concat());
    assert_eq!(table(&file, "values"), [format!("61 -> {value_crc}{}", hex(b"two"))]);

    let row_crc = crc(b"\x03rowcontent");
    assert_eq!(table(&file, "side"), [format!("03726f77 -> {row_crc}{}", hex(b"content"))]);

    let mark = [
        "01000000",                         // format
        "11000000000000002200000000000000", // identity
        "0400000000000000",                 // revision
        "0200000000000000",                 // compact revision
        "0900000000000000",                 // applied index
        "0700000000000000",                 // applied term
        "0100000000000000",                 // keys
    ]
    .concat();
    let found = table(&file, "mark").remove(0);
    assert_eq!(found[..mark.len()], mark);
    let (content, check) = found.split_at(found.len() - 8);
    let bytes: Vec<u8> = (0..content.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&content[at..at + 2], 16).unwrap())
        .collect();
    assert_eq!((check, bytes.len()), (&crc(&bytes)[..], 148));
}

#[test]
fn the_history_has_the_records_of_the_page() {
    let disk = SimDisk::new(1);
    small_store(&disk);
    let options = wal::Options { segment_bytes: 8 << 10, identity: [0x11, 0x22] };
    let (log, _) = wal::Wal::open(Arc::new(disk), Path::new("/data/history"), options).unwrap();
    let records: Vec<String> = log
        .reader()
        .scan_all()
        .map(|record| record.unwrap())
        .map(|record| {
            let wal::Head { kind, number, tag } = record.head;
            format!("{kind} {number}.{tag} {}", hex(&record.payload))
        })
        .collect();
    let one = "0a016110021802200".to_owned() + "12a036f6e65";
    let two = "0a0161100218032002".to_owned() + "2a0374776f3005";
    let b = "0a0162100318032001";
    assert_eq!(
        records,
        [
            format!("1 2.0 00000000000e000000{one}"),
            format!("1 3.0 020000000010000000{two}{one}"),
            format!("1 3.1 000000000009000000{b}"),
            format!("1 4.0 0301000000030000000a0162{b}"),
        ]
    );
}
