//! The state of users and roles, for everybody but the apply thread.
//!
//! A read runs beside the apply thread. It notes the [`Generation`], asks the state, reads, and
//! looks whether the generation is still the same; if not, what it read may have been written when
//! its caller was not permitted to see it any longer, and it starts over. For this the apply thread
//! publishes a state before it applies the command after the one that made it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use machine::auth::AuthState;
use parking_lot::RwLock;

/// Which state was seen. Counts what was published, and says whether permissions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Generation {
    const ENABLED: u64 = 1;
    const STEP: u64 = 2;

    /// Returns whether permissions are checked in this state.
    pub(crate) fn is_enabled(self) -> bool {
        self.0 & Self::ENABLED != 0
    }

    fn next(self, state: &AuthState) -> Self {
        let count = (self.0 & !Self::ENABLED) + Self::STEP;
        Self(count | u64::from(state.is_enabled()))
    }
}

/// The state that was published last.
#[derive(Debug)]
pub(crate) struct Published {
    /// The generation of `state`, or of the one before: it is written after the state. So a reader
    /// that saw a generation and takes the state then has this state or a newer one.
    generation: AtomicU64,
    state: RwLock<Arc<AuthState>>,
}

impl Published {
    pub(super) fn new(state: Arc<AuthState>) -> Self {
        let generation = AtomicU64::new(Generation(0).next(&state).0);
        Self { generation, state: RwLock::new(state) }
    }

    /// Publishes a state. Only the apply thread does.
    pub(super) fn publish(&self, state: Arc<AuthState>) {
        let next = self.generation().next(&state);
        *self.state.write() = state;
        self.generation.store(next.0, Ordering::Release);
    }

    /// Returns which state is published. One load, for every request.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Returns the state.
    pub(crate) fn state(&self) -> Arc<AuthState> {
        self.state.read().clone()
    }
}
