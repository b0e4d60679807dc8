//! The memory that unfinished request heads take, bounded for the process as a whole.
//!
//! etcd takes heads of 16 MiB, and so does this server: tokens and tracing baggage grow. A client that sends half of one
//! and then nothing could have as many megabytes of memory as it opens connections. So there are two bounds: a head has to
//! be complete within [`HEADER_TIMEOUT`](crate::limits::HEADER_TIMEOUT), and all that are not complete share a budget.
//! The first bytes of each are free, and more than they is what no ordinary request needs: its connections never find the
//! budget spent by somebody else.
//!
//! What is counted are bytes on the wire. A decoded head is larger: at most 1.6 times for the Huffman code, and some 70
//! bytes for each field.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::HEAD_BYTES_FREE;
use crate::metrics::Metrics;
use crate::metrics::memory::Share;

/// Bytes of unfinished heads of all connections, beyond what each has for free.
#[derive(Debug)]
pub(crate) struct HeadBudget {
    bytes: AtomicUsize,
    bytes_max: usize,
    metrics: Arc<Metrics>,
}

impl HeadBudget {
    /// Returns a budget of so many bytes.
    pub(crate) fn new(bytes_max: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), bytes_max, metrics: metrics.clone() })
    }

    /// Counts so many bytes more. Returns whether there is room for them.
    fn charge(&self, more: usize) -> bool {
        let has_room = self.bytes.fetch_add(more, Ordering::Relaxed) + more <= self.bytes_max;
        if !has_room {
            self.metrics.memory.exceeded(Share::UnfinishedHeads).inc();
        }
        has_room
    }
}

/// The unfinished head of one connection.
#[derive(Debug)]
pub(super) struct Head {
    budget: Arc<HeadBudget>,
    charged: usize,
}

impl Head {
    pub(super) fn new(budget: Arc<HeadBudget>) -> Self {
        Self { budget, charged: 0 }
    }

    /// Notes how much of the head has come; 0 when it is complete. Returns whether there is room for it.
    pub(super) fn is_now(&mut self, bytes: usize) -> bool {
        let wanted = bytes.saturating_sub(HEAD_BYTES_FREE);
        if wanted <= self.charged {
            self.budget.bytes.fetch_sub(self.charged - wanted, Ordering::Relaxed);
            self.charged = wanted;
            return true;
        }
        let more = wanted - self.charged;
        self.charged = wanted;
        self.budget.charge(more)
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.is_now(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 256 << 20;

    #[test]
    fn ordinary_heads_are_free_and_large_ones_share_a_budget() {
        let metrics = Arc::new(crate::metrics::of_server(crate::metrics::MetricsDetail::Basic));
        let budget = HeadBudget::new(BYTES_MAX, &metrics);
        let mut large = Head::new(budget.clone());
        assert!(large.is_now(HEAD_BYTES_FREE + BYTES_MAX));
        let (mut small, mut second) = (Head::new(budget.clone()), Head::new(budget.clone()));
        assert!(small.is_now(HEAD_BYTES_FREE), "whatever others do");
        assert!(!second.is_now(HEAD_BYTES_FREE + 1));
        drop(second);
        assert!(large.is_now(0), "complete");
        assert!(small.is_now(2 * HEAD_BYTES_FREE));
        drop((small, large));
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(metrics.memory.exceeded(Share::UnfinishedHeads).get(), 1);
    }
}
