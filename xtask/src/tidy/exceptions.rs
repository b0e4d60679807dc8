//! The files and functions that are longer than they should be: a list that can only shrink.
//!
//! `xtask/tidy-allow.txt` has one line for each, with its length now: `path lines` or `path function lines`. Growing is a
//! finding; shrinking is one too, until the list says so; and the list has exactly [`COUNT`] lines, so that a new
//! exception shows in review as a change of this number upwards.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::Finding;
use super::functions::Length;

/// The list, below the root.
pub const FILE: &str = "xtask/tidy-allow.txt";

/// How many exceptions there are. Lower it with each one that goes.
pub const COUNT: usize = 0;

/// Path, and function or none for the file.
type Name = (String, Option<String>);

/// The list, read.
#[derive(Debug, Default)]
pub struct Exceptions {
    allowed: BTreeMap<Name, usize>,
}

impl Exceptions {
    /// Reads the list. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// When a line has another form, or an exception stands twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut allowed = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<_> = line.split(' ').collect();
            let (path, function, lines) = match words[..] {
                [path, lines] => (path, None, lines),
                [path, function, lines] => (path, Some(function.to_owned()), lines),
                _ => bail!("{FILE}: cannot read {line:?}"),
            };
            let lines = lines.parse().with_context(|| format!("{FILE}: {line:?}"))?;
            if allowed.insert((path.to_owned(), function), lines).is_some() {
                bail!("{FILE}: {line:?} stands twice");
            }
        }
        Ok(Self { allowed })
    }

    /// What is too long without being listed, and what the list says that is not so.
    pub fn check(&self, lengths: &[Length]) -> Vec<Finding> {
        let mut findings = self.check_count(COUNT);
        let mut actual = BTreeMap::new();
        for length in lengths.iter().filter(|length| length.lines > length.max()) {
            let name = (length.path.clone(), length.function.clone());
            if !self.allowed.contains_key(&name) {
                let subject = length.function.as_deref().unwrap_or("this file");
                let what = format!("{subject} has {} lines, the ceiling is {}", length.lines, length.max());
                findings.push(Finding::at(&length.path, length.line, what));
            }
            let longest = actual.entry(name).or_insert(0);
            *longest = length.lines.max(*longest);
        }
        for (name, allowed) in &self.allowed {
            let now = actual.get(name).copied().unwrap_or_default();
            if now != *allowed {
                let (path, function) = name;
                let subject = function.as_deref().unwrap_or("the file");
                let what =
                    format!("{path}: {subject} is listed with {allowed} lines, {}", advice(now, *allowed));
                findings.push(Finding::at(FILE, 0, what));
            }
        }
        findings
    }

    fn check_count(&self, count: usize) -> Vec<Finding> {
        if self.allowed.len() == count {
            return Vec::new();
        }
        let what = format!("{} exceptions, but COUNT in exceptions.rs is {count}", self.allowed.len());
        vec![Finding::at(FILE, 0, what)]
    }
}

fn advice(now: usize, allowed: usize) -> String {
    match now {
        0 => "but is not too long any more: take it off the list".to_owned(),
        now if now < allowed => format!("but has {now}: lower it"),
        now => format!("but has {now}: it must not grow"),
    }
}

#[cfg(test)]
mod tests {
    //! The list only ever gets shorter.

    use super::*;

    fn function(name: &str, lines: usize) -> Length {
        Length { path: "a.rs".to_owned(), function: Some(name.to_owned()), line: 3, lines }
    }

    fn whats(list: &str, lengths: &[Length]) -> Vec<String> {
        let exceptions = Exceptions::parse(list).unwrap();
        let count = exceptions.check_count(COUNT).len();
        exceptions.check(lengths).into_iter().skip(count).map(|finding| finding.what).collect()
    }

    #[test]
    fn what_is_too_long_must_be_listed() {
        assert_eq!(whats("", &[function("f", 70)]), [""; 0]);
        assert_eq!(whats("", &[function("f", 71)]), ["f has 71 lines, the ceiling is 70"]);
        assert_eq!(whats("# why\na.rs f 71\n", &[function("f", 71)]), [""; 0]);
    }

    #[test]
    fn a_file_has_a_ceiling_of_its_own() {
        let file = |lines| Length { path: "a.rs".to_owned(), function: None, line: 0, lines };
        assert_eq!(whats("", &[file(600)]), [""; 0]);
        assert_eq!(whats("", &[file(601)]), ["this file has 601 lines, the ceiling is 600"]);
        assert_eq!(whats("a.rs 601", &[file(601)]), [""; 0]);
    }

    #[test]
    fn an_exception_must_not_grow_and_follows_when_it_shrinks() {
        let listed = "a.rs f 80";
        assert_eq!(
            whats(listed, &[function("f", 81)]),
            ["a.rs: f is listed with 80 lines, but has 81: it must not grow"]
        );
        assert_eq!(
            whats(listed, &[function("f", 79)]),
            ["a.rs: f is listed with 80 lines, but has 79: lower it"]
        );
        assert_eq!(
            whats(listed, &[function("f", 70)]),
            ["a.rs: f is listed with 80 lines, but is not too long any more: take it off the list"]
        );
    }

    #[test]
    fn a_new_exception_needs_a_new_count() {
        let exceptions = Exceptions::parse("a.rs f 80").unwrap();
        assert_eq!(exceptions.check_count(1), []);
        assert_eq!(exceptions.check_count(0).len(), 1);
        assert_eq!(exceptions.check_count(2).len(), 1);
    }
}
