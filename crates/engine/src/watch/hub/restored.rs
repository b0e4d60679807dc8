//! What a hub does when a snapshot has replaced the store.

use super::{Feed, Hub, Watcher, WatcherId};
use crate::watch::range_set::RangeSet;
use crate::watch::recent::Recent;

impl Hub {
    /// A snapshot has replaced the store, which is at `revision` now. What lies between was never published here, so every
    /// watcher is caught up from the history, beginning with its own next revision (V1, V3); if that is compacted it is
    /// told so (V4).
    pub(crate) fn restored(&mut self, revision: i64, compact_revision: i64) {
        assert!(revision >= self.position, "revision {revision} restored after {}", self.position);
        self.compact_revision = compact_revision;
        if revision == self.position {
            return;
        }
        self.position = revision;
        self.recent = Recent::after(revision, self.bounds);
        self.live_keys.clear();
        self.live_ranges = RangeSet::default();
        let live = |(id, watcher): (&WatcherId, &Watcher)| (watcher.feed == Feed::Live).then_some(*id);
        let mut live: Vec<WatcherId> = self.watchers.iter().filter_map(live).collect();
        // In the order in which they came, not in that of a hash.
        live.sort_unstable();
        for id in live {
            let Some(watcher) = self.watchers.get_mut(&id) else { continue };
            watcher.feed = Feed::Stalled;
            if let Some(stream) = self.streams.get_mut(&watcher.stream) {
                stream.standing.falls_behind();
            }
            self.feed(id);
        }
    }
}
