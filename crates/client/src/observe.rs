//! A place for the application's own metrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

/// One attempt of a call: a call that is repeated has several.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The path of the method, for example `/etcdserverpb.KV/Put`.
    pub method: &'a str,
    /// The endpoint that it was sent to, as it was given.
    pub endpoint: &'a str,
    /// How it ended. Of a stream: how its beginning did.
    pub code: Code,
    /// Time until the answer began.
    pub elapsed: Duration,
    /// How many attempts came before it.
    pub repetition: u32,
}

/// Is called after each attempt of each call, on the task of the call: it should return at once.
///
/// ```
/// use quorate_client::{Attempt, Client, Observer};
///
/// struct Counting(std::sync::atomic::AtomicU64);
/// impl Observer for Counting {
///     fn attempt(&self, _: &Attempt<'_>) {
///         self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     }
/// }
/// let builder = Client::builder().observer(Counting(0.into()));
/// # let _ = builder;
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Takes note of an attempt.
    fn attempt(&self, attempt: &Attempt<'_>);
}

/// Those that were given.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn push(&mut self, observer: impl Observer) {
        self.0.push(Arc::new(observer));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn attempt(&self, attempt: &Attempt<'_>) {
        for observer in &self.0 {
            observer.attempt(attempt);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
