//! How long it takes to send a watch response: the loop of the stream from one response to the next, as etcd measures it.

use std::time::Instant;

use engine::watch::reply::{Kind, WatchReply};

use crate::metrics::{Histogram, Mvcc};

/// A response that was taken out of the queue of its stream.
pub(super) struct Sending {
    since: Instant,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// So many events.
    Events(u32),
    /// An answer to a create or cancel, or that a watch has ended.
    Control,
    Progress,
}

impl Sending {
    /// Returns the response as it leaves the queue.
    pub(super) fn begin(reply: &WatchReply) -> Self {
        let what = match &reply.kind {
            Kind::Events { events, .. } => What::Events(u32::try_from(events.len()).unwrap_or(u32::MAX)),
            Kind::Progress => What::Progress,
            _ => What::Control,
        };
        Self { since: Instant::now(), what }
    }

    /// Notes that the stream could go on to the next one.
    pub(super) fn observe(self, mvcc: &Mvcc) {
        let took = self.since.elapsed();
        self.histogram(mvcc).observe(took);
        if let What::Events(count) = self.what {
            mvcc.watch_send_loop_per_event.observe(took / count.max(1));
        }
    }

    fn histogram<'a>(&self, mvcc: &'a Mvcc) -> &'a Histogram {
        match self.what {
            What::Events(_) => &mvcc.watch_send_loop_watch_stream,
            What::Control => &mvcc.watch_send_loop_control_stream,
            What::Progress => &mvcc.watch_send_loop_progress,
        }
    }
}
