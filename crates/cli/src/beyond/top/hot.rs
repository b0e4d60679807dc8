//! Which prefixes change the most, from the events of a watch.

use std::collections::BTreeMap;
use std::time::Duration;

/// How many prefixes are counted. Beyond, the coldest are forgotten: the list is for those with many events.
const PREFIXES_MAX: usize = 4096;

/// How much of the rate before an interval is left after it.
const DECAY: f64 = 0.5;

/// Rates below this are nobody's concern.
const RATE_MIN: f64 = 0.05;

/// A prefix and how often keys below it change.
#[derive(Debug, Clone, PartialEq)]
pub struct HotPrefix {
    /// The prefix.
    pub prefix: Vec<u8>,
    /// Events a second, of the last few intervals.
    pub rate: f64,
    /// Events since the watch began.
    pub events: u64,
    /// Bytes of keys and values a second.
    pub bytes_rate: f64,
}

#[derive(Debug, Default)]
struct Count {
    events: u64,
    bytes: u64,
    total: u64,
    rate: f64,
    bytes_rate: f64,
}

/// Counts of events by prefix.
#[derive(Debug)]
pub struct Hot {
    depth: usize,
    counts: BTreeMap<Vec<u8>, Count>,
}

impl Hot {
    /// Makes an empty count of prefixes with this many segments.
    pub fn new(depth: usize) -> Hot {
        Hot { depth, counts: BTreeMap::new() }
    }

    /// Counts an event.
    pub fn count(&mut self, key: &[u8], bytes: u64) {
        let count = self.counts.entry(prefix(key, self.depth).to_vec()).or_default();
        count.events += 1;
        count.total += 1;
        count.bytes += bytes;
    }

    /// Ends an interval.
    pub fn roll(&mut self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(0.001);
        for count in self.counts.values_mut() {
            let mix = |before: f64, now: u64| before * DECAY + now as f64 / seconds * (1.0 - DECAY);
            count.rate =
                if count.rate == 0.0 { count.events as f64 / seconds } else { mix(count.rate, count.events) };
            count.bytes_rate = mix(count.bytes_rate, count.bytes);
            (count.events, count.bytes) = (0, 0);
        }
        self.forget();
    }

    fn forget(&mut self) {
        if self.counts.len() <= PREFIXES_MAX {
            return;
        }
        let mut rates: Vec<f64> = self.counts.values().map(|count| count.rate).collect();
        rates.sort_by(|a, b| b.total_cmp(a));
        let coldest = rates[PREFIXES_MAX];
        self.counts.retain(|_, count| count.rate > coldest);
    }

    /// Returns the hottest, at most so many.
    pub fn hottest(&self, most: usize) -> Vec<HotPrefix> {
        let mut all: Vec<HotPrefix> = self
            .counts
            .iter()
            .filter(|(_, count)| count.rate >= RATE_MIN)
            .map(|(prefix, count)| HotPrefix {
                prefix: prefix.clone(),
                rate: count.rate,
                events: count.total,
                bytes_rate: count.bytes_rate,
            })
            .collect();
        all.sort_by(|a, b| b.rate.total_cmp(&a.rate));
        all.truncate(most);
        all
    }
}

/// The first segments of a key. A slash in front belongs to the first one.
fn prefix(key: &[u8], depth: usize) -> &[u8] {
    let start = usize::from(key.starts_with(b"/"));
    let slashes =
        key.iter().enumerate().skip(start).filter(|(_, byte)| **byte == b'/').map(|(place, _)| place + 1);
    slashes.take(depth).last().map_or(key, |end| &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_the_first_segments() {
        for (key, expected) in [
            ("/registry/pods/default/a", "/registry/pods/"),
            ("a/b/c", "a/b/"),
            ("/a/b", "/a/"),
            ("lock", "lock"),
            ("", ""),
        ] {
            assert_eq!(prefix(key.as_bytes(), 2), expected.as_bytes());
        }
    }

    #[test]
    fn the_hottest_comes_first_and_cools_down() {
        let mut hot = Hot::new(1);
        (0..10).for_each(|_| hot.count(b"/a/x", 100));
        (0..4).for_each(|_| hot.count(b"/b/x", 1));
        hot.roll(Duration::from_secs(2));
        let hottest = hot.hottest(9);
        assert_eq!(hottest.iter().map(|prefix| prefix.rate).collect::<Vec<_>>(), [5.0, 2.0]);
        assert_eq!(hottest[0].prefix, b"/a/");
        hot.roll(Duration::from_secs(2));
        assert_eq!(hot.hottest(1)[0].rate, 2.5);
        (0..20).for_each(|_| hot.roll(Duration::from_secs(2)));
        assert_eq!(hot.hottest(9), []);
    }

    #[test]
    fn no_more_prefixes_are_counted_than_fit() {
        let mut hot = Hot::new(1);
        (0..PREFIXES_MAX * 2).for_each(|key| hot.count(format!("{key}/").as_bytes(), 1));
        hot.count(b"7/x", 1);
        hot.roll(Duration::from_secs(1));
        assert!(hot.counts.len() <= PREFIXES_MAX);
        assert_eq!(hot.hottest(1)[0].prefix, b"7/");
    }
}
