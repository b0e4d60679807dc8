//! Bits flipped, files cut, files without an end: never a panic, and what is refused is refused with a page.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use std::collections::BTreeMap;
use std::io;

use dbfile::etcd::{EtcdError, hash_kv, status};
use dbfile::{Db, Error, PageSize, ReadAt, Reason, Verdict};
use support::craft::{Craft, Page};
use support::{number, write};
use testkit::Random;

const ETCD_3_4: &[u8] = include_bytes!("data/etcd-3.4.23.backup");
const ETCD_3_7: &[u8] = include_bytes!("data/etcd-3.7.1.backup");

/// Flips in each file, unless `QUORATE_TEST_BUDGET` says how many times as many.
const FLIPS: usize = 2500;

/// Rows by page.
type ByPage = BTreeMap<u64, Vec<(Vec<u8>, Vec<u8>)>>;

/// Files that have, together, every kind of page.
fn files() -> Vec<Vec<u8>> {
    let long = |row: u64| if row.is_multiple_of(50) { 3000 } else { 20 };
    let rows = (0..200).map(|row| (number(row), vec![row as u8; long(row)])).collect();
    let written = write(PageSize::new(1024).unwrap(), &vec![(b"key".to_vec(), rows)]).unwrap();
    let listed = Craft::new(&[
        Page::FreeList(vec![6, 7, 8]),
        Page::buckets(&[("a", 4), ("b", 5)]),
        Page::rows(&["k", "l"], 100),
        Page::rows(&["k", "l", "m"], 50),
        Page::Zero,
        Page::Zero,
        Page::Zero,
    ]);
    vec![ETCD_3_4.to_vec(), ETCD_3_7.to_vec(), written, listed.with_meta(48, 2).bytes]
}

fn rows_by_page(file: &[u8]) -> Result<ByPage, Error> {
    let db = Db::open(file)?;
    db.check()?;
    let mut pages = ByPage::new();
    for bucket in db.buckets()? {
        let mut rows = bucket?.rows()?;
        while let Some(row) = rows.next_row()? {
            pages.entry(row.page.0).or_default().push((row.key.to_vec(), row.value.to_vec()));
        }
    }
    Ok(pages)
}

/// Looks for what a file has in every way there is. Errors of the file have a place in it.
fn examine(file: &[u8]) -> Result<ByPage, Error> {
    let located = |error: &Error| match error {
        Error::Page { offset, .. } => assert!(*offset <= file.len() as u64, "{error}"),
        error => panic!("the source can be read: {error}"),
    };
    let found = rows_by_page(file);
    found.as_ref().err().into_iter().for_each(located);
    if let Ok(db) = Db::open(file) {
        for error in [status(&db).err(), hash_kv(&db, 0).err(), hash_kv(&db, 12).err()] {
            if let Some(EtcdError::File(error)) = error {
                located(&error);
            }
        }
    }
    found
}

/// No page but a root has a checksum, so a flipped bit may go unnoticed. Then it is in the rows of its page, and in no
/// others.
#[test]
fn flipped_bits_are_refused_or_stay_in_their_page() {
    let budget =
        std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok()).unwrap_or(1);
    for (seed, file) in files().into_iter().enumerate() {
        let intact = examine(&file).unwrap();
        let page_bytes = Db::open(&file[..]).unwrap().meta().page_size.bytes() as usize;
        let mut random = Random::new(seed as u64);
        let mut refused = 0;
        for _ in 0..FLIPS * budget {
            // Half of all flips are in the first bytes of a page, where its numbers are.
            let page = random.below(file.len() / page_bytes);
            let within = if random.draw().is_multiple_of(2) { 128 } else { page_bytes };
            let (byte, bit) = (page * page_bytes + random.below(within), random.below(8));
            let mut flipped = file.clone();
            flipped[byte] ^= 1 << bit;
            match examine(&flipped) {
                Err(_) => refused += 1,
                Ok(found) if intact.contains_key(&(page as u64)) => {
                    for (other, rows) in intact.iter().filter(|(other, _)| **other != page as u64) {
                        assert_eq!(found.get(other), Some(rows), "bit {bit} of byte {byte}");
                    }
                }
                Ok(_) => {}
            }
        }
        assert!(refused > FLIPS / 10, "file {seed}: {refused} of {FLIPS} refused");
    }
}

#[test]
fn a_digest_finds_every_flipped_bit() {
    let mut random = Random::new(7);
    for file in [ETCD_3_4, ETCD_3_7] {
        assert!(matches!(dbfile::verify(file), Ok(Verdict::Right(_))));
        for _ in 0..50 {
            let mut flipped = file.to_vec();
            flipped[random.below(file.len())] ^= 1 << random.below(8);
            assert!(matches!(dbfile::verify(&flipped[..]), Ok(Verdict::Wrong { .. })));
        }
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let tables = vec![support::table("key", &[("a", "1"), ("b", "2")]), support::table("meta", &[])];
    let file = write(PageSize::new(1024).unwrap(), &tables).unwrap();
    let pages_end = file.len() - dbfile::DIGEST_BYTES;
    for bytes in 0..pages_end {
        match rows_by_page(&file[..bytes]) {
            Err(Error::Page { page, .. }) => assert_eq!(page.0, 0, "{bytes} bytes"),
            other => panic!("{bytes} bytes: {other:?}"),
        }
    }
    for bytes in pages_end..file.len() {
        assert!(
            rows_by_page(&file[..bytes]).is_ok(),
            "{bytes} bytes: what is after the pages is not looked at"
        );
    }
}

/// A file of exabytes, made of a few pages and what `fill` puts into all others.
struct Endless<F> {
    front: Vec<u8>,
    fill: F,
}

impl<F: Fn(u64) -> Vec<u8>> ReadAt for Endless<F> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        for (place, byte) in (offset..).zip(buffer) {
            *byte = match self.front.get(place as usize) {
                Some(byte) => *byte,
                None => *(self.fill)(place / 1024).get(place as usize % 1024).unwrap_or(&0),
            };
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(u64::MAX - 1023)
    }
}

fn endless<F: Fn(u64) -> Vec<u8>>(front: &[Page], fill: F) -> Endless<F> {
    let front = Craft::new(front).with_meta(56, (u64::MAX >> 10) - 1).bytes;
    Endless { front, fill }
}

/// The error of a check.
fn fault(source: impl ReadAt) -> Reason {
    match Db::open(source).and_then(|db| db.check()) {
        Err(Error::Page { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_without_an_end_is_refused_or_read_as_far_as_it_is_used() {
    // Nothing but zeros.
    let zeros = Endless { front: Vec::new(), fill: |_| Vec::new() };
    assert_eq!(fault(&zeros), Reason::Magic { found: 0 });
    // A root that is right, and free pages without end.
    let sparse = endless(&[Page::Zero, Page::buckets(&[("b", 4)]), Page::rows(&["k"], 3)], |_| Vec::new());
    let census = Db::open(&sparse).unwrap().check().unwrap();
    assert_eq!((census.rows, census.pages_in_use), (1, 4));
    // Branches that go down for ever.
    let deeper = endless(&[Page::Zero, Page::buckets(&[("b", 4)])], |page| {
        let mut branch = Craft::new(&[Page::branch(&[("k", page + 1)])]).page(2).to_vec();
        branch[..8].copy_from_slice(&page.to_le_bytes());
        branch
    });
    assert_eq!(fault(&deeper), Reason::Depth { max: 48 });
    // A leaf of 4 TiB, and one with a value of 2 GiB.
    for overflow in [u32::MAX, 1 << 21] {
        let mut long =
            endless(&[Page::Zero, Page::buckets(&[("b", 4)]), Page::rows(&["k"], 3)], |_| Vec::new());
        long.front[4 * 1024 + 12..][..4].copy_from_slice(&overflow.to_le_bytes());
        long.front[4 * 1024 + 28..][..4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        assert!(matches!(fault(&long), Reason::RunTooLong { max: 67_108_864, .. }));
    }
    // A list of free pages that goes on for 4 TiB.
    let mut listed = endless(&[Page::FreeList(vec![]), Page::buckets(&[])], |_| Vec::new());
    let mut craft = Craft { bytes: std::mem::take(&mut listed.front) };
    craft.put(2, 10, &[255; 6]);
    craft.put(2, 16, &(1_u64 << 38).to_le_bytes());
    listed.front = craft.with_meta(48, 2).bytes;
    assert!(matches!(fault(&listed), Reason::TooScattered));
    // One with more pages than the list has place for.
    listed.front[2 * 1024 + 12..][..4].copy_from_slice(&[1, 0, 0, 0]);
    assert!(matches!(fault(&listed), Reason::FreeCount { .. }));
}

#[test]
fn a_file_with_a_hole_of_terabytes_is_read_at_once() {
    let file = tempfile::tempfile().unwrap();
    let front = Craft::new(&[Page::Zero, Page::buckets(&[("b", 4)]), Page::rows(&["k"], 3)]);
    let pages = 1_u64 << 32;
    std::os::unix::fs::FileExt::write_all_at(&file, &front.with_meta(56, pages).bytes, 0).unwrap();
    file.set_len(pages * 1024).unwrap();
    let census = Db::open(&file).unwrap().check().unwrap();
    assert_eq!((census.rows, census.pages_free), (1, pages - 4));
}

#[test]
fn what_is_no_file_of_bytes_is_too_short() {
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    assert_eq!(fault(&zeros), Reason::TooShort { bytes: 0 });
}
