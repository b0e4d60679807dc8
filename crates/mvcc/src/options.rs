//! How a store is set up.

/// How a store is set up. What is in its files does not depend on any of it but the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Budget of the cache of encoded key-values, in bytes.
    pub cache_bytes: usize,
    /// A checkpoint is due when what was written since the last one takes this many bytes, or all that is kept of the changes
    /// takes four times as many.
    pub checkpoint_bytes: usize,
    /// Length of a history segment, in bytes: the unit in which compaction gives space back, and about what a start goes
    /// through. A change that is longer gets a segment of its own.
    pub history_segment_bytes: u64,
    /// Whose store it is (a cluster and a member): that of another is refused.
    pub identity: [u64; 2],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 96 << 20,
            checkpoint_bytes: 64 << 20,
            history_segment_bytes: 32 << 20,
            identity: [0, 0],
        }
    }
}
