//! Waiting for a condition that the outside world does not announce.

use std::time::{Duration, Instant};

/// How long a condition may take before a test gives up on it: far longer than any healthy run needs, so that only a
/// condition that never comes true fails a test, not a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks `condition` until it answers with a value, and returns the value.
///
/// # Panics
/// When [`DEADLINE`] passes first; the message is `what`.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, condition).unwrap_or_else(|| panic!("gave up after {DEADLINE:?} waiting for {what}"))
}

/// As [`until`], with a deadline of its own and `None` when it passes.
pub fn within<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if start.elapsed() > deadline {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
