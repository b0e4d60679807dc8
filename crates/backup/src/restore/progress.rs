//! How far a restore is.

/// What a restore is doing. In this order, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The file is compared with its digest, which goes on during the next stage.
    Verifying,
    /// Versions are read and sorted.
    Reading,
    /// The versions of each key are held against each other.
    Comparing,
    /// Keys are written, and the history of changes at the same time.
    Writing,
    /// The rest of the history is written, and all of it made durable.
    History,
}

/// Bytes between two calls.
const STEP_BYTES: u64 = 1 << 20;

/// Reports how far a restore is.
pub struct Progress<'a>(Box<dyn FnMut(Stage, u64, u64) + 'a>);

impl<'a> Progress<'a> {
    /// Calls `report` now and then with the stage, the bytes done in it, and about how many they will be.
    pub fn new(report: impl FnMut(Stage, u64, u64) + 'a) -> Self {
        Self(Box::new(report))
    }

    /// Reports to nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _, _| {})
    }

    /// Begins a stage.
    pub(super) fn begin(&mut self, stage: Stage, total: u64) -> Steps<'_, 'a> {
        (self.0)(stage, 0, total);
        Steps { progress: self, stage, done: 0, told: 0, total }
    }
}

/// A stage under way.
pub(super) struct Steps<'p, 'a> {
    progress: &'p mut Progress<'a>,
    stage: Stage,
    done: u64,
    told: u64,
    total: u64,
}

impl Steps<'_, '_> {
    /// So many bytes more are done.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done - self.told >= STEP_BYTES {
            self.told = self.done;
            (self.progress.0)(self.stage, self.done, self.total);
        }
    }
}
