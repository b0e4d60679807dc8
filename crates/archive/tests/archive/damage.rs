//! Objects that are missing or damaged: named, and nothing is made of them.

use std::path::{Path, PathBuf};

use archive::{ArchiveError, Wanted, overview, survey};

use crate::support::{Run, World, assert_is, directory, extracted, open};

/// An archive with a full backup of revision 2 and pieces of 3 to 4, 5 to 6, 7 to 8.
fn archive() -> (tempfile::TempDir, std::rc::Rc<std::cell::RefCell<World>>) {
    let place = tempfile::tempdir().unwrap();
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::new(&world, &directory(place.path()));
    run.second();
    for _ in 0..3 {
        world.borrow_mut().put("a", "2");
        world.borrow_mut().put("b", "2");
        run.seconds(10);
    }
    run.assert_well();
    (place, world)
}

fn object(place: &Path, part: &str) -> PathBuf {
    let files = std::fs::read_dir(place.join("00000000000000c1")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().contains(part)).unwrap()
}

const SECOND_PIECE: &str = "piece-00000000000000000005";

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_missing_piece_is_a_gap_with_both_its_ends() {
    let (place, world) = archive();
    std::fs::remove_file(object(place.path(), SECOND_PIECE)).unwrap();
    let store = open(&directory(place.path()));
    let error = extracted(&*store, Wanted::Revision(7)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the changes from revision 5 on are missing, and there are some from 7 on; the newest revision before \
         revision 7 that can be restored is 4"
    );
    assert_is(&world.borrow(), &*store, 4);
}

#[test]
fn a_damaged_piece_is_named_and_what_can_be_had_without_it() {
    let (place, world) = archive();
    let piece = object(place.path(), SECOND_PIECE);
    flip(&piece);
    let store = open(&directory(place.path()));
    let error = extracted(&*store, Wanted::Revision(8)).unwrap_err();
    let name = piece.file_name().unwrap().to_str().unwrap();
    assert!(
        matches!(&error, ArchiveError::Damaged { name: named, newest: Some(4), .. } if named == name),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("the newest revision that can be restored without it is 4"),
        "{error}"
    );
    assert_is(&world.borrow(), &*store, 4);
    // What is newest is not silently something older.
    for wanted in [Wanted::Newest, Wanted::Time(u64::MAX)] {
        let error = extracted(&*store, wanted).unwrap_err();
        assert!(matches!(&error, ArchiveError::Damaged { newest: Some(4), .. }), "{error}");
    }
    let overview = overview(&*store, None).unwrap();
    let findings = survey(&*store, &overview, |_| {}).unwrap().findings;
    assert_eq!(findings.iter().map(|finding| &*finding.name).collect::<Vec<_>>(), [name]);
}

#[test]
fn a_damaged_piece_does_no_harm_where_another_has_the_same_revisions() {
    let (place, world) = archive();
    // Another member has written the same, and its piece is longer.
    let piece = object(place.path(), SECOND_PIECE);
    let name = piece.file_name().unwrap().to_str().unwrap();
    let twin = piece.with_file_name(format!("{}ffffffff.piece", &name[..name.len() - 14]));
    std::fs::copy(&piece, &twin).unwrap();
    let store = open(&directory(place.path()));
    for damaged in [&piece, &twin] {
        let good = std::fs::read(damaged).unwrap();
        flip(damaged);
        assert_is(&world.borrow(), &*store, 8);
        std::fs::write(damaged, good).unwrap();
    }
}

#[test]
fn a_piece_under_the_name_of_another_is_not_taken_for_it() {
    let (place, _) = archive();
    let (second, third) =
        (object(place.path(), SECOND_PIECE), object(place.path(), "piece-00000000000000000007"));
    std::fs::copy(&third, &second).unwrap();
    let store = open(&directory(place.path()));
    let error = extracted(&*store, Wanted::Revision(8)).unwrap_err();
    assert!(error.to_string().contains("it is not the piece that its name says"), "{error}");
}

#[test]
fn a_full_backup_that_is_damaged_is_not_restored_from() {
    let (place, _) = archive();
    let full = object(place.path(), ".db");
    let store = open(&directory(place.path()));
    let good = std::fs::read(&full).unwrap();
    let said = || extracted(&*store, Wanted::Newest).unwrap_err().to_string();
    flip(&full);
    assert!(
        said().contains("its SHA-256 is") && said().ends_with("nothing can be restored without it"),
        "{}",
        said()
    );
    std::fs::write(&full, &good[..good.len() - 1]).unwrap();
    assert!(said().contains("bytes and had"), "{}", said());
    std::fs::write(&full, &good).unwrap();
    std::fs::write(object(place.path(), ".json"), b"{}").unwrap();
    assert!(said().contains("missing field"), "{}", said());
}

/// An older full backup takes the place of a newer one that is damaged.
#[test]
fn the_full_backup_before_is_as_good() {
    let (place, world) = archive();
    let mut run = Run::new(&world, &directory(place.path()));
    run.now += 200_000;
    run.seconds(2);
    run.assert_well();
    let store = open(&directory(place.path()));
    flip(&object(place.path(), "full-00000000000000000008"));
    let (_, extracted) = extracted(&*store, Wanted::Revision(8)).unwrap();
    assert_eq!((extracted.plan.full.revision, extracted.damaged.len()), (2, 1));
    assert_is(&world.borrow(), &*store, 8);
}
