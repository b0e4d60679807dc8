//! A file in which one bit is not what it was, wherever it is: refused with a reason, or restored to a state that is whole;
//! never a panic, and never a directory that is half made.
//!
//! `QUORATE_TEST_BUDGET=20` flips 10,000 bits.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

#[allow(dead_code, reason = "the other tests use more of it")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backup::restore::{Founding, Options, Progress, Target, restore_file};
use datadir::url::{parse_cluster, parse_list};
use datadir::{Layout, Origin};
use dbfile::etcd::{MetaRows, RevisionKey};
use machine::Machine;
use mvcc::Store;
use support::{Change, Row, file, history, lease};
use testkit::Random;
use wal::OsDisk;

/// Bits that are flipped for each unit of the budget.
const FLIPS: usize = 500;

const PAGE_BYTES: usize = 4096;

/// Kinds of pages that the file has, as its headers name them: branch, leaf, meta, list of free pages.
const KINDS: [u16; 4] = [0x01, 0x02, 0x04, 0x10];

/// What is flipped in a page that has no header of its own: it belongs to the page before it.
const OVERFLOW: u16 = 0;

fn flips() -> usize {
    let budget = std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok());
    FLIPS * budget.unwrap_or(1)
}

fn origin() -> Origin {
    let founding = Founding {
        name: "a".to_owned(),
        members: parse_cluster("a=http://127.0.0.1:1").unwrap(),
        token: "t".to_owned(),
        advertised: parse_list("http://127.0.0.1:1").unwrap(),
    };
    founding.origin().unwrap()
}

/// A file of some pages of every kind; one of its values needs several.
fn subject() -> Vec<u8> {
    let mut changes = history(&mut Random::new(3), 60, 20);
    let text = vec![b'v'; 3 * PAGE_BYTES];
    let key = b"long".to_vec();
    let put = dbfile::etcd::KeyValue {
        key: &key,
        create_revision: 61,
        mod_revision: 61,
        version: 1,
        value: &text,
        lease: 0,
    };
    let value = put.encoded();
    changes.push(Change { revision: RevisionKey::put(61, 0), key, value });
    let rows: Vec<Row> = changes.iter().map(Change::row).collect();
    file(&rows, &MetaRows::default(), &[(dbfile::etcd::bucket::LEASE, vec![lease()])])
}

/// The kind of the page that a byte is in.
fn kind_at(file: &[u8], place: usize) -> u16 {
    let page = place / PAGE_BYTES;
    let header = &file[page * PAGE_BYTES..][..16];
    let is_own = header[..8] == (page as u64).to_le_bytes();
    if is_own { u16::from_le_bytes([header[8], header[9]]) } else { OVERFLOW }
}

/// Opens what was restored, whose parts must agree with each other.
fn open(layout: &Layout) {
    let options = mvcc::Options { identity: origin().identity.numbers(), ..mvcc::Options::default() };
    let store = Store::open(Arc::new(OsDisk), &layout.store(), options).unwrap();
    store.check_invariants();
    let machine = Machine::open(store).unwrap();
    assert_eq!(machine::inspect::contradictions(&machine), [""; 0]);
}

#[test]
fn a_flipped_bit_is_refused_or_restored_whole() {
    let whole = subject();
    let content = whole.len() - dbfile::DIGEST_BYTES;
    // In memory if the system has a place for that: what is written is looked at and thrown away.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let (path, target) =
        (dir.path().join("backup.db"), Target { data_dir: dir.path().join("data"), wal_dir: None });
    let restore = |bytes: &[u8], skip_hash_check: bool| {
        std::fs::write(&path, bytes).unwrap();
        let options = Options { skip_hash_check, ..Options::default() };
        restore_file(&path, &origin(), &target, options, &mut Progress::none())
    };
    let mut random = Random::new(17);
    let (mut by_kind, mut refused) = (BTreeMap::<u16, usize>::new(), 0);
    for number in 0..flips() {
        let place = random.below(content);
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << random.below(8);
        *by_kind.entry(kind_at(&whole, place)).or_default() += 1;
        if number % 50 == 0 {
            let error = restore(&damaged, false).unwrap_err().to_string();
            assert!(error.starts_with("expected sha256 ["), "at {place}: {error}");
        }
        match restore(&damaged, true) {
            Ok(_) => {
                open(&Layout::of(&target.data_dir));
                std::fs::remove_dir_all(&target.data_dir).unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty() && !target.data_dir.exists(), "at {place}: {error}");
            }
        }
    }
    for kind in KINDS.into_iter().chain([OVERFLOW]) {
        assert!(by_kind.get(&kind).is_some_and(|flips| *flips >= 10), "kind {kind:#x}: {by_kind:?}");
    }
    // Most bits are of values, about which nothing but the digest knows.
    assert!(refused >= flips() / 20, "only {refused} were refused");
}
