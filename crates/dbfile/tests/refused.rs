//! Files that are wrong in one place each: what is said of them, with page and byte.

mod support;

use dbfile::{Db, Error, Options, Reason};
use support::craft::{Craft, PAGE_BYTES, Page};

/// Page 2: leaf a, b. 3: root. 4: branch over 5 (a, b), 6 (m, n; with overflow 7) and 8 (x). 9: free.
fn good() -> Craft {
    Craft::new(&[
        Page::rows(&["a", "b"], 10),
        Page::buckets(&[("one", 2), ("two", 4)]),
        Page::branch(&[("a", 5), ("m", 6), ("x", 8)]),
        Page::rows(&["a", "b"], 10),
        Page::rows(&["m", "n"], 600),
        Page::rows(&["x"], 10),
        Page::Zero,
    ])
}

/// As [`good`], with a list of free pages on page 9, and 10 and 11 free.
fn listed() -> Craft {
    let mut pages = good();
    pages.bytes.truncate(9 * PAGE_BYTES);
    let tail = Craft::new(&[Page::FreeList(vec![10, 11])]).page(2).to_vec();
    pages.bytes.extend(tail);
    pages.put(9, 0, &9_u64.to_le_bytes());
    pages.bytes.resize(12 * PAGE_BYTES, 0);
    pages.with_meta(48, 9).with_meta(56, 12)
}

/// Reads and checks everything.
fn examine(file: &[u8]) -> Result<(), Error> {
    support::read(file)?;
    Db::open(file)?.check().map(drop)
}

fn refusal(file: &Craft) -> String {
    examine(&file.bytes).expect_err("the file is wrong").to_string()
}

#[test]
fn files_that_are_right_are_read() {
    for file in [good(), listed()] {
        let tables = support::read(&file.bytes[..]).unwrap();
        assert_eq!(tables.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(), [2, 5]);
        let census = Db::open(&file.bytes[..]).unwrap().check().unwrap();
        assert_eq!((census.buckets, census.rows), (2, 7));
        assert_eq!(census.pages_in_use + census.pages_free, file.pages());
    }
    assert_eq!(Db::open(&good().bytes[..]).unwrap().check().unwrap().pages_free, 1);
    assert_eq!(Db::open(&listed().bytes[..]).unwrap().check().unwrap().pages_free, 2);
}

#[test]
fn roots() {
    let u32s = |file: Craft, at, number: u32| {
        let bytes = number.to_le_bytes();
        let mut file = file.with(0, at, &bytes).with(1, at, &bytes);
        (0..2).for_each(|id| support::seal_meta(file.page(id)));
        file
    };
    let cases = [
        (
            u32s(good(), 16, 0xedda_0ced),
            "page 0, byte 0: written by a big-endian machine; only little-endian files are read",
        ),
        (
            u32s(good(), 16, 0x5153_4c65),
            "page 0, byte 0: not a bbolt database: it begins with 0x51534c65, not with 0xed0cdaed",
        ),
        (u32s(good(), 20, 3), "page 0, byte 0: format version 3; only version 2 is read"),
        (
            u32s(good(), 24, 1000),
            "page 0, byte 0: the page size is 1000; it must be a power of two from 1024 to 16777216",
        ),
        (good().with_meta(32, 99), "page 0, byte 0: refers to page 99, but only pages 2 to 9 can be meant"),
        (good().with_meta(32, 1), "page 0, byte 0: refers to page 1, but only pages 2 to 9 can be meant"),
        (good().with_meta(48, 10), "page 0, byte 0: refers to page 10, but only pages 2 to 9 can be meant"),
        (
            good().with_meta(56, 11),
            "page 0, byte 0: the file says to have 11 pages of 1024 bytes, but it has 10240 bytes",
        ),
        (
            good().with_meta(56, u64::MAX),
            "page 0, byte 0: the file says to have 18446744073709551615 pages of 1024 bytes, but it has 10240 bytes",
        ),
        (good().with(0, 0, &[1]), "page 0, byte 0: the page says that it is page 1"),
        (
            good().with(0, 8, &[2]),
            "page 0, byte 0: the page has the flags 0x0002, where a meta page is needed",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&file), expected);
    }
    let torn = good().with(0, 60, &[1]).with(1, 60, &[1]);
    assert!(refusal(&torn).starts_with("page 0, byte 0: the checksum of the meta page is 0x"));
    assert_eq!(
        refusal(&Craft { bytes: Vec::new() }),
        "page 0, byte 0: the file has 0 bytes, too few for a database"
    );
}

/// A live file has its newest commit on either page, and one that was torn on the other.
#[test]
fn the_newer_root_counts_if_it_is_whole() {
    let txids = |first: u64, second: u64| {
        let mut file = good();
        for (id, txid) in [(0, first), (1, second)] {
            file.put(id, 64, &txid.to_le_bytes());
            support::seal_meta(file.page(id));
        }
        file
    };
    let txid = |file: &Craft| Db::open(&file.bytes[..]).unwrap().meta().txid;
    assert_eq!(txid(&txids(7, 8)), 8);
    assert_eq!(txid(&txids(8, 7)), 8);
    assert_eq!(txid(&txids(7, 8).with(1, 64, &[99])), 7);
    assert_eq!(txid(&txids(7, 8).with(0, 64, &[99])), 8);
    assert_eq!(txid(&txids(7, 8).with(0, 16, &[0; 64])), 8, "the page size is found on page 1");
}

#[test]
fn pages() {
    let two = 2_u16.to_le_bytes();
    let cases = [
        (good().with(5, 0, &[4]), "page 5, byte 5120: the page says that it is page 4"),
        (
            good().with(5, 8, &[3]),
            "page 5, byte 5120: the page has the flags 0x0003, where a branch or a leaf is needed",
        ),
        (
            good().with(5, 8, &[16]),
            "page 5, byte 5120: the page has the flags 0x0010, where a branch or a leaf is needed",
        ),
        (
            good().with(5, 12, &[200]),
            "page 5, byte 5120: the page goes on for 200 pages, beyond the last of 10",
        ),
        (
            good().with(5, 12, &[255; 4]),
            "page 5, byte 5120: the page goes on for 4294967295 pages, beyond the last of 10",
        ),
        (good().with(5, 10, &[255, 255]), "page 5, byte 5136: 65535 elements do not fit into 1024 bytes"),
        (
            good().with(5, 10, &[0, 0]),
            "page 5, byte 5120: the page is empty, which only the root of a bucket may be",
        ),
        (
            good().with(4, 10, &[0, 0]),
            "page 4, byte 4096: the page is empty, which only the root of a bucket may be",
        ),
        (good().with(8, 0, &[0; PAGE_BYTES]), "page 8, byte 8192: the page says that it is page 0"),
        (
            good().with(3, 8, &two).with_meta(32, 5),
            "page 5, byte 5136: element 0: a row that is in no bucket",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&file), expected);
    }
}

#[test]
fn elements() {
    // Page 5 has elements at 16 and 32, keys at 48 and 59.
    let cases = [
        (
            good().with(5, 16, &[1]),
            "page 5, byte 5136: element 0: a bucket within a bucket, which etcd does not have",
        ),
        (good().with(5, 16, &[2]), "page 5, byte 5136: element 0: unknown flags 0x2"),
        (good().with(5, 20, &[31]), "page 5, byte 5136: element 0: key and value are not within the page"),
        (
            good().with(5, 36, &[255; 4]),
            "page 5, byte 5152: element 1: key and value are not within the page",
        ),
        (good().with(5, 24, &[0]), "page 5, byte 5136: element 0: a key of 0 bytes"),
        (
            good().with(5, 40, &[255; 4]),
            "page 5, byte 5152: element 1: key and value are not within the page",
        ),
        (
            good().with(5, 44, &[255; 4]),
            "page 5, byte 5152: element 1: key and value are not within the page",
        ),
        (good().with(5, 48, b"b"), "page 5, byte 5152: element 1: the key is not above the one before it"),
        (good().with(5, 48, b"c"), "page 5, byte 5152: element 1: the key is not above the one before it"),
        (
            good().with(5, 59, b"m"),
            "page 5, byte 5152: element 1: the key is outside the range that the branches above give to this page",
        ),
        (
            good().with(6, 48, b"l"),
            "page 6, byte 6160: element 0: the key is outside the range that the branches above give to this page",
        ),
        // Children: elements at 16, 32 and 48, keys at 64, 65 and 66.
        (
            good().with(4, 24, &[99]),
            "page 4, byte 4112: refers to page 99, but only pages 2 to 9 can be meant",
        ),
        (good().with(4, 24, &[1]), "page 4, byte 4112: refers to page 1, but only pages 2 to 9 can be meant"),
        (good().with(4, 65, b"z"), "page 4, byte 4144: element 2: the key is not above the one before it"),
        (good().with(4, 20, &[0]), "page 4, byte 4112: element 0: a key of 0 bytes"),
        // Buckets: elements at 16 and 32, "one" at 48, its value at 51, "two" at 67, its value at 70.
        (good().with(3, 16, &[0]), "page 3, byte 3088: element 0: a row that is in no bucket"),
        (good().with(3, 28, &[15]), "page 3, byte 3123: element 0: not the value of a bucket"),
        (good().with(3, 28, &[17]), "page 3, byte 3123: element 0: not the value of a bucket"),
        (good().with(3, 51, &[0]), "page 3, byte 3123: element 0: not the value of a bucket"),
        (
            good().with(3, 51, &[10]),
            "page 3, byte 3123: refers to page 10, but only pages 2 to 9 can be meant",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&file), expected);
    }
    let long = Page::Leaf(vec![(0, vec![b'k'; 32769], vec![])]);
    let file = Craft::new(&[long, Page::buckets(&[("one", 2)])]).with_meta(32, 35);
    assert_eq!(refusal(&file), "page 2, byte 2064: element 0: a key of 32769 bytes");
}

/// A page could otherwise give its bytes again and again, and a file of a megabyte a terabyte of rows.
#[test]
fn elements_that_share_bytes() {
    let mut file = good();
    for (index, position) in [(0, 32_u32), (1, 17)] {
        file.put(5, 16 + index * 16 + 4, &position.to_le_bytes());
        file.put(5, 16 + index * 16 + 12, &900_u32.to_le_bytes());
    }
    file.put(5, 48, b"ab");
    assert_eq!(
        refusal(&file),
        "page 5, byte 5152: element 1: the elements up to here are longer together than the page"
    );
}

#[test]
fn trees_that_are_none() {
    let third_child = |page: u64| good().with(4, 40, &page.to_le_bytes());
    let cases = [
        // A page at two places of a tree, one that is above itself, one in two buckets, and one in the middle of a run.
        (
            third_child(5),
            "page 5, byte 5136: element 0: the key is outside the range that the branches above give to this page",
        ),
        (
            third_child(4),
            "page 4, byte 4112: element 0: the key is outside the range that the branches above give to this page",
        ),
        (
            good().with(4, 24, &[4]),
            "page 4, byte 4144: element 2: the key is outside the range that the branches above give to this page",
        ),
        (good().with(3, 70, &[2]), "page 2, byte 2048: page 2 is referred to more than once"),
        (
            good().with(3, 70, &[3]),
            "page 3, byte 3088: element 0: a bucket within a bucket, which etcd does not have",
        ),
        (good().with(5, 12, &[1]), "page 6, byte 6144: page 6 is referred to more than once"),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&file), expected);
    }
}

/// Only a branch with a single child can be above itself: with more, their ranges get narrower.
#[test]
fn a_branch_above_itself_has_an_end() {
    let mut pages = vec![Page::branch(&[("a", 2)]), Page::buckets(&[("one", 2)])];
    assert_eq!(refusal(&Craft::new(&pages)), "page 2, byte 2048: page 2 is referred to more than once");
    pages.resize(60, Page::Zero);
    let file = Craft::new(&pages);
    let db = Db::open(&file.bytes[..]).unwrap();
    let error = db.bucket(b"one").unwrap().unwrap().rows().unwrap_err();
    assert_eq!(error.to_string(), "page 2, byte 2048: the tree has more than 48 levels");
}

/// Runs over one another: each page of the bucket is the first of a run to the end of the file. What a walk gives stays
/// below the length of the file.
#[test]
fn runs_that_overlap_end_a_walk() {
    let leaves = 40;
    let keys: Vec<String> = (0..leaves).map(|leaf| format!("{leaf:02}")).collect();
    let children: Vec<(&str, u64)> = keys.iter().zip(4..).map(|(key, page)| (&key[..], page)).collect();
    let mut pages = vec![Page::branch(&children), Page::buckets(&[("one", 2)])];
    pages.extend(keys.iter().map(|key| Page::rows(&[key], 10)));
    let mut file = Craft::new(&pages);
    for page in 4..4 + leaves {
        file.put(page, 12, &(4 + leaves - page - 1).to_le_bytes()[..4]);
        let value_bytes = (4 + leaves - page) as usize * PAGE_BYTES - 16 - 16 - 2;
        file.put(page, 28, &(value_bytes as u32).to_le_bytes());
    }
    let db = Db::open(&file.bytes[..]).unwrap();
    let mut rows = db.bucket(b"one").unwrap().unwrap().rows().unwrap();
    let mut bytes = 0;
    let error = loop {
        match rows.next_row() {
            Ok(row) => bytes += row.expect("an error before the end").value.len(),
            Err(error) => break error,
        }
    };
    assert!(bytes <= file.bytes.len(), "{bytes} bytes");
    assert!(matches!(error, Error::Page { reason: Reason::ReachedTwice { .. }, .. }), "{error}");
    assert_eq!(rows.next_row().unwrap(), None, "after an error there are no rows");
}

#[test]
fn a_run_is_not_taken_into_memory_beyond_the_callers_limit() {
    let open = |run_bytes_max| Db::open_with(&good().bytes[..], Options { run_bytes_max }).map(drop);
    open(1024).unwrap();
    let file = good();
    let db = Db::open_with(&file.bytes[..], Options { run_bytes_max: 1024 }).unwrap();
    let bucket = db.bucket(b"two").unwrap().unwrap();
    let error = bucket.rows_from(b"m").unwrap_err();
    assert_eq!(
        error.to_string(),
        "page 6, byte 6144: 2048 bytes in one run of pages; at most 1024 are taken into memory"
    );
    let db = Db::open_with(&file.bytes[..], Options { run_bytes_max: 2048 }).unwrap();
    assert!(db.bucket(b"two").unwrap().unwrap().rows_from(b"m").is_ok());
}

#[test]
fn inline_buckets() {
    let value = |rows: &[(u32, Vec<u8>, Vec<u8>)]| {
        let mut value = [0; 32].to_vec();
        value[24] = 2;
        value[26] = rows.len() as u8;
        value.extend(support::craft::leaf_body(rows));
        value
    };
    let row = |flags, key: &[u8]| (flags, key.to_vec(), b"v".to_vec());
    let file = |value: Vec<u8>| Craft::new(&[Page::Zero, Page::Leaf(vec![(1, b"b".to_vec(), value)])]);
    let good = value(&[row(0, b"k"), row(0, b"l")]);
    assert_eq!(
        support::read(&file(good.clone()).bytes[..]).unwrap(),
        [support::table("b", &[("k", "v"), ("l", "v")])]
    );
    assert_eq!(support::read(&file(value(&[])).bytes[..]).unwrap(), [support::table("b", &[])]);
    let with = |at: usize, byte: u8| {
        let mut value = good.clone();
        value[at] = byte;
        value
    };
    // The value begins at byte 33 of page 3, its image at 49, the elements at 65 and 81, the keys at 97 and 99.
    let cases = [
        (with(16, 1), "page 3, byte 3105: element 0: not the value of a bucket"),
        (with(24, 1), "page 3, byte 3105: element 0: not the value of a bucket"),
        (with(28, 1), "page 3, byte 3105: element 0: not the value of a bucket"),
        (good[..31].to_vec(), "page 3, byte 3105: element 0: not the value of a bucket"),
        (with(26, 9), "page 3, byte 3137: 9 elements do not fit into 52 bytes"),
        (
            value(&[row(1, b"k")]),
            "page 3, byte 3137: element 0: a bucket within a bucket, which etcd does not have",
        ),
        (
            value(&[row(0, b"k"), row(0, b"k")]),
            "page 3, byte 3153: element 1: the key is not above the one before it",
        ),
        (with(44, 200), "page 3, byte 3137: element 0: key and value are not within the page"),
    ];
    for (value, expected) in cases {
        assert_eq!(refusal(&file(value)), expected);
    }
}

#[test]
fn lists_of_free_pages() {
    let cases = [
        (listed().with(9, 24, &[10]), "page 9, byte 9240: free page 10 is not above the one before it"),
        (
            listed().with(9, 16, &[12]),
            "page 9, byte 9232: refers to page 12, but only pages 2 to 11 can be meant",
        ),
        (
            listed().with(9, 16, &[1]),
            "page 9, byte 9232: refers to page 1, but only pages 2 to 11 can be meant",
        ),
        (listed().with(9, 16, &[8]), "page 9, byte 9232: page 8 is free and in use"),
        (listed().with(9, 16, &[9]), "page 9, byte 9232: page 9 is free and in use"),
        (listed().with(9, 10, &[1]), "page 11, byte 11264: the page is neither in use nor free"),
        (listed().with(9, 10, &[0]), "page 10, byte 10240: the page is neither in use nor free"),
        (
            listed().with(9, 10, &[127]),
            "page 9, byte 9216: 127 free pages do not fit into the list's 1024 bytes",
        ),
        (
            listed().with(9, 8, &[2]),
            "page 9, byte 9216: the page has the flags 0x0002, where a list of free pages is needed",
        ),
        (listed().with(9, 0, &[8]), "page 9, byte 9216: the page says that it is page 8"),
        (
            listed().with_meta(48, 8),
            "page 8, byte 8192: the page has the flags 0x0002, where a list of free pages is needed",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refusal(&file), expected);
    }
    // From 65535 pages on the count is the first number of the list.
    let long = |count: u64| {
        let numbers = [count, 10, 11].map(u64::to_le_bytes).concat();
        listed().with(9, 10, &[255, 255]).with(9, 16, &numbers)
    };
    examine(&long(2).bytes).unwrap();
    assert_eq!(refusal(&long(1)), "page 11, byte 11264: the page is neither in use nor free");
    assert_eq!(
        refusal(&long(u64::MAX)),
        "page 9, byte 9216: 18446744073709551615 free pages do not fit into the list's 1024 bytes"
    );
}
