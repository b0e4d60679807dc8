//! What is chosen from lists that are written down here, and from lists of every other kind.

use proptest::prelude::*;

use super::*;

/// The chain of a revision of a history: different histories have different ones after they parted.
fn chain(history: u64, revision: i64) -> Short {
    history << 32 | revision as u64
}

fn full(revision: i64, time: Millis) -> FullName {
    FullName { revision, time, chain: chain(0, revision), tag: 0 }
}

fn piece(from: i64, to: i64, time: Millis) -> PieceName {
    PieceName { from, to, time, before: chain(0, from - 1), after: chain(0, to), tag: 0 }
}

fn catalogue(fulls: &[FullName], pieces: &[PieceName]) -> Catalogue {
    let listed = |name: String| Listed { name, bytes: 1 };
    let files = fulls.iter().flat_map(|full| [full.to_string(), full.manifest()]);
    let listed: Vec<Listed> = files.chain(pieces.iter().map(ToString::to_string)).map(listed).collect();
    Catalogue::of(&listed)
}

fn ranges(plan: &Plan) -> (i64, Vec<(i64, i64)>) {
    (plan.full.revision, plan.pieces.iter().map(|piece| (piece.from, piece.to)).collect())
}

#[test]
fn the_newest_full_backup_before_and_the_pieces_after_it() {
    let fulls = [full(10, 100), full(30, 300)];
    let pieces = [piece(11, 20, 200), piece(21, 30, 299), piece(31, 45, 400)];
    let catalogue = catalogue(&fulls, &pieces);
    for (revision, expected) in [
        (10, (10, vec![])),
        (11, (10, vec![(11, 20)])),
        (29, (10, vec![(11, 20), (21, 30)])),
        (30, (30, vec![])),
        (45, (30, vec![(31, 45)])),
    ] {
        assert_eq!(ranges(&catalogue.choose(Wanted::Revision(revision)).unwrap()), expected);
    }
    assert_eq!(ranges(&catalogue.choose(Wanted::Newest).unwrap()), (30, vec![(31, 45)]));
    let said = |wanted| catalogue.choose(wanted).unwrap_err().to_string();
    assert!(said(Wanted::Revision(9)).ends_with("oldest full backup, which is of revision 10"));
    assert!(said(Wanted::Revision(46)).ends_with("newest revision that can be restored is 45"));
}

#[test]
fn a_time_is_in_the_first_piece_that_was_made_after_it() {
    let catalogue = catalogue(&[full(10, 100)], &[piece(11, 20, 200), piece(21, 30, 300)]);
    for (time, expected) in [(100, 1), (199, 1), (200, 2), (299, 2), (300, 2), (999, 2)] {
        assert_eq!(catalogue.choose(Wanted::Time(time)).unwrap().pieces.len(), expected, "at {time}");
    }
    assert!(matches!(catalogue.choose(Wanted::Time(99)), Err(ArchiveError::TooOld { oldest: 10, .. })));
}

#[test]
fn a_gap_is_named_with_both_its_ends() {
    let catalogue = catalogue(&[full(10, 100)], &[piece(11, 20, 200), piece(26, 30, 300)]);
    let error = catalogue.choose(Wanted::Revision(27)).unwrap_err();
    assert!(matches!(error, ArchiveError::Gap { missing: 21, next: 26, newest: 20, .. }), "{error}");
    let error = catalogue.choose(Wanted::Time(301)).unwrap_err();
    assert!(matches!(error, ArchiveError::Gap { missing: 21, next: 26, newest: 20, .. }), "{error}");
    assert!(catalogue.choose(Wanted::Revision(20)).is_ok());
}

#[test]
fn half_a_backup_counts_for_nothing() {
    let listed = |name: String| Listed { name, bytes: 1 };
    let list = [listed(full(10, 100).to_string()), listed(full(20, 200).manifest()), listed("notes".into())];
    let catalogue = Catalogue::of(&list);
    assert_eq!((catalogue.fulls.len(), catalogue.halves.len()), (0, 2));
    assert!(matches!(catalogue.choose(Wanted::Newest), Err(ArchiveError::NoFull)));
}

#[test]
fn a_history_that_went_another_way_is_not_mixed_with_the_first() {
    // After a restore to revision 20.
    let other = FullName { chain: chain(1, 21), ..full(21, 500) };
    let goes_on = PieceName { before: chain(1, 21), after: chain(1, 40), ..piece(22, 40, 600) };
    let pieces = [piece(11, 20, 200), piece(21, 30, 300), goes_on.clone()];
    let catalogue = catalogue(&[full(10, 100), other.clone()], &pieces);
    // The newer history has it.
    let plan = catalogue.choose(Wanted::Revision(30)).unwrap();
    assert_eq!(plan, Plan { full: other, pieces: vec![goes_on] });
    // Only the older one does; and at that time there was no other.
    assert_eq!(ranges(&catalogue.choose(Wanted::Revision(15)).unwrap()), (10, vec![(11, 20)]));
    let plan = catalogue.choose(Wanted::Time(300)).unwrap();
    assert_eq!(ranges(&plan), (10, vec![(11, 20), (21, 30)]));
}

#[test]
fn what_two_writers_left_is_one_history() {
    let pieces = [piece(11, 15, 200), piece(11, 20, 201), piece(16, 18, 202), piece(21, 30, 300)];
    let catalogue = catalogue(&[full(10, 100)], &pieces);
    assert_eq!(ranges(&catalogue.end().unwrap()), (10, vec![(11, 20), (21, 30)]));
    let full = full(10, 100);
    assert_eq!(catalogue.reachable([&full]).len(), 4);
    // Without the longer one nothing leads to 21.
    let rest = catalogue.without(&piece(11, 20, 201).to_string());
    assert_eq!(rest.newest_after(&full), 18);
}

/// A list of a history that parts in two, with full backups and pieces anywhere.
fn lists() -> impl Strategy<Value = (Vec<FullName>, Vec<PieceName>)> {
    let history = 0..2_u64;
    let fulls = prop::collection::vec((history.clone(), 1..30_i64), 0..4);
    let pieces = prop::collection::vec((history, 1..30_i64, 0..6_i64), 0..25);
    // The two are one up to revision 10.
    let node = |history: u64, revision: i64| chain(if revision > 10 { history } else { 0 }, revision);
    (fulls, pieces).prop_map(move |(fulls, pieces)| {
        let place = |at: usize| (at as u64, at as u32);
        let full = |(at, (history, revision)): (usize, (u64, i64))| {
            let (time, tag) = place(at);
            FullName { revision, time, chain: node(history, revision), tag }
        };
        let piece = |(at, (history, from, more)): (usize, (u64, i64, i64))| {
            let ((time, tag), to) = (place(at), from + more);
            PieceName { from, to, time, before: node(history, from - 1), after: node(history, to), tag }
        };
        (
            fulls.into_iter().enumerate().map(full).collect(),
            pieces.into_iter().enumerate().map(piece).collect(),
        )
    })
}

/// Whether a revision can be reached, by trying every way.
fn can_reach(node: Node, revision: i64, pieces: &[PieceName]) -> bool {
    node.0 == revision
        || pieces.iter().filter(|piece| (piece.from - 1, piece.before) == node).any(|piece| {
            (piece.from <= revision && revision <= piece.to)
                || (piece.to < revision && can_reach((piece.to, piece.after), revision, pieces))
        })
}

proptest! {
    #[test]
    fn what_is_chosen_leads_to_the_revision_and_nothing_is_refused_that_could_be_had(
        (fulls, pieces) in lists(),
        revision in 1..36_i64,
    ) {
        let catalogue = catalogue(&fulls, &pieces);
        let possible = fulls.iter().any(|full| {
            full.revision <= revision && can_reach(node_of(full), revision, &pieces)
        });
        match catalogue.choose(Wanted::Revision(revision)) {
            Ok(plan) => {
                let mut node = node_of(&plan.full);
                prop_assert!(plan.full.revision <= revision);
                for piece in &plan.pieces {
                    prop_assert!(node.0 < revision, "no more than is needed");
                    prop_assert_eq!((piece.from - 1, piece.before), node);
                    node = (piece.to, piece.after);
                }
                prop_assert!(node.0 >= revision);
                prop_assert!(plan.pieces.is_empty() == (plan.full.revision == revision));
            }
            Err(_) => prop_assert!(!possible),
        }
    }

    #[test]
    fn the_newest_is_as_far_as_any_way_from_the_newest_full_backup((fulls, pieces) in lists()) {
        let catalogue = catalogue(&fulls, &pieces);
        if let Some(plan) = catalogue.end() {
            let newest = plan.pieces.last().map_or(plan.full.revision, |piece| piece.to);
            prop_assert!(can_reach(node_of(&plan.full), newest, &pieces));
            for revision in newest + 1..40 {
                prop_assert!(!can_reach(node_of(&plan.full), revision, &pieces));
            }
        }
    }
}
