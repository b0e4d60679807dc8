//! What is known of the source at the moment, for whoever asks, and the way for orders to the thread that follows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Order;
use crate::metrics::Metrics;

/// Cut-overs that may be asked for at a time: one is under way, and others are told so.
const ORDERS_MAX: usize = 4;

/// The thread's end of the way for orders.
pub(crate) type Orders = mpsc::Receiver<Order>;

/// Shared by the thread that follows and the services.
pub(crate) struct Handle {
    /// `--follow-endpoints`; none: nothing is followed.
    pub(crate) endpoints: Vec<String>,
    known: Mutex<Known>,
    orders: mpsc::Sender<Order>,
    called_off: tokio::sync::Notify,
    /// The follow has stopped, and the source was seen not to be fenced since.
    is_left_unfenced: AtomicBool,
}

/// What the leader knows of the source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Its newest revision that was heard of.
    pub(crate) revision: i64,
    /// When this cluster was last known to have all of it.
    pub(crate) equal_at: Option<Instant>,
    /// What is wrong; empty: nothing.
    pub(crate) fault: String,
    /// Loads that were begun.
    pub(crate) loads: u64,
}

impl Handle {
    /// Nothing known yet.
    pub(crate) fn new(endpoints: Vec<String>) -> (Self, Orders) {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let called_off = tokio::sync::Notify::new();
        let is_left_unfenced = AtomicBool::new(false);
        (Self { endpoints, known: Mutex::default(), orders, called_off, is_left_unfenced }, received)
    }

    /// What is known.
    pub(crate) fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// Hands an order to the thread. Returns whether it takes one.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Calls off the cut-over that is under way, if there is one.
    pub(crate) fn call_off(&self) {
        self.called_off.notify_waiters();
    }

    /// Returns when the cut-over under way is called off.
    pub(super) async fn called_off(&self) {
        self.called_off.notified().await;
    }

    /// Returns whether the source of a follow that has stopped was seen not to be fenced.
    pub(super) fn is_left_unfenced(&self) -> bool {
        self.is_left_unfenced.load(Ordering::Relaxed)
    }

    /// The follow has stopped, and the source is not fenced.
    pub(super) fn leaves_unfenced(&self) {
        self.is_left_unfenced.store(true, Ordering::Relaxed);
    }

    /// This member does not lead, and knows nothing.
    pub(super) fn forget(&self) {
        *self.known.lock() = Known::default();
    }

    /// The source answers.
    pub(super) fn recovered(&self) {
        self.known.lock().fault.clear();
    }

    /// The source fails. Returns whether that is news.
    pub(super) fn failed(&self, what: &str) -> bool {
        let mut known = self.known.lock();
        let is_news = known.fault != what;
        what.clone_into(&mut known.fault);
        is_news
    }

    /// A load begins.
    pub(super) fn loads(&self) {
        self.known.lock().loads += 1;
    }

    /// The source was at a revision, and this cluster has it, or not.
    pub(super) fn saw(&self, revision: i64, asked_at: Instant, is_equal: bool) {
        let mut known = self.known.lock();
        known.revision = revision;
        if is_equal {
            known.equal_at = Some(asked_at);
        }
    }

    /// The follow has ended.
    pub(super) fn ended(&self) {
        self.known.lock().fault.clear();
    }

    /// Sets the gauges.
    pub(crate) fn observe(&self, phase: i64, own_revision: i64, metrics: &Metrics) {
        let known = self.known();
        let follow = &metrics.follow;
        follow.phase.set(phase);
        follow.lag_revisions.set((known.revision - own_revision).max(0));
        follow.lag_seconds.set(known.equal_at.map_or(-1, |at| at.elapsed().as_secs() as i64));
        follow.loads.set(known.loads as i64);
        follow.fault.set(i64::from(!known.fault.is_empty()));
    }
}
