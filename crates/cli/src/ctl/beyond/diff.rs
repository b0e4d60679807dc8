//! `diff`: what differs between two revisions.

use std::collections::VecDeque;

use clap::Command as Grammar;

use super::lines;
use super::pages::{Content, Pages};
use crate::beyond::diff::{self, Detail, Entry};
use crate::ctl::Invocation;
use crate::ctl::commands::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};

/// The command.
pub const COMMAND: Command =
    Command { name: "diff", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Shows what differs between two revisions of the keys with a prefix")
        .override_usage("--rev A [--rev B] [prefix]")
        .arg(flags::list("rev", "Revision; given twice: the older and the newer one, once: up to now"))
        .arg(flags::switch("keys-only", "Show the keys that differ, without the lines of their values"))
        .args(flags::positionals(&["prefix"]))
        .after_help("quoratectl diff --rev 100 /app/\nquoratectl diff --rev 100 --rev 200 --keys-only")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let prefix = lines::at_most_one(&invocation)?.unwrap_or_default();
    let (older, newer) = revisions(&invocation.matches.list("rev"))?;
    let detail = if invocation.matches.is_on("keys-only") { Detail::Keys } else { Detail::Values };
    let session = lines::open(&invocation).await?;
    let mut older = Side::new(Pages::of(&session, &prefix, older, Content::Values));
    let mut newer = Side::new(Pages::of(&session, &prefix, newer, Content::Values));
    loop {
        let step = diff::step(older.head().await?, newer.head().await?);
        let Some((difference, used_older, used_newer)) = step else { return Ok(()) };
        if let Some(difference) = difference {
            lines::write_coloured(&difference.lines(detail), lines::of_difference)?;
        }
        if used_older {
            older.entries.pop_front();
        }
        if used_newer {
            newer.entries.pop_front();
        }
    }
}

/// The two revisions; 0 is the newest one.
fn revisions(given: &[String]) -> Result<(i64, i64), Failure> {
    let number = |text: &String| match text.parse::<i64>() {
        Ok(revision) if revision > 0 => Ok(revision),
        _ => Err(Failure::arguments(format!("{text:?} is not a revision"))),
    };
    match given {
        [older] => Ok((number(older)?, 0)),
        [older, newer] => Ok((number(older)?, number(newer)?)),
        _ => Err(Failure::arguments("diff needs --rev once or twice: the older and the newer revision")),
    }
}

/// One of the two sides, read as it is needed.
struct Side<'a> {
    pages: Pages<'a>,
    entries: VecDeque<Entry>,
}

impl<'a> Side<'a> {
    fn new(pages: Pages<'a>) -> Side<'a> {
        Side { pages, entries: VecDeque::new() }
    }

    /// The next entry, or `None` at the end.
    async fn head(&mut self) -> Result<Option<&Entry>, Failure> {
        while self.entries.is_empty() {
            let Some(page) = self.pages.next().await? else { return Ok(None) };
            let entry = |kv: proto::mvccpb::KeyValue| Entry {
                key: kv.key.to_vec(),
                value: kv.value.to_vec(),
                mod_revision: kv.mod_revision,
            };
            self.entries.extend(page.into_iter().map(entry));
        }
        Ok(self.entries.front())
    }
}

#[cfg(test)]
mod tests {
    use super::revisions;

    #[test]
    fn revisions_are_given_once_or_twice() {
        let of =
            |texts: &[&str]| revisions(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).ok();
        assert_eq!(of(&["5"]), Some((5, 0)));
        assert_eq!(of(&["5", "9"]), Some((5, 9)));
        for wrong in [&[][..], &["0"], &["x"], &["1", "2", "3"]] {
            assert_eq!(of(wrong), None);
        }
    }
}
