//! Watch streams of one server, and what every watch on them must have seen.
//!
//! One more watch, on a stream of its own, sees every change from the first on (the *tape*). Every change has a revision of
//! its own, so the tape is complete when its last event has the store's revision; and then every other watch must have
//! exactly the events of the tape that its range, its start and its filters let through. That is checked on each side by
//! itself; the tapes of the two sides must be equal.

use std::collections::BTreeMap;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::generate::STREAMS;

/// No wait is longer: it is a failure then.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// After so long without an answer a progress report is asked for again.
const PROGRESS_AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

/// And so many times.
const PROGRESS_ATTEMPTS: usize = 100;

/// One bidirectional stream.
struct Stream {
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: mpsc::UnboundedReceiver<Result<pb::WatchResponse, Status>>,
    watches: BTreeMap<i64, Watch>,
    /// Answers that carry no events, not yet asked for.
    control: Vec<pb::WatchResponse>,
}

/// One watch: what was asked, what came.
struct Watch {
    request: pb::WatchCreateRequest,
    /// Store's revision and newest compaction when it was created.
    created_at: i64,
    compacted: i64,
    events: Vec<Event>,
    /// So many of its events have been checked, against so many of the tape.
    verified: usize,
    tape_seen: usize,
    /// Fragments of a response that go on (`fragment`).
    in_fragment: bool,
    canceled: Option<pb::WatchResponse>,
}

/// All watch streams of a server.
pub(crate) struct Watches {
    tape: Stream,
    streams: Vec<Stream>,
    /// A watch was created with a start in the past, and may not have got there yet.
    behind: bool,
}

impl Watches {
    pub(crate) async fn open(channel: &Channel) -> Watches {
        let mut tape = Stream::open(channel);
        let everything = pb::WatchCreateRequest {
            key: b"\x00".as_slice().into(),
            range_end: b"\x00".as_slice().into(),
            start_revision: 1,
            prev_kv: true,
            ..pb::WatchCreateRequest::default()
        };
        tape.create(everything, 1, 0).await;
        let streams = (0..STREAMS).map(|_| Stream::open(channel)).collect();
        Watches { tape, streams, behind: false }
    }

    pub(crate) async fn create(
        &mut self,
        stream: usize,
        request: pb::WatchCreateRequest,
        revision: i64,
        compacted: i64,
    ) -> pb::WatchResponse {
        self.behind |= (1..=revision).contains(&request.start_revision);
        self.streams[stream].create(request, revision, compacted).await
    }

    /// Cancels; `None` when no such watch is on the stream, which is not answered.
    pub(crate) async fn cancel(&mut self, stream: usize, watch_id: i64) -> Option<pb::WatchResponse> {
        self.streams[stream].cancel(watch_id).await
    }

    /// Waits until every watch has caught up, also one that has nothing to get: a compaction would cancel it, or not,
    /// depending on the moment. False when that cannot be known.
    ///
    /// A further watch that starts at the newest revision gets its event not before those created earlier were looked
    /// at: watches that are behind are served in turn.
    async fn catch_up(&mut self, revision: i64, compacted: i64) -> Result<bool, String> {
        if self.behind && revision > compacted {
            let everything = b"\x00".as_slice();
            let last = pb::WatchCreateRequest {
                key: everything.into(),
                range_end: everything.into(),
                start_revision: revision,
                ..pb::WatchCreateRequest::default()
            };
            let id = self.tape.create(last, revision, compacted).await.watch_id;
            self.tape.wait(|stream| !stream.watches[&id].events.is_empty(), "the newest change").await?;
            self.tape.cancel(id).await;
            self.behind = false;
        }
        Ok(!self.behind)
    }

    /// Settles, so that a compaction finds every watch where it must be.
    pub(crate) async fn settle_for_compaction(
        &mut self,
        revision: i64,
        compacted: i64,
    ) -> Result<(), String> {
        self.settle(revision).await?;
        self.catch_up(revision, compacted).await.map(|_| ())
    }

    /// Asks until progress is reported: the answer may stay away while a watch catches up. `None` when there is no answer
    /// at all (semantics.md section 7.3): without a watch, with one that starts in the future, or with one that compaction
    /// has canceled and the client has not (etcd counts that among those that are not synced).
    pub(crate) async fn progress(
        &mut self,
        stream: usize,
        revision: i64,
        compacted: i64,
    ) -> Result<Option<pb::WatchResponse>, String> {
        self.settle(revision).await?;
        if !self.catch_up(revision, compacted).await? {
            return Ok(None);
        }
        let stream = &mut self.streams[stream];
        let silent = |watch: &Watch| watch.canceled.is_some() || watch.request.start_revision > revision;
        if stream.watches.is_empty() || stream.watches.values().any(silent) {
            return Ok(None);
        }
        stream.progress().await.map(Some)
    }

    /// Waits until every watch has what it must have, and says what it has otherwise.
    pub(crate) async fn settle(&mut self, revision: i64) -> Result<(), String> {
        self.tape.wait(|stream| stream.last_revision() >= revision, "the tape").await?;
        let events = &self.tape.watches.values().next().expect("the tape's watch is never canceled").events;
        for stream in &mut self.streams {
            stream.settle(events).await?;
        }
        Ok(())
    }

    /// Every event there was.
    pub(crate) fn tape(&self) -> &[Event] {
        &self.tape.watches.values().next().expect("the tape's watch is never canceled").events
    }
}

impl Stream {
    fn open(channel: &Channel) -> Stream {
        let (requests, outgoing) = mpsc::channel(16);
        let (incoming, responses) = mpsc::unbounded_channel();
        let mut client = WatchClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        // A task, because the call returns with the first answer only: etcd sends no headers before it.
        tokio::spawn(async move {
            let called = client.watch(ReceiverStream::new(outgoing)).await;
            let mut stream = match called {
                Ok(stream) => stream.into_inner(),
                Err(status) => return drop(incoming.send(Err(status))),
            };
            while let Some(message) = stream.message().await.transpose() {
                if incoming.send(message).is_err() {
                    return;
                }
            }
        });
        Stream { requests, responses, watches: BTreeMap::new(), control: Vec::new() }
    }

    async fn send(&self, request: RequestUnion) {
        let request = pb::WatchRequest { request_union: Some(request) };
        self.requests.send(request).await.expect("the stream is open");
    }

    async fn create(
        &mut self,
        request: pb::WatchCreateRequest,
        revision: i64,
        compacted: i64,
    ) -> pb::WatchResponse {
        self.send(RequestUnion::CreateRequest(request.clone())).await;
        let created =
            self.next_control(|response| response.created).await.expect("every creation is answered");
        if !created.canceled {
            let watch = Watch {
                request,
                created_at: revision,
                compacted,
                events: Vec::new(),
                verified: 0,
                tape_seen: 0,
                in_fragment: false,
                canceled: None,
            };
            // Under an id that a compaction has canceled there is none before this one is gone (semantics.md 7.3).
            self.watches.insert(created.watch_id, watch);
        }
        created
    }

    async fn cancel(&mut self, watch_id: i64) -> Option<pb::WatchResponse> {
        self.send(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id })).await;
        self.watches.get(&watch_id)?;
        let canceled = self.next_control(|response| response.canceled && response.watch_id == watch_id).await;
        self.watches.remove(&watch_id);
        Some(canceled.expect("a cancellation of a watch is answered"))
    }

    async fn progress(&mut self) -> Result<pb::WatchResponse, String> {
        for _ in 0..PROGRESS_ATTEMPTS {
            self.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
            let wait = self.next_control(|response| response.watch_id == -1 && !response.created);
            if let Ok(answer) = tokio::time::timeout(PROGRESS_AGAIN, wait).await {
                // The answer may be to an earlier question; no step came between.
                return answer;
            }
        }
        let watches: Vec<_> =
            self.watches.iter().map(|(id, watch)| (id, &watch.request, &watch.canceled)).collect();
        Err(format!("no progress is reported, with {watches:?}"))
    }

    /// Takes the responses in until one without events is `wanted`.
    async fn next_control(
        &mut self,
        wanted: impl Fn(&pb::WatchResponse) -> bool,
    ) -> Result<pb::WatchResponse, String> {
        loop {
            if let Some(place) = self.control.iter().position(&wanted) {
                return Ok(self.control.remove(place));
            }
            self.receive().await?;
        }
    }

    async fn wait(&mut self, done: impl Fn(&Stream) -> bool, what: &str) -> Result<(), String> {
        while !done(self) {
            self.receive().await.map_err(|why| format!("{what}: {why}"))?;
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), String> {
        let response = match tokio::time::timeout(DEADLINE, self.responses.recv()).await {
            Err(_) => return Err(format!("nothing came on a watch stream for {DEADLINE:?}")),
            Ok(None) => return Err("a watch stream ended".to_owned()),
            Ok(Some(Err(status))) => return Err(format!("a watch stream ended: {status}")),
            Ok(Some(Ok(response))) => response,
        };
        if !response.events.is_empty() {
            return self.take_events(response);
        }
        if response.canceled && response.compact_revision > 0 {
            let watch = self.watches.get_mut(&response.watch_id);
            watch.ok_or("an unknown watch was canceled by compaction")?.canceled = Some(response);
            return Ok(());
        }
        self.control.push(response);
        Ok(())
    }

    fn take_events(&mut self, response: pb::WatchResponse) -> Result<(), String> {
        let id = response.watch_id;
        let watch =
            self.watches.get_mut(&id).ok_or_else(|| format!("events for an unknown watch: {response:?}"))?;
        let first = revision_of(&response.events[0]);
        let before = watch.events.last().map_or(0, revision_of);
        if first < before || (first == before && !watch.in_fragment) {
            return Err(format!("watch {id} got r{before} and then, in another response, r{first}"));
        }
        let last = response.events.last().map_or(0, revision_of);
        let header = response.header.as_ref().map_or(0, |header| header.revision);
        if header < last {
            return Err(format!("watch {id}: the header says r{header}, the last event is of r{last}"));
        }
        watch.in_fragment = response.fragment;
        watch.events.extend(response.events);
        Ok(())
    }

    fn last_revision(&self) -> i64 {
        self.watches.values().filter_map(|watch| watch.events.last()).map(revision_of).max().unwrap_or(1)
    }

    async fn settle(&mut self, tape: &[Event]) -> Result<(), String> {
        for id in self.watches.keys().copied().collect::<Vec<_>>() {
            let expected = self.watches[&id].expected(tape);
            let verified = self.watches[&id].verified;
            let wanted = verified + expected.len();
            let what = format!("watch {id} ({:?}), {wanted} events", self.watches[&id].request);
            self.wait(|stream| stream.watches[&id].has(wanted), &what).await?;
            let watch = self.watches.get_mut(&id).expect("nobody removes it here");
            let got = &watch.events[verified..];
            if got != expected {
                let place = got.iter().zip(&expected).position(|(got, wanted)| got != wanted);
                let place = place.unwrap_or(expected.len().min(got.len()));
                let (got, wanted) = (got.get(place), expected.get(place));
                return Err(format!("{what}: event {} is {got:?}, not {wanted:?}", verified + place));
            }
            (watch.verified, watch.tape_seen) = (wanted, tape.len());
        }
        Ok(())
    }
}

impl Watch {
    /// Started below the compaction: it must be told so, and see nothing.
    fn too_late(&self) -> bool {
        self.request.start_revision > 0 && self.request.start_revision < self.compacted
    }

    fn has(&self, wanted: usize) -> bool {
        if self.too_late() { self.canceled.is_some() } else { self.events.len() >= wanted }
    }

    /// What it must see of the tape, from where the last check ended.
    fn expected(&self, tape: &[Event]) -> Vec<Event> {
        if self.too_late() {
            return Vec::new();
        }
        let start = match self.request.start_revision {
            start @ 1.. => start,
            _ => self.created_at + 1,
        };
        let passes = |event: &&Event| {
            let key = event.kv.as_ref().map(|kv| kv.key.as_ref()).unwrap_or_default();
            revision_of(event) >= start
                && self.covers(key)
                && !self.request.filters.contains(&filter_of(event))
        };
        tape[self.tape_seen..].iter().filter(passes).map(|event| self.as_sent(event)).collect()
    }

    /// semantics.md section 7.1 and section 0, "key ranges".
    fn covers(&self, key: &[u8]) -> bool {
        let start: &[u8] = if self.request.key.is_empty() { b"\x00" } else { &self.request.key };
        match self.request.range_end.as_ref() {
            b"" => key == start,
            b"\x00" => key >= start,
            end => key >= start && key < end,
        }
    }

    /// The previous version comes when asked for, unless the revision before is compacted (semantics.md section 7.2).
    fn as_sent(&self, event: &Event) -> Event {
        let known = revision_of(event) > self.created_at || revision_of(event) > self.compacted;
        let prev_kv = event.prev_kv.clone().filter(|_| self.request.prev_kv && known);
        Event { prev_kv, ..event.clone() }
    }
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn filter_of(event: &Event) -> i32 {
    match event.r#type() {
        EventType::Put => pb::watch_create_request::FilterType::Noput as i32,
        EventType::Delete => pb::watch_create_request::FilterType::Nodelete as i32,
    }
}
