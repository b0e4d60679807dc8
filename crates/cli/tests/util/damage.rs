//! Every file damaged, cut, lost, and swapped with another member's: `verify` says which.

use std::os::unix::fs::FileExt;
use std::path::Path;

use testkit::Random;

use crate::subject::{Subject, program};
use crate::tool::{Found, verify};

fn flip(path: &Path, offset: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x08], offset).unwrap();
}

/// How much of a file holds something.
fn used(path: &Path) -> u64 {
    let content = std::fs::read(path).unwrap();
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Whether bytes at this place may change without a word: see `docs/quorateutl.md`.
fn may_be_silent(path: &Path, offset: u64) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name {
        // Behind the body of the only voter's hard state.
        _ if name.starts_with("hard-state-") => offset >= 20 + 120 + 8,
        // Free pages, what is behind the records of a page, the older commit slot.
        "current.redb" => true,
        // A server from before the marker had a checksum.
        "quorate.json" => !std::fs::read_to_string(path).unwrap().contains("checksum"),
        _ => false,
    }
}

#[test]
fn a_flipped_bit_is_found_where_it_is() {
    let program = testkit::require!("flips", program());
    let subject = Subject::new(&program);
    let mut random = Random::new(1);
    let (mut found_in_database, mut silent) = (0, 0);
    for path in subject.files() {
        let used = used(&path);
        let mut offsets = vec![0, 9, 17, 64, used - 1];
        let more = if path.ends_with("current.redb") { 40 } else { 12 };
        offsets.extend((0..more).map(|_| random.below(used as usize) as u64));
        for offset in offsets {
            flip(&path, offset);
            let found = verify(subject.dir());
            flip(&path, offset);
            let is_header = path.ends_with("current.redb") && offset < 4096;
            let is_named =
                |found: &Found| found.is_near(&path, offset) || (is_header && Path::new(&found.file) == path);
            if found.iter().any(is_named) {
                found_in_database += u64::from(path.ends_with("current.redb"));
                continue;
            }
            assert!(
                found.is_empty() && may_be_silent(&path, offset),
                "{} at {offset}: {found:?}",
                path.display()
            );
            silent += 1;
        }
    }
    assert!(found_in_database > 0, "{silent} silent");
    assert!(verify(subject.dir()).is_empty());
}

#[test]
fn a_file_that_was_cut_or_lost_is_named() {
    let program = testkit::require!("cuts", program());
    let subject = Subject::new(&program);
    for path in subject.files() {
        let content = std::fs::read(&path).unwrap();
        let names_it = |found: &Found| {
            let named = Path::new(&found.file);
            found.is_damage && (named == path || path.parent() == Some(named))
        };
        for len in [0, content.len() / 2, content.len() - 1] {
            std::fs::write(&path, &content[..len]).unwrap();
            let found = verify(subject.dir());
            // What is behind the body of a hard state is not read, and there are two of them.
            let is_whole = path.to_str().unwrap().contains("hard-state") && len > 200;
            assert!(is_whole || found.iter().any(names_it), "{} cut to {len}: {found:?}", path.display());
        }
        std::fs::remove_file(&path).unwrap();
        let found = verify(subject.dir());
        assert!(found.iter().any(names_it), "{} lost: {found:?}", path.display());
        std::fs::write(&path, &content).unwrap();
    }
    assert!(verify(subject.dir()).is_empty());
}

#[test]
fn a_file_of_another_member_is_named() {
    let program = testkit::require!("swaps", program());
    let (subject, other) = (Subject::new(&program), Subject::new(&program));
    for path in subject.files() {
        let content = std::fs::read(&path).unwrap();
        let foreign = other.dir().join(path.strip_prefix(subject.dir()).unwrap());
        std::fs::copy(foreign, &path).unwrap();
        let found = verify(subject.dir());
        // The marker says whose the rest is: with another's marker it is the rest that is another's.
        let is_marker = path.ends_with("quorate.json");
        let is_said = |found: &Found| {
            found.is_damage
                && found.what.contains("belongs to")
                && (is_marker || Path::new(&found.file) == path)
        };
        assert!(found.iter().any(is_said), "{}: {found:?}", path.display());
        std::fs::write(&path, &content).unwrap();
    }
}

#[test]
fn several_damages_are_said_at_once() {
    let program = testkit::require!("several", program());
    let subject = Subject::new(&program);
    let damaged: Vec<_> =
        subject.files().into_iter().filter(|path| !path.ends_with("current.redb")).collect();
    for path in &damaged {
        flip(path, 40);
    }
    let found = verify(subject.dir());
    for path in &damaged {
        assert!(found.iter().any(|found| Path::new(&found.file) == path), "{}: {found:?}", path.display());
    }
}

#[test]
fn a_file_that_is_not_a_members_is_a_note() {
    let program = testkit::require!("strays", program());
    let subject = Subject::new(&program);
    let member = subject.dir().join("member");
    std::fs::write(member.join("mine.txt"), "notes").unwrap();
    std::fs::create_dir(member.join("incoming-3")).unwrap();
    let mut notes: Vec<String> = verify(subject.dir()).into_iter().map(|found| found.what).collect();
    notes.sort();
    assert_eq!(notes, ["no file of a member", "what an interrupted transfer of a snapshot has left"]);
}
