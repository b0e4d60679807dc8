//! What is written is read, whatever the rows and the page size, and is what bbolt's check asks for.

mod support;

use std::collections::BTreeMap;

use dbfile::{Db, PageSize, Verdict};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use support::{Rows, Tables, number, read, write};

fn page_sizes() -> impl Strategy<Value = PageSize> {
    (10_u32..=16).prop_map(|bits| PageSize::new(1 << bits).expect("from 1024 to 65536"))
}

/// Many short rows, and some that are longer than a page.
fn rows() -> impl Strategy<Value = Rows> {
    let key = prop_oneof![
        8 => vec(any::<u8>(), 1..20),
        1 => vec(any::<u8>(), 200..700),
        1 => (any::<u8>(), 1_usize..32768).prop_map(|(byte, bytes)| vec![byte; bytes]),
    ];
    let value = prop_oneof![
        8 => vec(any::<u8>(), 0..60),
        1 => (any::<u8>(), 0_usize..200_000).prop_map(|(byte, bytes)| vec![byte; bytes]),
    ];
    btree_map(key, value, 0..300).prop_map(|rows| rows.into_iter().collect())
}

fn tables() -> impl Strategy<Value = Tables> {
    btree_map(vec(any::<u8>(), 1..12), rows(), 0..6)
        .prop_map(|tables: BTreeMap<_, _>| tables.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn tables_survive_a_file(page_size in page_sizes(), tables in tables()) {
        let file = write(page_size, &tables).unwrap();
        prop_assert!(matches!(dbfile::verify(&file[..]), Ok(Verdict::Right(_))));
        prop_assert_eq!(&read(&file[..]).unwrap(), &tables);
        let census = Db::open(&file[..]).unwrap().check().unwrap();
        prop_assert_eq!(census.pages_free, 0);
        prop_assert_eq!(census.rows, tables.iter().map(|(_, rows)| rows.len() as u64).sum::<u64>());
    }

    #[test]
    fn a_range_begins_where_it_is_asked_to(page_size in page_sizes(), rows in rows(), from in vec(any::<u8>(), 0..4)) {
        let tables = vec![(b"t".to_vec(), rows)];
        let file = write(page_size, &tables).unwrap();
        let db = Db::open(&file[..]).unwrap();
        let mut found = db.bucket(b"t").unwrap().unwrap().rows_from(&from).unwrap();
        for (key, value) in tables[0].1.iter().filter(|(key, _)| *key >= from) {
            let row = found.next_row().unwrap().unwrap();
            prop_assert_eq!((row.key, row.value), (&key[..], &value[..]));
        }
        prop_assert_eq!(found.next_row().unwrap(), None);
    }
}

/// Branches of every width around the page size, so that the last one of a level needs a child of its neighbour.
#[test]
fn every_number_of_leaves_makes_a_tree_that_bbolt_takes() {
    let page_size = PageSize::new(1024).unwrap();
    for leaves in 1..400_u64 {
        let rows = (0..leaves).map(|leaf| (number(leaf), vec![7; 900])).collect();
        let tables = vec![(b"t".to_vec(), rows)];
        let file = write(page_size, &tables).unwrap();
        assert_eq!(read(&file[..]).unwrap(), tables, "{leaves} leaves");
        Db::open(&file[..]).unwrap().check().unwrap();
        assert_eq!(branches_with_one_child(&file, 1024), 0, "{leaves} leaves");
    }
}

/// Keys of which not even two fit into a branch.
#[test]
fn keys_that_are_longer_than_a_page_make_branches_that_go_on() {
    let page_size = PageSize::new(1024).unwrap();
    for leaves in 1..60_u8 {
        let rows = (0..leaves).map(|leaf| (vec![leaf; 3000], vec![])).collect();
        let tables = vec![(b"t".to_vec(), rows)];
        let file = write(page_size, &tables).unwrap();
        assert_eq!(read(&file[..]).unwrap(), tables, "{leaves} leaves");
        Db::open(&file[..]).unwrap().check().unwrap();
        assert_eq!(branches_with_one_child(&file, 1024), 0, "{leaves} leaves");
    }
}

#[test]
fn a_bucket_is_found_by_its_name_and_a_row_by_its_key() {
    let rows: Rows = (0..1000).map(|row| (number(row * 2), number(row))).collect();
    let tables = (b'a'..=b'e').map(|name| (vec![name], rows.clone())).collect();
    let file = write(PageSize::default(), &tables).unwrap();
    let db = Db::open(&file[..]).unwrap();
    let bucket = db.bucket(b"c").unwrap().unwrap();
    assert_eq!(bucket.name(), b"c");
    assert_eq!(bucket.get(&number(700)).unwrap(), Some(number(350)));
    assert_eq!(bucket.get(&number(701)).unwrap(), None);
    assert!(db.bucket(b"bb").unwrap().is_none() && db.bucket(b"f").unwrap().is_none());
}

/// Looks at the pages themselves: an etcd ends in a compaction that meets such a branch.
fn branches_with_one_child(file: &[u8], page_bytes: usize) -> usize {
    let mut page = 3;
    let mut found = 0;
    while (page + 1) * page_bytes <= file.len() {
        let header = &file[page * page_bytes..][..16];
        let count = u16::from_le_bytes([header[10], header[11]]);
        let overflow = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        found += usize::from(header[8] == 1 && count < 2);
        page += 1 + overflow as usize;
    }
    found
}
