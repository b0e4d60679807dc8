//! Restoring a time, leases, users, and compactions as of a moment.

use archive::{Keep, Wanted};
use dbfile::Db;
use dbfile::etcd::{MetaRows, bucket};
use proptest::prelude::*;

use crate::support::{Run, START, World, assert_is, directory, extracted, open, settings};

fn rows(file: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
    let db = Db::open(file).unwrap();
    let Some(bucket) = db.bucket(name).unwrap() else { return Vec::new() };
    let (mut rows, mut keys) = (bucket.rows().unwrap(), Vec::new());
    while let Some(row) = rows.next_row().unwrap() {
        keys.push(row.key.to_vec());
    }
    keys
}

#[test]
fn a_time_gives_what_was_there_and_nothing_that_came_later() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    let mut run = Run::new(&world, &address);
    let mut newest_at = Vec::new();
    for second in 0..25 {
        if second % 2 == 0 {
            world.borrow_mut().put("a", &second.to_string());
            world.borrow_mut().put("b", &second.to_string());
        }
        run.second();
        newest_at.push((run.now, world.borrow().revision()));
    }
    run.seconds(10);
    let store = open(&address);
    for (time, revision) in newest_at {
        for moment in [time, time + 999] {
            let (_, extracted) = extracted(&*store, Wanted::Time(moment)).unwrap();
            assert_eq!(extracted.revision, revision, "at {}", moment - START);
        }
    }
    assert!(extracted(&*store, Wanted::Time(START)).is_err());
}

#[test]
fn leases_and_users_are_those_of_the_last_piece_before_and_keys_keep_their_leases() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::new(&world, &address);
    run.second();
    world.borrow_mut().role("early");
    world.borrow_mut().put("a", "2");
    run.seconds(10);
    // In one piece: a lease, a key of it, a role.
    world.borrow_mut().grant(7);
    let leased = world.borrow_mut().put_leased("b", "3", 7);
    world.borrow_mut().role("late");
    let last = world.borrow_mut().put("c", "4");
    run.seconds(10);
    let store = open(&address);
    let of = |revision| extracted(&*store, Wanted::Revision(revision)).unwrap().0;
    assert_eq!(rows(&of(2), bucket::AUTH_ROLES), [b""; 0]);
    assert_eq!(rows(&of(3), bucket::AUTH_ROLES), [b"early"]);
    let middle = of(leased);
    assert_eq!(rows(&middle, bucket::AUTH_ROLES), [b"early"]);
    assert_eq!(rows(&middle, bucket::LEASE).len(), 1, "a key is attached to it");
    assert_eq!(rows(&of(last), bucket::AUTH_ROLES), [&b"early"[..], b"late"]);
}

#[test]
fn a_compaction_after_the_full_backup_is_in_what_is_restored() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    (0..10).for_each(|number| {
        world.borrow_mut().put("a", &number.to_string());
    });
    let mut run = Run::new(&world, &address);
    run.second();
    (0..5).for_each(|number| {
        world.borrow_mut().put("b", &number.to_string());
    });
    world.borrow_mut().compact(8);
    run.seconds(10);
    world.borrow_mut().delete("a");
    run.seconds(10);
    let store = open(&address);
    let compacted = |revision| {
        let file = assert_is(&world.borrow(), &*store, revision);
        MetaRows::read(&Db::open(&file[..]).unwrap()).unwrap().compact_revision()
    };
    assert_eq!(compacted(11), None, "as of the full backup");
    assert_eq!(compacted(17), Some(8));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Compact(u8),
    Store,
    Seconds(u8),
    /// Another member leads.
    Change,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..9_u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..9_u8).prop_map(Step::Delete),
        1 => (0..30_u8).prop_map(Step::Compact),
        1 => Just(Step::Store),
        4 => (1..25_u8).prop_map(Step::Seconds),
        1 => Just(Step::Change),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_revision_that_is_said_to_be_restorable_is_what_the_cluster_had(steps in steps()) {
        let place = tempfile::tempdir().unwrap();
        let address = directory(place.path());
        let world = World::new();
        let settings = || archive::Settings { keep: Keep::Count(3), ..settings() };
        let none = archive::S3Options::default();
        let mut run = Run::with(&world, &address, &none, settings(), START);
        for step in &steps {
            match step {
                Step::Put(key, value) => drop(world.borrow_mut().put(&format!("k{key}"), &"v".repeat(usize::from(*value)))),
                Step::Delete(key) => world.borrow_mut().delete(&format!("k{key}")),
                Step::Compact(back) => {
                    let revision = world.borrow().revision() - i64::from(*back);
                    world.borrow_mut().compact(revision);
                }
                Step::Store => world.borrow_mut().store(),
                Step::Seconds(seconds) => drop(run.seconds((*seconds).into()).len()),
                Step::Change => {
                    run.assert_well();
                    world.borrow_mut().term += 1;
                    run = Run::with(&world, &address, &none, settings(), run.now);
                }
            }
        }
        run.seconds(11);
        run.assert_well();
        let store = open(&address);
        for range in archive::overview(&*store, None).unwrap().ranges {
            for revision in range.full.revision..=range.to {
                assert_is(&world.borrow(), &*store, revision);
            }
        }
    }
}
