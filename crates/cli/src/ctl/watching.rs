//! Watches of this process, all on one stream, which is opened again when it breaks: each watch then goes on after the
//! last revision that it has seen.

use std::collections::VecDeque;
use std::time::Duration;

use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};

use super::connect::Session;
use super::print::note;
use super::refusal;

/// How long a broken stream is left alone before the next attempt: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The id in answers to a request for progress, which are for all watches.
const ALL: i64 = -1;

/// A watch, by the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchIndex(pub usize);

/// What happened to a watch.
#[derive(Clone, Debug)]
pub enum Notice {
    /// It was sent something.
    Response(WatchIndex, WatchResponse),
    /// It was refused, or its stream was: why. Nothing follows.
    Refused(WatchIndex, String),
    /// The server has ended it. Nothing follows.
    Ended(WatchIndex),
}

/// The watches.
pub struct Watching {
    session: Session,
    watches: Vec<Watch>,
    stream: Option<Open>,
    /// What to return next.
    notices: VecDeque<Notice>,
    attempts: Attempts,
}

struct Watch {
    request: WatchCreateRequest,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without an id: the server has not answered its creation on this stream.
    Creating,
    /// With the id that the server gave it.
    Established(i64),
    Ended,
}

struct Open {
    requests: mpsc::UnboundedSender<WatchRequest>,
    answers: Streaming<WatchResponse>,
    /// The watches whose creation is not answered, in the order of the requests.
    creating: VecDeque<usize>,
}

/// Attempts to open the stream since the last one that succeeded.
struct Attempts {
    since: Instant,
    pause: Duration,
    has_warned: bool,
}

impl Attempts {
    fn none() -> Attempts {
        Attempts { since: Instant::now(), pause: PAUSE_MIN, has_warned: false }
    }
}

impl Watching {
    /// Returns no watches.
    pub fn new(session: Session) -> Watching {
        let (watches, notices) = (Vec::new(), VecDeque::new());
        Watching { session, watches, stream: None, notices, attempts: Attempts::none() }
    }

    /// Adds a watch.
    pub fn add(&mut self, request: WatchCreateRequest) -> WatchIndex {
        let index = self.watches.len();
        self.watches.push(Watch { request, state: State::Creating });
        if let Some(stream) = &mut self.stream {
            stream.create(index, &self.watches[index].request);
        }
        WatchIndex(index)
    }

    /// Returns whether a watch waits for the answer to its creation.
    pub fn is_creating(&self) -> bool {
        self.watches.iter().any(|watch| watch.state == State::Creating)
    }

    /// Asks how far the watches are. The answer is a response for each of them.
    pub fn request_progress(&mut self) {
        if let Some(stream) = &self.stream {
            stream.send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
        }
    }

    /// Waits for what happens next. May be dropped and called again: nothing is lost. With no watch it waits for ever.
    pub async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return notice;
            }
            if self.watches.iter().all(|watch| watch.state == State::Ended) {
                return std::future::pending().await;
            }
            let Some(stream) = &mut self.stream else {
                self.open().await;
                continue;
            };
            match stream.answers.message().await {
                Ok(Some(response)) => self.receive(response),
                Ok(None) => self.broken(&Status::unavailable("the stream has ended")),
                Err(status) => self.broken(&status),
            }
        }
    }

    async fn open(&mut self) {
        let (requests, receiver) = mpsc::unbounded_channel();
        // The first requests go before the answer's headers, which some servers send only with an answer.
        let mut creating = VecDeque::new();
        for (index, watch) in self.watches.iter_mut().enumerate() {
            if watch.state != State::Ended {
                watch.state = State::Creating;
                let _ = requests.send(create_request(&watch.request));
                creating.push_back(index);
            }
        }
        let mut request = Request::new(UnboundedReceiverStream::new(receiver));
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        match self.session.watch_stub().watch(request).await {
            Ok(answers) => {
                self.stream = Some(Open { requests, answers: answers.into_inner(), creating });
                self.attempts = Attempts::none();
            }
            Err(status) => {
                self.broken(&status);
                self.pause(&status).await;
            }
        }
    }

    /// Pauses before the next attempt; says once that nothing answers.
    async fn pause(&mut self, status: &Status) {
        let limit = self.session.globals.duration("dial-timeout");
        if !self.attempts.has_warned && self.attempts.since.elapsed() > limit {
            self.attempts.has_warned = true;
            let endpoints = self.session.client.endpoints().join(", ");
            note(format_args!("Warning: no answer from {endpoints} ({}); trying again", status.message()));
        }
        tokio::time::sleep(self.attempts.pause).await;
        self.attempts.pause = PAUSE_MAX.min(self.attempts.pause * 2);
    }

    /// Closes the stream; ends all watches when there is no use in opening it again.
    fn broken(&mut self, status: &Status) {
        self.stream = None;
        let why = refusal::text_of(status);
        let passes =
            matches!(status.code(), Code::Unavailable | Code::Internal) && why != "etcdserver: no leader";
        if passes {
            return;
        }
        for (index, watch) in self.watches.iter_mut().enumerate() {
            if watch.state != State::Ended {
                watch.state = State::Ended;
                self.notices.push_back(Notice::Refused(WatchIndex(index), why.clone()));
            }
        }
    }

    fn receive(&mut self, response: WatchResponse) {
        if response.created {
            return self.created(&response);
        }
        if response.watch_id == ALL {
            let all = (0..self.watches.len()).filter(|index| self.is_established(*index));
            return all
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|index| self.deliver(index, response.clone()));
        }
        let state = State::Established(response.watch_id);
        let Some(index) = self.watches.iter().position(|watch| watch.state == state) else { return };
        if response.canceled && response.compact_revision == 0 {
            self.watches[index].state = State::Ended;
            return self.notices.push_back(Notice::Ended(WatchIndex(index)));
        }
        self.deliver(index, response);
    }

    fn is_established(&self, index: usize) -> bool {
        matches!(self.watches[index].state, State::Established(_))
    }

    fn created(&mut self, response: &WatchResponse) {
        let next = self.stream.as_mut().and_then(|stream| stream.creating.pop_front());
        let Some(index) = next else { return };
        let watch = &mut self.watches[index];
        if response.watch_id == ALL || response.canceled && !response.cancel_reason.is_empty() {
            watch.state = State::Ended;
            let why = response.cancel_reason.clone();
            return self.notices.push_back(Notice::Refused(WatchIndex(index), why));
        }
        watch.state = State::Established(response.watch_id);
        // What is written before a break of the stream is then not missed, even if nothing was seen before it.
        if watch.request.start_revision == 0 {
            watch.request.start_revision = response.header.unwrap_or_default().revision + 1;
        }
    }

    fn deliver(&mut self, index: usize, response: WatchResponse) {
        let watch = &mut self.watches[index];
        let last = response.events.last().and_then(|event| event.kv.as_ref()).map(|pair| pair.mod_revision);
        let seen = last.or(response.header.map(|header| header.revision)).unwrap_or(0);
        watch.request.start_revision = watch.request.start_revision.max(seen + 1);
        let is_over = response.canceled;
        self.notices.push_back(Notice::Response(WatchIndex(index), response));
        if is_over {
            watch.state = State::Ended;
            self.notices.push_back(Notice::Ended(WatchIndex(index)));
        }
    }
}

impl Open {
    fn create(&mut self, index: usize, request: &WatchCreateRequest) {
        let _ = self.requests.send(create_request(request));
        self.creating.push_back(index);
    }

    fn send(&self, request: RequestUnion) {
        let _ = self.requests.send(WatchRequest { request_union: Some(request) });
    }
}

fn create_request(request: &WatchCreateRequest) -> WatchRequest {
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(request.clone())) }
}
