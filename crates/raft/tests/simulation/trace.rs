//! What happened, as a number that two runs of one seed must agree in, and as text for whoever
//! replays a seed.

use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    is_shown: bool,
}

impl Trace {
    pub(crate) fn shown() -> Trace {
        Trace { hash: 0, is_shown: true }
    }

    /// Takes something that happened into the hash.
    pub(crate) fn mix(&mut self, happened: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        self.hash.hash(&mut hasher);
        happened.hash(&mut hasher);
        self.hash = hasher.finish();
    }

    /// Prints a line, if the history is to be shown.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if self.is_shown {
            println!("{}", line());
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}
