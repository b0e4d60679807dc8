//! What of an archive is too old.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Catalogue;
use crate::limits::LEFT_BEHIND_AGE;
use crate::name::{Millis, Name};

/// What is kept of full backups. The last one always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest.
    Count(usize),
    /// Those that are not older, and the newest one that is: without it, no revision of that age
    /// could be restored.
    Age(Duration),
}

/// Why a text says nothing of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a number of full backups, from 1 on, nor an age, like 720h")]
pub struct KeepError(pub String);

impl Keep {
    /// Reads a number of full backups; whatever is none is read as an age by `age`.
    ///
    /// # Errors
    /// If it is neither, or nothing would be kept.
    pub fn parse(text: &str, age: impl FnOnce(&str) -> Option<Duration>) -> Result<Self, KeepError> {
        let count = text.parse().ok().filter(|count| *count > 0).map(Self::Count);
        let age = || age(text).filter(|age| !age.is_zero()).map(Self::Age);
        count.or_else(age).ok_or_else(|| KeepError(text.to_owned()))
    }
}

/// Returns the names of the objects that nothing needs any more, in an order in which they can be
/// deleted: what remains is right at every moment.
#[must_use]
pub(crate) fn expired(catalogue: &Catalogue, keep: Keep, now: Millis) -> Vec<String> {
    let old = catalogue.fulls.len().saturating_sub(kept(catalogue, keep, now));
    let (old, kept) = catalogue.fulls.split_at(old);
    let mut names = Vec::new();
    // Without its manifest, a full backup is none.
    for (full, _) in old {
        names.extend([full.manifest(), full.to_string()]);
    }
    let Some((oldest, _)) = kept.first() else { return names };
    let needed: BTreeSet<_> = catalogue.reachable(kept.iter().map(|(full, _)| full));
    // What was shipped for a full backup has its time.
    let is_old = |time: Millis| time <= oldest.time;
    let pieces = catalogue.pieces.iter().map(|(piece, _)| piece);
    let pieces = pieces.filter(|piece| is_old(piece.time) && !needed.contains(piece));
    names.extend(pieces.map(ToString::to_string));
    let age = LEFT_BEHIND_AGE.as_millis() as Millis;
    let is_left_behind = |half: &&Name| match half {
        Name::Full(name) | Name::Manifest(name) => now.saturating_sub(name.time) > age,
        Name::Piece(_) => false,
    };
    names.extend(catalogue.halves.iter().filter(is_left_behind).map(ToString::to_string));
    names
}

/// How many full backups are kept.
fn kept(catalogue: &Catalogue, keep: Keep, now: Millis) -> usize {
    match keep {
        Keep::Count(count) => count.max(1),
        Keep::Age(age) => {
            let since = now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            let young = catalogue.fulls.iter().filter(|(full, _)| full.time >= since).count();
            young + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{FullName, PieceName};
    use crate::store::Listed;

    const HOUR: Millis = 3_600_000;

    /// A full backup every 10 revisions and 10 hours, and a piece between each two.
    fn catalogue(fulls: i64, others: &[Name]) -> Catalogue {
        let full =
            |n: i64| FullName { revision: 10 * n, time: 10 * HOUR * n as u64, chain: n as u64, tag: 0 };
        let piece = |n: i64| PieceName {
            from: 10 * n + 1,
            to: 10 * n + 10,
            time: 10 * HOUR * (n as u64 + 1) - 1,
            before: n as u64,
            after: n as u64 + 1,
            tag: 0,
        };
        let names = (1..=fulls).flat_map(|n| [full(n).to_string(), full(n).manifest(), piece(n).to_string()]);
        let names = names.chain(others.iter().map(ToString::to_string));
        let listed: Vec<Listed> = names.map(|name| Listed { name, bytes: 1 }).collect();
        Catalogue::of(&listed)
    }

    fn left(catalogue: &Catalogue, keep: Keep, now: Millis) -> (Vec<i64>, Vec<i64>) {
        let gone = expired(catalogue, keep, now);
        let rest = gone.iter().fold(catalogue.clone(), |rest, name| rest.without(name));
        (
            rest.fulls.iter().map(|(full, _)| full.revision).collect(),
            rest.pieces.iter().map(|(piece, _)| piece.from).collect(),
        )
    }

    #[test]
    fn so_many_are_kept_and_the_pieces_after_them() {
        let catalogue = catalogue(4, &[]);
        let all = (vec![10, 20, 30, 40], vec![11, 21, 31, 41]);
        assert_eq!(left(&catalogue, Keep::Count(2), 0), (vec![30, 40], vec![31, 41]));
        assert_eq!(left(&catalogue, Keep::Count(0), 0), (vec![40], vec![41]));
        assert_eq!(left(&catalogue, Keep::Count(9), 0), all);
    }

    #[test]
    fn by_age_every_moment_of_that_age_can_be_restored() {
        let catalogue = catalogue(4, &[]);
        let at = |age| left(&catalogue, Keep::Age(Duration::from_millis(age)), 45 * HOUR).0;
        assert_eq!(at(100 * HOUR), [10, 20, 30, 40]);
        assert_eq!(at(20 * HOUR), [20, 30, 40], "35 h ago is between 20 and 30");
        assert_eq!(at(HOUR), [40]);
        assert_eq!(at(0), [40]);
    }

    #[test]
    fn halves_go_when_nobody_can_be_writing_them_and_what_is_not_ours_stays() {
        let half = |time, tag| FullName { revision: 7, time, chain: 0, tag };
        let now = 100 * HOUR;
        let others = [
            Name::Full(half(now - 25 * HOUR, 1)),
            Name::Full(half(now - 23 * HOUR, 2)),
            Name::Manifest(half(now - 25 * HOUR, 3)),
        ];
        let catalogue = catalogue(1, &others);
        let gone = expired(&catalogue, Keep::Count(1), now);
        assert_eq!(gone, [others[0].to_string(), others[2].to_string()]);
    }

    #[test]
    fn a_piece_that_leads_nowhere_goes_when_it_is_older_than_what_is_kept() {
        let stray = |time| PieceName { from: 500, to: 501, time, before: 77, after: 78, tag: 0 };
        let others = [Name::Piece(stray(39 * HOUR)), Name::Piece(stray(41 * HOUR))];
        let catalogue = catalogue(4, &others);
        assert_eq!(left(&catalogue, Keep::Count(1), 0), (vec![40], vec![41, 500]));
    }

    #[test]
    fn nothing_is_deleted_of_an_archive_without_a_full_backup() {
        let piece = PieceName { from: 5, to: 6, time: 1, before: 7, after: 8, tag: 0 };
        let catalogue = catalogue(0, &[Name::Piece(piece)]);
        assert_eq!(expired(&catalogue, Keep::Count(1), 50 * HOUR), [""; 0]);
    }
}
