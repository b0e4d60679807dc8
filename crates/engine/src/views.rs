//! Where readers get their view of the keys.
//!
//! A snapshot from the leader replaces the whole store while the member runs. So nobody keeps a view for longer than one
//! answer: the next one may have to come from another store. Within one store a view follows the writes by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mvcc::View;
use parking_lot::RwLock;

/// The view of the store in use.
pub struct Views {
    current: RwLock<View>,
    replaced: AtomicU64,
    /// The files of the store in use are about to go away, and no other is in use yet.
    is_being_replaced: AtomicBool,
}

impl Views {
    /// The view of the store that the member starts with.
    pub fn new(view: View) -> Self {
        Self {
            current: RwLock::new(view),
            replaced: AtomicU64::new(0),
            is_being_replaced: AtomicBool::new(false),
        }
    }

    /// The view of the store in use at this moment.
    pub fn get(&self) -> View {
        self.current.read().clone()
    }

    /// Another store is in use from now on.
    pub fn replace(&self, view: View) {
        *self.current.write() = view;
        self.replaced.fetch_add(1, Ordering::Release);
        self.is_being_replaced.store(false, Ordering::Release);
    }

    /// From now on files of the store in use may be missing, until another one is in use.
    pub fn begin_to_replace(&self) {
        self.is_being_replaced.store(true, Ordering::Release);
    }

    /// Returns whether a read that failed may have failed because the store was replaced: since this many times, or now.
    pub fn may_be_gone(&self, replaced: u64) -> bool {
        self.is_being_replaced.load(Ordering::Acquire) || self.replaced() != replaced
    }

    /// How often the store was replaced: who sees it change knows that a view from before is of a store that is gone.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Acquire)
    }
}
