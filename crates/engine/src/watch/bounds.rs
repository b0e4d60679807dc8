//! How much a hub keeps, and hands out at once.

use crate::limits::{
    CATCH_UP_BYTES_MAX, CATCH_UP_REVISIONS_MAX, LIVE_PREVIOUS_READS_MAX, READING_PER_STREAM_MAX,
    RECENT_EVENTS_BYTES_MAX, RECENT_REVISIONS_MAX, RESUMED_AT_ONCE_MAX, WATCH_QUEUE_BYTES_MAX,
    WATCH_QUEUE_RESPONSES_MAX,
};

/// The bounds of a hub. Where they lie changes when something is sent and in which pieces, never what.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Responses that wait in a stream before its watchers fall behind.
    pub queue_responses: usize,
    /// Bytes that wait in a stream before its watchers fall behind.
    pub queue_bytes: usize,
    /// Catch-up jobs under way for one stream.
    pub reading: usize,
    /// Stalled watchers of one stream that go on before others have their turn.
    pub resumed: usize,
    /// Previous pairs that the worker reads from the disk at a stretch. More are read by the catch-up thread.
    pub previous_reads: usize,
    /// Revisions in one response that brings more than one.
    pub response_revisions: usize,
    /// Bytes of a response to which further revisions are added while it waits.
    pub response_bytes: usize,
    /// Responses as long as this are split for watchers that permit it.
    pub fragment_bytes: usize,
    /// Published revisions kept in memory.
    pub recent_revisions: usize,
    /// Bytes of published changes kept in memory.
    pub recent_bytes: usize,
}

impl Bounds {
    /// The bounds of a member that splits responses from `fragment_bytes` on.
    pub fn new(fragment_bytes: usize) -> Self {
        Self {
            queue_responses: WATCH_QUEUE_RESPONSES_MAX,
            queue_bytes: WATCH_QUEUE_BYTES_MAX,
            reading: READING_PER_STREAM_MAX,
            resumed: RESUMED_AT_ONCE_MAX,
            previous_reads: LIVE_PREVIOUS_READS_MAX,
            response_revisions: CATCH_UP_REVISIONS_MAX,
            // What is joined need not be split again.
            response_bytes: CATCH_UP_BYTES_MAX.min(fragment_bytes),
            fragment_bytes,
            recent_revisions: RECENT_REVISIONS_MAX,
            recent_bytes: RECENT_EVENTS_BYTES_MAX,
        }
    }
}
