//! What differs between two texts, line by line, with the fewest lines taken out and put in.
//!
//! The search is for the shortest way through a grid of the lines of both (Myers, "An O(ND) difference algorithm", 1986). What
//! it remembers grows with the square of the number of lines that differ; where there are too many, everything between the
//! first and the last difference is shown as replaced, which is still true.

/// The most lines that differ for which the shortest way is looked for: some 8 MB are remembered then.
const DIFFERENT_MAX: usize = 2000;

/// What is to be done with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Both have it.
    Kept(&'a str),
    /// Only the older text has it.
    Removed(&'a str),
    /// Only the newer text has it.
    Added(&'a str),
}

/// Returns the lines of both texts in order, each with its line feed. Where lines are replaced, the removed ones come first.
pub fn changes<'a>(older: &'a str, newer: &'a str) -> Vec<Change<'a>> {
    let older: Vec<&str> = older.split_inclusive('\n').collect();
    let newer: Vec<&str> = newer.split_inclusive('\n').collect();
    let head = common(older.iter(), newer.iter());
    let (old, new) = (&older[head..], &newer[head..]);
    let tail = common(old.iter().rev(), new.iter().rev());
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let between = shortest(old, new).unwrap_or_else(|| replaced(old, new));
    let kept = |lines: &[&'a str]| lines.iter().copied().map(Change::Kept).collect::<Vec<_>>();
    [kept(&older[..head]), removed_first(between), kept(&older[older.len() - tail..])].concat()
}

/// Returns the parts of the changes that have a line removed or added, with so many kept lines around them.
pub fn groups<'a>(changes: &[Change<'a>], around: usize) -> Vec<Vec<Change<'a>>> {
    let mut groups: Vec<Vec<Change<'a>>> = Vec::new();
    let mut shown_to = 0;
    let different = changes.iter().enumerate().filter(|(_, change)| !matches!(change, Change::Kept(_)));
    for (place, _) in different {
        let (from, to) = (place.saturating_sub(around), (place + around + 1).min(changes.len()));
        if groups.is_empty() || from > shown_to {
            groups.push(Vec::new());
        }
        if let Some(group) = groups.last_mut() {
            group.extend_from_slice(&changes[from.max(shown_to)..to.max(shown_to)]);
        }
        shown_to = shown_to.max(to);
    }
    groups
}

/// Returns how many lines both begin with.
fn common<'a>(older: impl Iterator<Item = &'a &'a str>, newer: impl Iterator<Item = &'a &'a str>) -> usize {
    older.zip(newer).take_while(|(old, new)| old == new).count()
}

fn replaced<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Change<'a>> {
    let removed = old.iter().copied().map(Change::Removed);
    removed.chain(new.iter().copied().map(Change::Added)).collect()
}

/// For each number of lines that differ, how far each diagonal of the grid is got: `reached[d][(k + d) / 2]` is the line of
/// the older text that is reached on diagonal `k`, which is `x - y` (older minus newer).
type Reached = Vec<Vec<usize>>;

/// Returns the shortest way; `None` if too many lines differ.
fn shortest<'a>(old: &[&'a str], new: &[&'a str]) -> Option<Vec<Change<'a>>> {
    let mut reached: Reached = Vec::new();
    for different in 0..=DIFFERENT_MAX.min(old.len() + new.len()) {
        let step = advance(old, new, reached.last().map(Vec::as_slice));
        let is_at_end =
            |(place, x): (usize, &usize)| *x == old.len() && *x + different == new.len() + 2 * place;
        let ended = step.iter().enumerate().any(is_at_end);
        reached.push(step);
        if ended {
            return Some(way_back(old, new, &reached));
        }
    }
    None
}

/// Returns how far each diagonal is got with one more line that differs.
fn advance(old: &[&str], new: &[&str], before: Option<&[usize]>) -> Vec<usize> {
    let different = before.map_or(0, <[usize]>::len);
    (0..=different)
        .map(|place| {
            let mut x = before.map_or(0, |before| from_where(before, place).1);
            let mut y = x + different - 2 * place;
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            x
        })
        .collect()
}

/// Returns whether a diagonal is come to by adding a line (from the diagonal above) and not by removing one, and the line
/// of the older text at which it is come to.
fn from_where(before: &[usize], place: usize) -> (bool, usize) {
    let added = before.get(place).copied();
    let removed = place.checked_sub(1).and_then(|place| before.get(place)).map(|x| x + 1);
    match (added, removed) {
        (Some(added), Some(removed)) if added >= removed => (true, added),
        (Some(added), None) => (true, added),
        (_, removed) => (false, removed.unwrap_or(0)),
    }
}

/// Follows the way from the end of both texts to their beginning.
fn way_back<'a>(old: &[&'a str], new: &[&'a str], reached: &Reached) -> Vec<Change<'a>> {
    let (mut x, mut y) = (old.len(), new.len());
    let mut changes = Vec::new();
    for different in (1..reached.len()).rev() {
        let (is_added, start) = from_where(&reached[different - 1], (x + different - y) / 2);
        while x > start {
            (x, y) = (x - 1, y - 1);
            changes.push(Change::Kept(old[x]));
        }
        if is_added {
            y -= 1;
            changes.push(Change::Added(new[y]));
        } else {
            x -= 1;
            changes.push(Change::Removed(old[x]));
        }
    }
    changes.extend(old[..x].iter().rev().copied().map(Change::Kept));
    changes.reverse();
    changes
}

/// Puts removed lines before the added ones that stand beside them.
fn removed_first(mut changes: Vec<Change<'_>>) -> Vec<Change<'_>> {
    let is_kept = |change: &Change<'_>| matches!(change, Change::Kept(_));
    for run in changes.chunk_by_mut(|one, other| is_kept(one) == is_kept(other)) {
        run.sort_by_key(|change| matches!(change, Change::Added(_)));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-a +b  c`: removed, added, kept.
    fn shown(changes: &[Change<'_>]) -> String {
        let word = |change: &Change<'_>| match change {
            Change::Kept(line) => format!(" {}", line.trim_end()),
            Change::Removed(line) => format!("-{}", line.trim_end()),
            Change::Added(line) => format!("+{}", line.trim_end()),
        };
        changes.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// A text of these lines, each of one letter.
    fn text(letters: &str) -> String {
        letters.chars().flat_map(|letter| [letter, '\n']).collect()
    }

    #[test]
    fn the_fewest_lines_are_taken_out_and_put_in() {
        for (older, newer, expected) in [
            ("", "", ""),
            ("abc", "abc", " a  b  c"),
            ("", "ab", "+a +b"),
            ("ab", "", "-a -b"),
            ("abc", "axc", " a -b +x  c"),
            ("abcd", "xyd", "-a -b -c +x +y  d"),
            ("abcabba", "cbabac", "-a -b  c +b  a  b -b  a +c"),
        ] {
            assert_eq!(shown(&changes(&text(older), &text(newer))), expected, "{older} {newer}");
        }
    }

    #[test]
    fn a_line_feed_that_is_missing_at_the_end_is_a_difference() {
        assert_eq!(shown(&changes("a\nb", "a\nb\n")), " a -b +b");
    }

    /// The number of lines that differ, by the textbook's table of longest common subsequences.
    fn fewest(older: &str, newer: &str) -> usize {
        let (older, newer): (Vec<char>, Vec<char>) = (older.chars().collect(), newer.chars().collect());
        let mut common = vec![vec![0; newer.len() + 1]; older.len() + 1];
        for (x, old) in older.iter().enumerate() {
            for (y, new) in newer.iter().enumerate() {
                common[x + 1][y + 1] =
                    if old == new { common[x][y] + 1 } else { common[x][y + 1].max(common[x + 1][y]) };
            }
        }
        older.len() + newer.len() - 2 * common[older.len()][newer.len()]
    }

    #[test]
    fn every_pair_of_short_texts_is_told_right() {
        let texts: Vec<String> = (0..6u32)
            .flat_map(|length| (0..3u32.pow(length)).map(move |number| (length, number)))
            .map(|(length, number)| {
                (0..length).map(move |at| ['a', 'b', 'c'][(number / 3u32.pow(at) % 3) as usize])
            })
            .map(Iterator::collect)
            .collect();
        for (older, newer) in texts.iter().flat_map(|older| texts.iter().map(move |newer| (older, newer))) {
            let (older_text, newer_text) = (text(older), text(newer));
            let changes = changes(&older_text, &newer_text);
            let side = |is_on: fn(&Change<'_>) -> bool| -> String {
                let of = changes.iter().filter(|change| is_on(change));
                of.map(|(Change::Kept(line) | Change::Removed(line) | Change::Added(line))| *line).collect()
            };
            assert_eq!(side(|change| !matches!(change, Change::Added(_))), older_text);
            assert_eq!(side(|change| !matches!(change, Change::Removed(_))), newer_text);
            let different = changes.iter().filter(|change| !matches!(change, Change::Kept(_))).count();
            assert_eq!(different, fewest(older, newer), "{older} {newer}");
        }
    }

    #[test]
    fn where_too_much_differs_everything_between_is_replaced() {
        let numbered = |from: usize| (from..from + DIFFERENT_MAX).map(|line| format!("{line}\n")).collect();
        let (older, newer): (String, String) = (numbered(0), numbered(DIFFERENT_MAX));
        let changes = changes(&format!("head\n{older}tail\n"), &format!("head\n{newer}tail\n"))
            .iter()
            .map(|change| shown(&[*change]))
            .collect::<Vec<_>>();
        assert_eq!(changes.len(), 2 * DIFFERENT_MAX + 2);
        assert_eq!((changes[0].as_str(), changes[1].as_str()), (" head", "-0"));
        assert_eq!(changes.last().map(String::as_str), Some(" tail"));
    }

    #[test]
    fn groups_are_cut_where_more_is_kept_than_is_shown() {
        let (older, newer) = (text("abcdefghijkl"), text("xbcdefghiykl"));
        let changes = changes(&older, &newer);
        let groups: Vec<String> = groups(&changes, 2).iter().map(|group| shown(group)).collect();
        assert_eq!(groups, ["-a +x  b  c", " h  i -j +y  k  l"]);
        let (older, newer) = (text("abcdef"), text("xbcdey"));
        let changes = super::changes(&older, &newer);
        assert_eq!(super::groups(&changes, 2).len(), 1);
    }
}
