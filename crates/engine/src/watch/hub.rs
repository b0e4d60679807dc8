//! The watchers of one network worker.

mod pieces;
mod restored;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use mvcc::{Change, KeyRange, RangeEnd};

use self::pieces::{push_events, split_by_revisions};
use super::bounds::Bounds;
use super::range_set::RangeSet;
use super::recent::Recent;
use super::reply::{Batch, Kind, WatchReply};
use super::stream::{Holder, Stream};
use super::watcher::{CatchUpJob, CaughtUp, CreateWatch, Feed, StreamId, Watcher, WatcherId};
use crate::limits::{WATCHED_KEYS_BYTES_FREE, WATCHED_KEYS_BYTES_MAX, WATCHERS_PER_STREAM_MAX};
use crate::memory::WatchQueues;
use crate::published::Generation;
use crate::wire::Header;

/// See the module above. All calls are synchronous; [`Hub::take_jobs`] hands out what the catch-up thread must do.
#[derive(Debug)]
pub struct Hub {
    /// Cluster and member for headers; the term is set by the shell.
    pub identity: Header,
    /// Newest published revision.
    position: i64,
    compact_revision: i64,
    recent: Recent,
    streams: BTreeMap<StreamId, Stream>,
    watchers: HashMap<WatcherId, Watcher>,
    /// Bytes of the watchers' keys, beyond what each has for free.
    long_keys_bytes: usize,
    next_id: u64,
    /// Watchers of one key each. Thousands may watch the same, and go one by one.
    live_keys: HashMap<Bytes, BTreeSet<WatcherId>>,
    live_ranges: RangeSet<WatcherId>,
    jobs: Vec<CatchUpJob>,
    bounds: Bounds,
    queues: Arc<WatchQueues>,
    matched: Vec<(WatcherId, usize)>,
    /// Previous pairs that may yet be read from the disk in this call.
    reads_left: usize,
    /// Streams of watchers that have just fallen behind because there is much to read for them.
    to_resume: BTreeSet<StreamId>,
    /// The state of users and permissions in which all watchers were found to be permitted.
    pub(super) permitted_in: Option<Generation>,
}

impl Hub {
    /// Returns a hub whose next published revision is above `position`, and whose streams have their part of the queues.
    pub fn new(identity: Header, position: i64, bounds: Bounds, queues: Arc<WatchQueues>) -> Self {
        Self {
            identity,
            position,
            compact_revision: -1,
            recent: Recent::after(position, bounds),
            streams: BTreeMap::new(),
            watchers: HashMap::new(),
            long_keys_bytes: 0,
            next_id: 0,
            live_keys: HashMap::new(),
            live_ranges: RangeSet::default(),
            jobs: Vec::new(),
            bounds,
            queues,
            matched: Vec::new(),
            reads_left: 0,
            to_resume: BTreeSet::new(),
            permitted_in: None,
        }
    }

    fn header(&self, revision: i64) -> Header {
        Header { revision, ..self.identity }
    }

    /// Number of watchers.
    pub fn watcher_count(&self) -> usize {
        self.watchers.len()
    }

    /// Number of watchers that are behind.
    pub fn slow_watcher_count(&self) -> usize {
        self.watchers.values().filter(|watcher| watcher.feed != Feed::Live).count()
    }

    /// Number of events that wait in the queues of the streams.
    pub fn pending_event_count(&self) -> usize {
        self.streams.values().map(Stream::queued_events).sum()
    }

    /// Number of streams.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Opens a stream.
    pub fn open(&mut self) -> StreamId {
        self.next_id += 1;
        let id = StreamId(self.next_id);
        self.streams.insert(id, Stream::new(self.bounds, self.queues.clone()));
        id
    }

    /// Closes a stream and forgets its watchers.
    pub fn close(&mut self, stream: StreamId) {
        let Some(mut closed) = self.streams.remove(&stream) else { return };
        for holder in std::mem::take(&mut closed.ids).into_values() {
            if let Holder::Live(watcher) = holder {
                self.forget(watcher);
            }
        }
    }

    fn forget(&mut self, id: WatcherId) {
        let Some(watcher) = self.watchers.remove(&id) else { return };
        self.long_keys_bytes -= long_bytes(&watcher.range);
        if let Some(stream) = self.streams.get_mut(&watcher.stream) {
            match watcher.feed {
                Feed::Live => stream.standing.leaves_live(id, watcher.due()),
                Feed::Stalled | Feed::Reading => stream.standing.leaves_behind(),
            }
            if watcher.feed == Feed::Stalled {
                stream.stalled.retain(|other| *other != id);
            }
        }
        if watcher.feed == Feed::Live {
            self.unlist(id, &watcher.range);
        }
        // Whoever is read for: the answer meets nobody.
    }

    /// The next message of a stream; `None` after remembering whom to wake.
    pub fn next_reply(&mut self, stream: StreamId, waker: &Waker) -> Option<WatchReply> {
        self.reads_left = self.bounds.previous_reads;
        let state = self.streams.get_mut(&stream)?;
        let reply = state.pop(waker);
        self.resume(stream);
        reply
    }

    /// Whether a stream takes requests: not while its client does not read the answers to those before. If not,
    /// `waker` is woken when it does again.
    pub fn takes_requests(&mut self, stream: StreamId, waker: &Waker) -> bool {
        self.streams.get_mut(&stream).is_none_or(|state| state.takes_requests(waker))
    }

    /// Lets watchers go on that wait for their turn, longest waiting first: not many at once.
    fn resume(&mut self, stream: StreamId) {
        for _ in 0..self.bounds.resumed {
            let Some(watcher) = self.streams.get_mut(&stream).and_then(Stream::next_stalled) else { return };
            self.feed(watcher);
        }
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.resume_later();
        }
    }

    /// Creates a watcher, or queues the refusal. `current` is the store's revision, which may be ahead of what was
    /// published here: a watch "from now" starts after it, not after what this hub happens to have seen.
    pub fn create(&mut self, stream: StreamId, request: CreateWatch, current: i64) {
        let header = self.header(current);
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let long_keys_bytes = self.long_keys_bytes + long_bytes(&request.range);
        let has_room = long_keys_bytes <= WATCHED_KEYS_BYTES_MAX || long_keys_bytes == self.long_keys_bytes;
        let chosen = if has_room { choose_id(state, &request) } else { Err("etcdserver: too many requests") };
        let watch_id = match chosen {
            Ok(id) => id,
            Err(reason) => {
                let kind = Kind::Refused { reason: reason.to_owned() };
                return state.push(WatchReply { header, watch_id: -1, kind });
            }
        };
        self.next_id += 1;
        let id = WatcherId(self.next_id);
        state.ids.insert(watch_id, Holder::Live(id));
        state.push(WatchReply { header, watch_id, kind: Kind::Created });
        state.standing.joins();
        let watcher = Watcher {
            stream,
            watch_id,
            range: request.range,
            user: request.user,
            options: request.options,
            start_revision: request.start_revision.unwrap_or(0),
            next_revision: request.start_revision.unwrap_or(current + 1),
            feed: Feed::Stalled,
            active: false,
        };
        self.watchers.insert(id, watcher);
        self.long_keys_bytes = long_keys_bytes;
        self.reads_left = self.bounds.previous_reads;
        self.feed(id);
    }

    /// Refuses a creation for a reason that is not the hub's own.
    pub fn refuse(&mut self, stream: StreamId, reason: &str, current: i64) {
        let header = self.header(current);
        if let Some(state) = self.streams.get_mut(&stream) {
            let kind = Kind::Refused { reason: reason.to_owned() };
            state.push(WatchReply { header, watch_id: -1, kind });
        }
    }

    /// Cancels a watcher for its client; an unknown id is not answered.
    pub fn cancel(&mut self, stream: StreamId, watch_id: i64, current: i64) {
        let header = self.header(current);
        let Some(state) = self.streams.get_mut(&stream) else { return };
        match state.ids.remove(&watch_id) {
            None => {}
            Some(Holder::Compacted) => state.push(WatchReply { header, watch_id, kind: Kind::Canceled }),
            Some(Holder::Live(watcher)) => {
                state.push(WatchReply { header, watch_id, kind: Kind::Canceled });
                self.forget(watcher);
            }
        }
    }

    /// Answers a progress request: once for the whole stream, and only if every watcher on it is up to date.
    pub fn progress_request(&mut self, stream: StreamId) {
        let header = self.header(self.position);
        let Some(state) = self.streams.get_mut(&stream) else { return };
        if !state.is_full() && state.standing.is_up_to_date(self.position) {
            state.push(WatchReply { header, watch_id: -1, kind: Kind::Progress });
        }
    }

    /// A tick of a stream's progress clock: watchers that asked for it and had no event since the last one are told
    /// how far they are.
    pub fn progress_tick(&mut self, stream: StreamId) {
        let header = self.header(self.position);
        let Some(state) = self.streams.get_mut(&stream) else { return };
        let ids: Vec<(i64, WatcherId)> = state
            .ids
            .iter()
            .filter_map(|(watch_id, holder)| match holder {
                Holder::Live(id) => Some((*watch_id, *id)),
                Holder::Compacted => None,
            })
            .collect();
        for (watch_id, id) in ids {
            let Some(watcher) = self.watchers.get_mut(&id) else { continue };
            let quiet = !std::mem::take(&mut watcher.active);
            let is_wanted = watcher.options.progress_notify && quiet && !state.is_full();
            if is_wanted && watcher.is_up_to_date(self.position) {
                state.push(WatchReply { header, watch_id, kind: Kind::Progress });
            }
        }
    }

    /// Takes batches of changes, in revision order and following the last one, to all live watchers.
    ///
    /// # Panics
    /// When a revision comes twice or late: watchers would see the past again.
    pub fn publish<'b>(&mut self, batches: impl IntoIterator<Item = &'b Batch>) {
        self.reads_left = self.bounds.previous_reads;
        batches.into_iter().for_each(|batch| self.publish_batch(batch));
        while let Some(stream) = self.to_resume.pop_first() {
            self.resume(stream);
        }
    }

    fn publish_batch(&mut self, batch: &Batch) {
        let mut start = 0;
        while start < batch.len() {
            let revision = batch[start].revision.main;
            let same = |change: &Change| change.revision.main == revision;
            let end = start + batch[start..].iter().take_while(|change| same(change)).count();
            assert!(revision > self.position, "revision {revision} published after {}", self.position);
            self.position = revision;
            self.publish_revision(batch, start..end);
            start = end;
        }
        self.recent.push(batch.clone());
    }

    fn publish_revision(&mut self, batch: &Batch, changes: std::ops::Range<usize>) {
        let mut matched = std::mem::take(&mut self.matched);
        for index in changes.clone() {
            let key = &batch[index].key;
            if let Some(watchers) = self.live_keys.get(key) {
                matched.extend(watchers.iter().map(|id| (*id, index)));
            }
            self.live_ranges.containing(key, |id| matched.push((id, index)));
        }
        if changes.len() > 1 {
            matched.sort_unstable();
        }
        for group in matched.chunk_by(|a, b| a.0 == b.0) {
            self.deliver(batch, group);
        }
        matched.clear();
        self.matched = matched;
    }

    /// Sends the changes of one revision to one live watcher. Lets it fall behind if its stream is full, or if more has to be
    /// read for it than others on this worker may wait for.
    fn deliver(&mut self, batch: &Batch, changes: &[(WatcherId, usize)]) {
        let id = changes[0].0;
        let revision = self.position;
        let header = self.header(revision);
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        if revision < watcher.next_revision {
            return;
        }
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
        let indices = changes.iter().map(|(_, index)| *index);
        let events = match stream.is_full() {
            true => None,
            false => watcher.options.events(batch, indices, self.compact_revision, &mut self.reads_left),
        };
        let Some(events) = events else {
            if !stream.is_full() {
                self.to_resume.insert(watcher.stream);
            }
            watcher.next_revision = revision;
            watcher.feed = Feed::Stalled;
            stream.stalled.push_back(id);
            stream.standing.falls_behind();
            let range = watcher.range.clone();
            self.unlist(id, &range);
            return;
        };
        watcher.next_revision = revision + 1;
        if events.is_empty() {
            return;
        }
        watcher.active = true;
        push_events(stream, header, watcher, events, self.bounds.fragment_bytes);
    }

    /// Tells the hub how far history is gone: previous values from before that are not shown any more.
    pub fn compacted(&mut self, compact_revision: i64) {
        self.compact_revision = compact_revision;
    }

    /// Takes the catch-up jobs that have come up.
    pub fn take_jobs(&mut self) -> Vec<CatchUpJob> {
        std::mem::take(&mut self.jobs)
    }

    /// Takes what the catch-up thread found.
    pub fn caught_up(&mut self, stream: StreamId, id: WatcherId, found: CaughtUp) {
        self.reads_left = self.bounds.previous_reads;
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.reading -= 1;
        if self.watchers.contains_key(&id) {
            match found {
                CaughtUp::Compacted { compact_revision } => self.cancel_compacted(id, compact_revision),
                CaughtUp::Failed { reason } => self.cancel_failed(id, reason),
                CaughtUp::Changes { batch, through, held } => {
                    self.send_history(id, &batch, through);
                    drop(held);
                    self.feed(id);
                }
            }
        }
        self.resume(stream);
    }

    /// Returns who watches what.
    pub(super) fn watched(&self) -> impl Iterator<Item = (WatcherId, Option<&str>, &KeyRange)> {
        self.watchers.iter().map(|(id, watcher)| (*id, watcher.user.as_deref(), &watcher.range))
    }

    /// Ends a watcher whose events cannot be read, or may not be: a silent one would look as if nothing
    /// happened.
    pub(super) fn cancel_failed(&mut self, id: WatcherId, reason: String) {
        let header = self.header(self.position);
        let Some(watcher) = self.watchers.get(&id) else { return };
        let watch_id = watcher.watch_id;
        if let Some(stream) = self.streams.get_mut(&watcher.stream) {
            stream.ids.remove(&watch_id);
            stream.push(WatchReply { header, watch_id, kind: Kind::Failed { reason } });
        }
        self.forget(id);
    }

    fn cancel_compacted(&mut self, id: WatcherId, compact_revision: i64) {
        // A watcher is told its compact revision instead of a header revision (contract: semantics 7.1).
        let header = self.header(0);
        let Some(watcher) = self.watchers.get(&id) else { return };
        let watch_id = watcher.watch_id;
        if let Some(stream) = self.streams.get_mut(&watcher.stream) {
            stream.ids.insert(watch_id, Holder::Compacted);
            stream.push(WatchReply { header, watch_id, kind: Kind::Compacted { compact_revision } });
        }
        self.forget(id);
    }

    /// Feeds a watcher that is not live from wherever its next revision is to be had, until it is live again or its
    /// stream is full.
    fn feed(&mut self, id: WatcherId) {
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        debug_assert_ne!(watcher.feed, Feed::Live, "a live watcher is fed by publishing");
        if watcher.next_revision <= self.position {
            let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
            let from = watcher.next_revision;
            let recent = self.recent.since(from).filter(|_| from > self.compact_revision);
            let recent: Option<Vec<Batch>> = recent.map(|batches| batches.cloned().collect());
            if stream.is_full() {
                watcher.feed = Feed::Stalled;
                stream.stalled.push_back(id);
                return;
            }
            let Some(batches) = recent else { return self.read_for(id) };
            for batch in batches {
                if self.stalls(id) {
                    return;
                }
                let through = batch.last().map_or(from, |change| change.revision.main);
                if !self.send_history(id, &batch, through) {
                    return self.read_for(id);
                }
            }
        }
        let position = self.position;
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        watcher.next_revision = watcher.next_revision.max(position + 1);
        watcher.feed = Feed::Live;
        if let Some(stream) = self.streams.get_mut(&watcher.stream) {
            stream.standing.is_live(id, watcher.due(), position);
        }
        self.list(id);
    }

    /// Has a watcher wait for room if its stream is full. Returns whether it does.
    fn stalls(&mut self, id: WatcherId) -> bool {
        let Some(watcher) = self.watchers.get_mut(&id) else { return true };
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return true };
        let is_full = stream.is_full();
        if is_full {
            watcher.feed = Feed::Stalled;
            stream.stalled.push_back(id);
        }
        is_full
    }

    /// Has the catch-up thread read for a watcher, or lets it wait for its turn.
    fn read_for(&mut self, id: WatcherId) {
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
        if !stream.may_read() {
            watcher.feed = Feed::Stalled;
            stream.stalled.push_back(id);
            return;
        }
        watcher.feed = Feed::Reading;
        let is_alone = stream.reading == 0;
        stream.reading += 1;
        self.jobs.push(CatchUpJob {
            stream: watcher.stream,
            watcher: id,
            range: watcher.range.clone(),
            from: watcher.next_revision,
            is_alone,
            prev_kv: watcher.options.prev_kv,
        });
    }

    /// Queues what a watcher wants of `batch`, which holds everything from its next revision through `through`. Returns false
    /// and queues nothing if more has to be read for it than others on this worker may wait for.
    fn send_history(&mut self, id: WatcherId, batch: &Batch, through: i64) -> bool {
        // The store, and with it what was read, may be ahead of what was published here.
        let header = self.header(self.position.max(through));
        let Some(watcher) = self.watchers.get_mut(&id) else { return true };
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return true };
        let next = watcher.next_revision;
        assert!(through + 1 >= next, "a watcher at {next} was handed history through {through}");
        let wanted = (0..batch.len()).filter(|index| {
            batch[*index].revision.main >= next && watcher.range.contains(&batch[*index].key)
        });
        let reads_left = &mut self.reads_left;
        let Some(events) = watcher.options.events(batch, wanted, self.compact_revision, reads_left) else {
            return false;
        };
        watcher.next_revision = through + 1;
        for part in split_by_revisions(events, self.bounds.response_revisions) {
            watcher.active = true;
            push_events(stream, header, watcher, part, self.bounds.fragment_bytes);
        }
        true
    }

    fn list(&mut self, id: WatcherId) {
        let Some(watcher) = self.watchers.get(&id) else { return };
        let start = watcher.range.start.clone();
        match &watcher.range.end {
            RangeEnd::Single => drop(self.live_keys.entry(start).or_default().insert(id)),
            RangeEnd::Before(end) => self.live_ranges.insert(start, Some(end.clone()), id),
            RangeEnd::Open => self.live_ranges.insert(start, None, id),
        }
    }

    fn unlist(&mut self, id: WatcherId, range: &KeyRange) {
        if range.end != RangeEnd::Single {
            return self.live_ranges.remove(&range.start, id);
        }
        if let Some(watchers) = self.live_keys.get_mut(&range.start) {
            watchers.remove(&id);
            if watchers.is_empty() {
                self.live_keys.remove(&range.start);
            }
        }
    }
}

/// The id that a creation gets, or why it is refused (texts: contract, errors section 4).
fn choose_id(stream: &mut Stream, request: &CreateWatch) -> Result<i64, &'static str> {
    if is_empty(&request.range) {
        return Err("mvcc: watcher range is empty");
    }
    if stream.ids.len() >= WATCHERS_PER_STREAM_MAX {
        return Err("etcdserver: too many watchers on one stream");
    }
    match request.watch_id {
        None => Ok(stream.pick_id()),
        Some(id) if stream.ids.contains_key(&id) => {
            Err("mvcc: duplicate watch ID provided on the WatchStream")
        }
        Some(id) => Ok(id),
    }
}

/// Returns how many bytes of its keys a watcher has beyond what is free.
fn long_bytes(range: &KeyRange) -> usize {
    let end = match &range.end {
        RangeEnd::Before(end) => end.len(),
        RangeEnd::Single | RangeEnd::Open => 0,
    };
    (range.start.len() + end).saturating_sub(WATCHED_KEYS_BYTES_FREE)
}

fn is_empty(range: &KeyRange) -> bool {
    matches!(&range.end, RangeEnd::Before(end) if *end <= range.start)
}
