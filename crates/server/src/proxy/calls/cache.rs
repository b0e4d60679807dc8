//! Ranges that were read, to answer serializable reads from: what is in it may be older than the members' state, but not than
//! a write through this proxy.
//!
//! A range goes when a write through the proxy touches it, after a few seconds, and when there is no room (the one that was asked for least recently
//! goes first). Writes that go to the members by another way leave it as it is, as in etcd.
//!
//! A range that is being read while a write touches it is not kept: whether it was read before the write or after it is not
//! known. Nor is one that a member has answered which is behind what was seen through this proxy.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use proto::etcdserverpb::RangeRequest;

use super::super::limits::{
    CACHED_BYTES_MAX, CACHED_FOR, CACHED_RANGES_MAX, REMEMBERED_WRITES_MAX, WRITTEN_KEYS_MAX,
};
use super::raw::Raw;

/// A range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) key: Bytes,
    /// Empty: the one key. A zero byte: to the end.
    pub(super) range_end: Bytes,
}

/// A moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The number of writes before it.
    written: u64,
    at: Instant,
}

/// What is known of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The answer.
    Answer(Raw),
    /// The revision that it asks for is compacted.
    Compacted,
    Nothing,
}

#[derive(Debug)]
struct Entry {
    keys: Keys,
    /// The revision that it asks for; 0: the newest.
    revision: i64,
    answer: Raw,
    /// When its reading began.
    read: Instant,
    last_used: u64,
}

/// The ranges.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Bytes, Entry>,
    by_use: BTreeMap<u64, Bytes>,
    uses: u64,
    bytes: usize,
    /// The newest writes, the last of them being number `written`.
    writes: VecDeque<Keys>,
    written: u64,
    compacted: i64,
    /// The highest revision of an answer that says how far the members are: to a write, or to a linearizable read.
    seen: i64,
}

impl Cache {
    /// Returns what is known of a range.
    pub(super) fn get(&mut self, request: &Bytes, revision: i64, now: Instant) -> Found {
        if revision > 0 && revision < self.compacted {
            self.remove(request);
            return Found::Compacted;
        }
        self.uses += 1;
        let is_old = |entry: &Entry| now.saturating_duration_since(entry.read) >= CACHED_FOR;
        if self.entries.get(request).is_some_and(is_old) {
            self.remove(request);
        }
        let Some(entry) = self.entries.get_mut(request) else { return Found::Nothing };
        self.by_use.remove(&std::mem::replace(&mut entry.last_used, self.uses));
        self.by_use.insert(self.uses, request.clone());
        Found::Answer(entry.answer.clone())
    }

    /// Returns the moment from which on a range is read that is to be [added](Self::add).
    pub(super) fn now(&self) -> Moment {
        Moment { written: self.written, at: Instant::now() }
    }

    /// Notes how far the members are.
    pub(super) fn saw(&mut self, revision: i64) {
        self.seen = self.seen.max(revision);
    }

    /// Keeps a range that a member has answered at a revision, unless it was written since its reading began, or that member is
    /// behind what was seen.
    pub(super) fn add(
        &mut self,
        key: Bytes,
        request: &RangeRequest,
        began: Moment,
        revision: i64,
        answer: Raw,
    ) {
        let keys = Keys { key: request.key.clone(), range_end: request.range_end.clone() };
        let bytes = key.len() + answer.0.len();
        let is_too_large = bytes > CACHED_BYTES_MAX / 8;
        if is_too_large || revision < self.seen || request.revision < 0 || self.is_written_since(began, &keys)
        {
            return;
        }
        self.remove(&key);
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        let (revision, read, last_used) = (request.revision, began.at, self.uses);
        let entry = Entry { keys, revision, answer, read, last_used };
        self.entries.insert(key, entry);
        self.bytes += bytes;
        while self.entries.len() > CACHED_RANGES_MAX || self.bytes > CACHED_BYTES_MAX {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
        }
    }

    fn is_written_since(&self, began: Moment, keys: &Keys) -> bool {
        let since = self.written - began.written;
        let remembered = self.writes.len() as u64;
        since > remembered
            || self.writes.iter().rev().take(since as usize).any(|written| written.touches(keys))
    }

    fn remove(&mut self, key: &Bytes) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.last_used);
            self.bytes -= key.len() + entry.answer.0.len();
        }
    }

    /// Notes that keys are being written, or have been: ranges of them go, but for those of a revision of their own.
    /// So many keys that comparing would take long take everything.
    pub(super) fn write(&mut self, written: &[Keys]) {
        if written.len() > WRITTEN_KEYS_MAX {
            return self.clear();
        }
        for keys in written {
            self.written += 1;
            self.writes.push_back(keys.clone());
            if self.writes.len() > REMEMBERED_WRITES_MAX {
                self.writes.pop_front();
            }
        }
        let is_touched =
            |entry: &Entry| entry.revision == 0 && written.iter().any(|keys| keys.touches(&entry.keys));
        let touched = self.entries.iter().filter(|(_, entry)| is_touched(entry));
        let touched: Vec<Bytes> = touched.map(|(key, _)| key.clone()).collect();
        touched.iter().for_each(|key| self.remove(key));
    }

    /// Notes a compaction.
    pub(super) fn compact(&mut self, revision: i64) {
        self.compacted = self.compacted.max(revision);
    }

    /// Forgets everything: who may read has changed.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
        self.bytes = 0;
        // What is being read was read by the old rules.
        let everything = Keys { key: Bytes::from_static(&[0]), range_end: Bytes::from_static(&[0]) };
        self.write(&[everything]);
    }

    /// Returns how many ranges there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Keys {
    /// Returns whether the two have a key in common.
    fn touches(&self, other: &Keys) -> bool {
        self.begins_before_end_of(other) && other.begins_before_end_of(self)
    }

    fn begins_before_end_of(&self, other: &Keys) -> bool {
        match other.range_end.as_ref() {
            [] => self.key <= other.key,
            [0] => true,
            end => self.key.as_ref() < end,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keys(key: &'static str, range_end: &'static str) -> Keys {
        Keys { key: key.into(), range_end: range_end.into() }
    }

    fn add(cache: &mut Cache, key: &'static str, range_end: &'static str, began: Moment) {
        let request = RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
        cache.add(key.into(), &request, began, 1, Raw(key.into()));
    }

    fn has(cache: &mut Cache, key: &'static str) -> bool {
        cache.get(&key.into(), 0, Instant::now()) != Found::Nothing
    }

    #[test]
    fn ranges_have_keys_in_common_or_not() {
        for (one, other, expected) in [
            (keys("a", ""), keys("a", ""), true),
            (keys("a", ""), keys("b", ""), false),
            (keys("a", "c"), keys("b", ""), true),
            (keys("a", "c"), keys("c", ""), false),
            (keys("a", "c"), keys("b", "d"), true),
            (keys("a", "b"), keys("b", "d"), false),
            (keys("b", "\0"), keys("a", ""), false),
            (keys("b", "\0"), keys("z", ""), true),
            (keys("\0", "\0"), keys("b", "\0"), true),
        ] {
            assert_eq!((one.touches(&other), other.touches(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_write_takes_the_ranges_that_it_touches() {
        let mut cache = Cache::default();
        let began = cache.now();
        add(&mut cache, "a", "", began);
        add(&mut cache, "b", "d", began);
        add(&mut cache, "x", "", began);
        cache.write(&[keys("c", "")]);
        assert_eq!(["a", "b", "x"].map(|key| has(&mut cache, key)), [true, false, true]);
        assert_eq!(cache.len(), 2);
        cache.clear();
        assert_eq!((cache.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn a_range_lives_for_a_while() {
        let mut cache = Cache::default();
        let began = cache.now();
        add(&mut cache, "a", "", began);
        let after = |time| began.at + time;
        let almost = CACHED_FOR - Duration::from_millis(1);
        assert!(matches!(cache.get(&"a".into(), 0, after(almost)), Found::Answer(_)));
        assert_eq!(cache.get(&"a".into(), 0, after(CACHED_FOR)), Found::Nothing);
        assert_eq!((cache.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn the_answer_of_a_member_that_is_behind_is_not_kept() {
        let mut cache = Cache::default();
        let request = RangeRequest { key: "a".into(), ..Default::default() };
        cache.saw(7);
        cache.saw(5);
        for (revision, is_kept) in [(6, false), (7, true)] {
            cache.add("a".into(), &request, cache.now(), revision, Raw::default());
            assert_eq!(has(&mut cache, "a"), is_kept);
        }
    }

    #[test]
    fn a_write_of_very_many_keys_takes_everything() {
        let mut cache = Cache::default();
        let began = cache.now();
        for (count, is_there) in [(WRITTEN_KEYS_MAX, true), (WRITTEN_KEYS_MAX + 1, false)] {
            let began = cache.now();
            add(&mut cache, "a", "", began);
            cache.write(&vec![keys("x", ""); count]);
            assert_eq!(has(&mut cache, "a"), is_there);
        }
        add(&mut cache, "b", "", began);
        assert!(!has(&mut cache, "b"), "it may have been among them");
    }

    #[test]
    fn what_was_read_while_it_was_written_is_not_kept() {
        let mut cache = Cache::default();
        let began = cache.now();
        cache.write(&[keys("a", "")]);
        add(&mut cache, "a", "", began);
        add(&mut cache, "b", "", began);
        assert!(!has(&mut cache, "a") && has(&mut cache, "b"));
        let began = cache.now();
        (0..=REMEMBERED_WRITES_MAX).for_each(|_| cache.write(&[keys("x", "")]));
        add(&mut cache, "c", "", began);
        assert!(!has(&mut cache, "c"), "what was written first is not remembered");
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_makes_room() {
        let mut cache = Cache::default();
        let began = cache.now();
        add(&mut cache, "first", "", began);
        add(&mut cache, "second", "", began);
        assert!(has(&mut cache, "first"));
        for number in 0..CACHED_RANGES_MAX - 1 {
            let request = RangeRequest { key: number.to_string().into(), ..Default::default() };
            cache.add(request.key.clone(), &request, began, 1, Raw::default());
        }
        assert!(has(&mut cache, "first") && !has(&mut cache, "second"));
        assert_eq!((cache.len(), cache.by_use.len()), (CACHED_RANGES_MAX, CACHED_RANGES_MAX));
        let large = Raw(vec![0; CACHED_BYTES_MAX / 10].into());
        for number in 0..20 {
            let request = RangeRequest { key: number.to_string().into(), ..Default::default() };
            cache.add(request.key.clone(), &request, began, 1, large.clone());
        }
        assert!(cache.bytes <= CACHED_BYTES_MAX && cache.len() == 9, "{}", cache.len());
    }

    #[test]
    fn a_range_of_a_revision_survives_writes_and_not_a_compaction() {
        let mut cache = Cache::default();
        let request = RangeRequest { key: "a".into(), revision: 5, ..Default::default() };
        cache.add("a".into(), &request, cache.now(), 1, Raw::default());
        cache.write(&[keys("a", "")]);
        assert!(matches!(cache.get(&"a".into(), 5, Instant::now()), Found::Answer(_)));
        cache.compact(6);
        assert_eq!(cache.get(&"a".into(), 5, Instant::now()), Found::Compacted);
        assert_eq!(cache.len(), 0);
    }
}
