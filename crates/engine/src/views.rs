//! Where readers get their view of the keys.
//!
//! A snapshot from the leader replaces the whole store while the member runs. So nobody keeps a view for longer than one
//! answer: the next one may have to come from another store. Within one store a view follows the writes by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use mvcc::View;
use parking_lot::RwLock;

/// The view of the store in use.
pub struct Views {
    current: RwLock<View>,
    replaced: AtomicU64,
}

impl Views {
    /// The view of the store that the member starts with.
    pub fn new(view: View) -> Self {
        Self { current: RwLock::new(view), replaced: AtomicU64::new(0) }
    }

    /// The view of the store in use at this moment.
    pub fn get(&self) -> View {
        self.current.read().clone()
    }

    /// Another store is in use from now on.
    pub fn replace(&self, view: View) {
        *self.current.write() = view;
        self.replaced.fetch_add(1, Ordering::Release);
    }

    /// How often the store was replaced: who sees it change knows that a view from before is of a store that is gone.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Acquire)
    }
}
