//! The indexes of the runs under inspection: each is made anew from the run's changes and must come out byte for byte.

use bytes::Bytes;
use wal::{Head, Position, Record};

use crate::Change;
use crate::checkpoint::{Mark, RunMark};
use crate::history::{ROOT, RunBuilder};

/// The runs that a checkpoint names, and what has been read of the one that comes next.
pub(super) struct Runs<'a> {
    mark: Option<&'a Mark>,
    /// How many of them have come.
    done: usize,
    builder: RunBuilder,
    /// Records that are no changes, since the last change.
    records: Vec<(Position, Head, Bytes)>,
    /// Whether something is missing of the run: its index cannot be made anew.
    is_lost: bool,
    /// Roots that did not come.
    missing: Vec<Position>,
    has_begun: bool,
}

impl<'a> Runs<'a> {
    pub(super) fn of(mark: Option<&'a Mark>) -> Self {
        Self {
            mark,
            done: 0,
            builder: RunBuilder::default(),
            records: Vec::new(),
            is_lost: false,
            missing: Vec::new(),
            has_begun: false,
        }
    }

    /// Takes note of where a file begins. What is before the first one has been released, if compaction has passed it: the
    /// checkpoint that says so is written before the files go.
    pub(super) fn segment(&mut self, id: u64) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let compacted = self.mark.map_or(-1, |mark| mark.compact_revision);
        while let Some(run) = self.next().filter(|run| is_first && run.root.segment < id) {
            self.done += 1;
            if run.last.main >= compacted {
                self.missing.push(run.root);
            }
        }
    }

    /// Goes past runs whose root should have been before this place.
    fn pass(&mut self, place: Position) {
        while let Some(run) = self.next().filter(|run| run.root < place) {
            self.missing.push(run.root);
            self.done += 1;
            self.builder.restart();
            self.is_lost = true;
        }
    }

    /// Says that something is missing.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    fn next(&self) -> Option<&'a RunMark> {
        self.mark?.runs.get(self.done)
    }

    pub(super) fn change(&mut self, change: &Change, place: Position) {
        // Blocks without a root were written when there was no space for the rest.
        self.records.clear();
        self.pass(place);
        if self.next().is_some_and(|run| place.segment >= run.first_segment) {
            self.builder.add(change, place);
        }
    }

    /// Takes a record of an index. Returns what is wrong with the index, if this is its root.
    pub(super) fn index(&mut self, record: &Record) -> Option<String> {
        self.pass(record.position);
        let run = self.next()?;
        if record.position.segment < run.first_segment {
            return None;
        }
        self.records.push((record.position, record.head, record.payload.clone()));
        if record.head.kind != ROOT || record.position != run.root {
            return None;
        }
        let wrong = if self.is_lost { None } else { self.check(run) };
        self.done += 1;
        self.builder.restart();
        self.records.clear();
        self.is_lost = false;
        wrong.map(|what| format!("the index of the changes {} to {}: {what}", run.first, run.last))
    }

    fn check(&self, run: &RunMark) -> Option<&'static str> {
        if self.builder.is_empty() {
            return Some("there are none");
        }
        let mut count = 0;
        let counted = self.builder.write_to(&mut |_, _| {
            count += 1;
            Ok(run.root)
        });
        let Some(first) = self.records.len().checked_sub(count) else { return Some("it is not all there") };
        let mut stored = self.records[first..].iter();
        let mut differs = false;
        let made = self.builder.write_to(&mut |head, payload| {
            let Some((position, of, bytes)) = stored.next() else { return Ok(run.root) };
            // The first roots were written without lives, which come last.
            let is_same = payload == bytes || (head.kind == ROOT && payload.starts_with(bytes));
            differs |= head != *of || !is_same;
            Ok(*position)
        });
        match (counted, made) {
            (Ok(_), Ok(made)) if !differs && made.first == run.first && made.last == run.last => None,
            _ => Some("it is not that of the changes before it"),
        }
    }

    /// The runs that did not come, by their roots.
    pub(super) fn missing(&self) -> impl Iterator<Item = Position> {
        let runs = self.mark.map_or(&[][..], |mark| &mark.runs);
        let rest = runs[self.done.min(runs.len())..].iter().map(|run| run.root);
        self.missing.iter().copied().chain(rest)
    }
}
