//! When a command that somebody looks at was applied.

use std::sync::OnceLock;
use std::time::Instant;

/// The times of one command; written by the apply thread, before the caller has its answer.
#[derive(Debug, Default)]
pub struct Timing {
    applied: OnceLock<(Instant, Instant)>,
}

impl Timing {
    /// Returns when the batch of the command began to be applied, and when it was shown; `None` if it was not applied.
    pub fn applied(&self) -> Option<(Instant, Instant)> {
        self.applied.get().copied()
    }

    /// Notes that the command was applied.
    pub(crate) fn was_applied(&self, began: Instant, ended: Instant) {
        // A command is applied once.
        let _ = self.applied.set((began, ended));
    }
}
