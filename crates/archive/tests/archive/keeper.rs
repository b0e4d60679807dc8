//! What is written when, by whom, and what of it is kept.

use std::rc::Rc;
use std::time::Duration;

use archive::{ArchiveError, Event, Keep, Wanted, overview};

use crate::support::{CLUSTER, Run, START, World, assert_is, directory, extracted, open, settings};

#[test]
fn a_full_backup_at_once_and_then_pieces() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::new(&world, &address);
    let events = run.second();
    assert!(
        matches!(events, [Event::Began { after: None, .. }, Event::Full { revision: 2, .. }]),
        "{events:?}"
    );
    assert!(run.seconds(30).is_empty(), "nothing has changed");
    world.borrow_mut().put("a", "2");
    world.borrow_mut().put("b", "3");
    let events = run.second();
    assert!(matches!(events, [Event::Piece { revision: 4, .. }]), "{events:?}");
    world.borrow_mut().put("c", "4");
    assert!(run.seconds(9).is_empty(), "one piece every ten seconds");
    assert_eq!(run.second().len(), 1);
    run.seconds(100);
    assert_eq!(run.fulls(), 2, "one full backup every 100 s");
    let store = open(&address);
    for revision in 2..=5 {
        assert_is(&world.borrow(), &*store, revision);
    }
    let overview = overview(&*store, None).unwrap();
    assert_eq!((overview.cluster, overview.catalogue.fulls.len()), (CLUSTER, 2));
    assert_eq!(overview.ranges.len(), 1);
}

#[test]
fn whoever_leads_next_goes_on_from_what_is_there() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    let mut first = Run::new(&world, &address);
    world.borrow_mut().put("a", "1");
    first.second();
    world.borrow_mut().put("a", "2");
    first.seconds(10);
    first.leads.set(false);
    world.borrow_mut().put("a", "3");
    assert!(first.seconds(50).is_empty(), "it does not lead");
    world.borrow_mut().term += 1;
    let mut second = Run::new(&world, &address);
    second.now = first.now;
    let events = second.seconds(12);
    assert!(
        matches!(events, [Event::Began { after: Some(3), .. }, Event::Piece { revision: 4, .. }]),
        "{events:?}"
    );
    second.seconds(40);
    assert_eq!(second.fulls(), 1, "100 s after the first one");
    first.leads.set(true);
    first.now = second.now;
    let events = first.seconds(5);
    assert!(matches!(events, [Event::Began { after: Some(4), .. }]), "{events:?}");
    (2..=4).for_each(|revision| drop(assert_is(&world.borrow(), &*open(&address), revision)));
}

#[test]
fn a_clock_that_was_ahead_puts_nothing_off() {
    const AHEAD: u64 = 6 * 3_600_000;
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    let mut run = Run::new(&world, &address);
    run.now += AHEAD;
    world.borrow_mut().put("a", "0");
    run.seconds(10);
    assert_eq!(run.fulls(), 1);
    run.now -= AHEAD;
    world.borrow_mut().put("a", "1");
    let events = run.seconds(30);
    assert!(events.iter().any(|event| matches!(event, Event::Piece { revision: 3, .. })), "{events:?}");
}

/// A cluster that follows another one, and loads it anew, has another history under the same leader.
#[test]
fn who_has_another_store_begins_anew() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    let mut run = Run::new(&world, &address);
    world.borrow_mut().put("a", "0");
    run.seconds(10);
    world.borrow_mut().store += 1;
    let events = run.seconds(5);
    assert!(events.iter().any(|event| matches!(event, Event::Began { .. })), "{events:?}");
}

#[test]
fn two_that_both_believe_that_they_lead_disturb_nobody() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "0");
    let (mut one, mut other) = (Run::new(&world, &address), Run::new(&world, &address));
    for number in 0..150 {
        world.borrow_mut().put("k", &number.to_string());
        one.second();
        if number % 3 == 0 {
            other.now = one.now;
            other.second();
        }
    }
    one.seconds(10);
    one.assert_well();
    other.assert_well();
    assert!(one.fulls() >= 2 && other.fulls() >= 1);
    let store = open(&address);
    let overview = overview(&*store, None).unwrap();
    let first = overview.catalogue.fulls.first().unwrap().0.revision;
    let last = world.borrow().revision();
    for revision in (first..=last).step_by(7).chain([last]) {
        assert_is(&world.borrow(), &*store, revision);
    }
    assert!(archive::survey(&*store, &overview, |_| {}).unwrap().findings.is_empty());
}

#[test]
fn compaction_takes_nothing_that_was_not_shipped_while_the_member_leads() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::new(&world, &address);
    run.second();
    for number in 0..50 {
        world.borrow_mut().put("a", &number.to_string());
    }
    let newest = world.borrow().revision();
    world.borrow_mut().compact(newest);
    let events = run.seconds(10);
    assert!(matches!(events, [Event::Piece { .. }]), "{events:?}");
    let store = open(&address);
    (2..=newest).for_each(|revision| drop(assert_is(&world.borrow(), &*store, revision)));
}

#[test]
fn where_compaction_was_faster_a_full_backup_is_made_at_once_and_the_gap_is_known() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut first = Run::new(&world, &address);
    first.second();
    drop(first);
    // Nobody leads meanwhile.
    (0..5).for_each(|_| {
        world.borrow_mut().put("a", "x");
    });
    let newest = world.borrow().revision();
    world.borrow_mut().compact(newest);
    let mut second = Run::new(&world, &address);
    second.now = START + 60_000;
    let events = second.seconds(2);
    assert!(
        matches!(events, [Event::Began { after: None, .. }, Event::Full { revision: 7, .. }]),
        "{events:?}"
    );
    let store = open(&address);
    let error = extracted(&*store, Wanted::Revision(4)).unwrap_err();
    assert!(matches!(error, ArchiveError::Gap { missing: 3, next: 7, newest: 2, .. }), "{error}");
    for revision in [2, 7] {
        assert_is(&world.borrow(), &*store, revision);
    }
    assert_eq!(overview(&*store, None).unwrap().ranges.len(), 2);
}

#[test]
fn what_cannot_be_shipped_for_long_is_let_go_and_that_is_said() {
    let place = tempfile::tempdir().unwrap();
    let s3 = testkit::s3::S3::start();
    let (address, options) = crate::store::s3_address(&s3, place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let settings = archive::Settings { interval: Duration::from_secs(100_000), ..settings() };
    let mut run = Run::with(&world, &address, &options, settings, START);
    run.second();
    world.borrow_mut().put("a", "2");
    s3.fail(testkit::s3::Fault::Status(403), "piece-", usize::MAX);
    run.seconds(3_000);
    world.borrow_mut().compact(3);
    assert_eq!(run.count(|event| matches!(event, Event::Cut { .. })), 0, "it is kept");
    run.seconds(1_500);
    world.borrow_mut().put("a", "3");
    world.borrow_mut().compact(4);
    s3.heal();
    run.seconds(600);
    assert_eq!(run.count(|event| matches!(event, Event::Cut { after: 2 })), 1, "{:?}", run.events);
    assert_eq!(run.fulls(), 2);
    assert!(run.count(|event| matches!(event, Event::Failed { .. })) < 40, "pauses grow");
}

#[test]
fn a_cluster_that_was_restored_and_went_another_way_begins_a_history_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    // A restore begins a log anew.
    let lives = [World::after(1_000, 3), World::after(1, 1)];
    for world in &lives {
        (0..5).for_each(|number| {
            world.borrow_mut().put("same", &number.to_string());
        });
    }
    let [old, new] = &lives;
    let mut first = Run::new(old, &address);
    first.second();
    (0..5).for_each(|number| {
        old.borrow_mut().put("old", &number.to_string());
    });
    first.seconds(10);
    // Restored to revision 6, and then more was written than the old one ever had.
    (0..20).for_each(|number| {
        new.borrow_mut().put("new", &number.to_string());
    });
    let mut second = Run::new(new, &address);
    second.now = first.now + 1_000;
    let events = second.second();
    assert!(
        matches!(events, [Event::Began { after: None, .. }, Event::Full { revision: 26, .. }]),
        "{events:?}"
    );
    new.borrow_mut().put("new", "last");
    second.seconds(10);
    let store = open(&address);
    for revision in 6..=11 {
        assert_is(&old.borrow(), &*store, revision);
    }
    for revision in 26..=27 {
        assert_is(&new.borrow(), &*store, revision);
    }
    assert_eq!(overview(&*store, None).unwrap().ranges.len(), 2);
}

#[test]
fn old_backups_go_and_what_is_not_ours_stays() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::new(&world, &address);
    run.second();
    let notes = place.path().join("00000000000000c1/notes.txt");
    std::fs::write(&notes, "mine").unwrap();
    for number in 0..60 {
        world.borrow_mut().put("a", &number.to_string());
        run.seconds(10);
    }
    run.assert_well();
    let store = open(&address);
    let overview = overview(&*store, None).unwrap();
    assert_eq!(overview.catalogue.fulls.len(), 2);
    let oldest = overview.catalogue.fulls[0].0.revision;
    assert!(overview.catalogue.pieces.iter().all(|(piece, _)| piece.to > oldest));
    for revision in oldest..=world.borrow().revision() {
        assert_is(&world.borrow(), &*store, revision);
    }
    assert!(matches!(extracted(&*store, Wanted::Revision(oldest - 1)), Err(ArchiveError::TooOld { .. })));
    assert_eq!(std::fs::read_to_string(notes).unwrap(), "mine");
}

#[test]
fn without_pieces_there_are_full_backups_only_and_nothing_is_kept_from_compaction() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    let settings = archive::Settings { piece_interval: None, keep: Keep::Count(9), ..settings() };
    let mut run = Run::with(&world, &address, &archive::S3Options::default(), settings, START);
    for _ in 0..3 {
        world.borrow_mut().put("a", "1");
        run.seconds(100);
    }
    assert_eq!((run.fulls(), run.count(|event| matches!(event, Event::Piece { .. }))), (3, 0));
}

#[test]
fn writes_while_a_full_backup_is_made_are_in_the_next_piece() {
    let place = tempfile::tempdir().unwrap();
    let address = directory(place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::new(&world, &address);
    run.second();
    run.seconds(98);
    // The next state that is frozen is that of the second full backup.
    let busy = Rc::clone(&world);
    *run.after_freeze.borrow_mut() = Some(Box::new(move || {
        (0..20).for_each(|number| {
            busy.borrow_mut().put("b", &number.to_string());
        });
    }));
    run.seconds(2);
    let newest = world.borrow().revision();
    world.borrow_mut().compact(newest);
    run.seconds(20);
    run.assert_well();
    assert_eq!((run.fulls(), run.count(|event| matches!(event, Event::Cut { .. }))), (2, 0));
    (2..=newest).for_each(|revision| drop(assert_is(&world.borrow(), &*open(&address), revision)));
}
