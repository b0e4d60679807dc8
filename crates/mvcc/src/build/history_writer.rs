//! A history that is written from its beginning to its end, for a store that nobody has open.

use wal::Position;

use crate::checkpoint::{Mark, RunMark};
use crate::history::{History, Sealed};
use crate::{Change, Error, Revision};

/// A history being written.
pub(crate) struct HistoryWriter {
    history: History,
    runs: Vec<RunMark>,
    tail_start: Position,
    floor: Revision,
    last: Revision,
}

/// A history that is written and durable.
pub(crate) struct Written {
    runs: Vec<RunMark>,
    tail_start: Position,
    floor: Revision,
    end: Position,
}

impl HistoryWriter {
    /// Begins with an empty history.
    pub(crate) fn new(history: History) -> Self {
        let floor = Revision::default();
        Self { tail_start: history.end(), history, runs: Vec::new(), floor, last: floor }
    }

    /// Says what comes before the first change.
    pub(crate) fn start_behind(&mut self, floor: Revision) {
        (self.floor, self.last) = (floor, floor);
    }

    /// The last change, or what comes before the first.
    pub(crate) fn last(&self) -> Revision {
        self.last
    }

    /// Appends a change, and the index of those before it when their segment is full.
    pub(crate) fn append(&mut self, change: &Change) -> Result<(), Error> {
        let (place, sealed) = self.history.append(change, &change.before)?;
        if let Some(Sealed { run, .. }) = sealed {
            self.floor = run.last;
            self.tail_start = place;
            self.runs.push(RunMark::of(&run));
        }
        self.last = change.revision;
        Ok(())
    }

    /// Makes all of it durable, and closes it.
    pub(crate) fn finish(self) -> Result<Written, Error> {
        let Self { mut history, runs, tail_start, floor, .. } = self;
        let end = history.sync()?;
        Ok(Written { runs, tail_start, floor, end })
    }
}

impl Written {
    /// A mark that says where the history is, of a store that is otherwise empty.
    pub(crate) fn mark(self, identity: [u64; 2]) -> Mark {
        let Self { runs, tail_start, floor, end } = self;
        Mark { tail_start, floor, runs, ..Mark::empty(identity, end) }
    }
}
