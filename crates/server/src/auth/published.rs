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

use super::tokens::AllForgotten;
use crate::limits::READ_ATTEMPTS_MAX;

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

    /// Publishes the state of another machine, when no token is valid any more that was given out before: a token must
    /// not stand for the user of the same name in a state that it was not made in.
    pub(super) fn replace(&self, state: Arc<AuthState>, _: AllForgotten) {
        self.publish(state);
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

    /// Returns what `attempt` gives, asked with the generation that is published, as of a time during which no other one
    /// was: it is made again when there was. `None` if that is so time and again.
    ///
    /// # Errors
    /// Those of `attempt`.
    pub(crate) async fn settled<T, E>(
        &self,
        attempt: impl AsyncFn(Generation) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let seen = self.generation();
            let answer = attempt(seen).await?;
            if self.generation() == seen {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use machine::Machine;
    use mvcc::{Options, Store};
    use wal::SimDisk;

    use super::*;

    fn published() -> Published {
        let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
        let store = Store::open(Arc::new(SimDisk::new(1)), Path::new("/store"), options).unwrap();
        Published::new(Machine::open(store).unwrap().auth())
    }

    /// The number of the attempt whose answer counts, if a state comes during each of the first attempts.
    async fn counted(disturbed: usize) -> Result<Option<usize>, usize> {
        let published = published();
        let attempts = Cell::new(0);
        let attempt = async |seen| {
            assert_eq!(seen, published.generation());
            attempts.set(attempts.get() + 1);
            if attempts.get() <= disturbed {
                published.publish(published.state());
            }
            Ok(attempts.get())
        };
        let answer = published.settled(attempt).await;
        if answer == Ok(None) { Err(attempts.get()) } else { answer }
    }

    #[tokio::test]
    async fn what_was_read_while_another_state_came_does_not_count() {
        assert_eq!(counted(0).await, Ok(Some(1)));
        assert_eq!(counted(1).await, Ok(Some(2)));
        assert_eq!(counted(READ_ATTEMPTS_MAX - 1).await, Ok(Some(READ_ATTEMPTS_MAX)));
        assert_eq!(counted(READ_ATTEMPTS_MAX).await, Err(READ_ATTEMPTS_MAX));
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let published = published();
        let attempt = async |_| {
            published.publish(published.state());
            Err::<(), _>("refused")
        };
        assert_eq!(published.settled(attempt).await, Err("refused"));
    }
}
