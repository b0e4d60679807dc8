//! Where readers get their view of the keys.
//!
//! A snapshot from the leader replaces the whole store while the member runs. So nobody keeps a view for longer than one
//! answer: the next one may have to come from another store. Within one store a view follows the writes by itself.

use mvcc::View;
use parking_lot::RwLock;

/// The view of the store in use.
pub(crate) struct Views {
    current: RwLock<View>,
}

impl Views {
    /// The view of the store that the member starts with.
    pub(crate) fn new(view: View) -> Self {
        Self { current: RwLock::new(view) }
    }

    /// The view of the store in use at this moment.
    pub(crate) fn get(&self) -> View {
        self.current.read().clone()
    }
}
