//! What a connection's socket and the requests on it know of each other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backlog::Waiting;
use super::unread::{Held, Unread};
use crate::grpc::body::ResponseBody;

/// One connection. All of it happens on one thread, so the order of these stores never matters; but for the word to give
/// it up, which may come from any.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Requests that are not answered to the end.
    open: AtomicUsize,
    /// When the head began that is not complete yet: of a request, or the connection itself while it is not known what
    /// the client speaks. `None`: the client may be idle for as long as it likes.
    head_begun: Mutex<Option<Instant>>,
    head_begins: Notify,
    /// The client speaks HTTP/1.1, where the next request's head may come before the answer to this one.
    is_http1: AtomicBool,
    /// The newest bytes are not the end of a head: when the request has been answered, another has begun.
    has_more: AtomicBool,
    /// How often the connection had its turn.
    turn: AtomicU64,
    /// Nothing has come that says what the client speaks.
    is_silent: AtomicBool,
    /// The member leaves, and the client gets no more time to speak.
    is_turned_away: AtomicBool,
    /// Notified when the connection is to make room for others.
    given_up: Notify,
}

/// What the bytes of HTTP/1.1 that have come end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// An empty line, as every head does.
    EmptyLine,
    /// A part of a head, or a body.
    Other,
}

impl Conversation {
    /// A connection that begins now.
    pub(super) fn new() -> Self {
        Self {
            open: AtomicUsize::new(0),
            head_begun: Mutex::new(Some(Instant::now())),
            head_begins: Notify::new(),
            is_http1: AtomicBool::new(false),
            has_more: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            is_silent: AtomicBool::new(true),
            is_turned_away: AtomicBool::new(false),
            given_up: Notify::new(),
        }
    }

    /// Has the socket say goodbye to a client that has not spoken. Returns whether it will: one that has spoken is served.
    pub(super) fn turn_away_if_silent(&self) -> bool {
        let is_silent = self.is_silent.load(Ordering::Relaxed);
        self.is_turned_away.store(is_silent, Ordering::Relaxed);
        is_silent
    }

    /// Returns whether the socket is to say goodbye to a client that has not spoken.
    pub(super) fn is_turned_away(&self) -> bool {
        self.is_turned_away.load(Ordering::Relaxed)
    }

    /// Returns when the connection is to make room for others.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// Notes that the connection has its turn.
    pub(super) fn turn_begins(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of the turn.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Notes that frames of HTTP/2 have come, and whether the last of them leave a header block unfinished.
    pub(super) fn frames_came(&self, is_amid_block: bool) {
        self.is_silent.store(false, Ordering::Relaxed);
        match (is_amid_block, self.head_begun()) {
            (true, None) => self.begin_head(),
            (false, Some(_)) => self.end_head(),
            _ => {}
        }
    }

    /// Notes that bytes of HTTP/1.1 have come: those of a head, unless a request is being answered. Returns whether a head
    /// begins with them.
    pub(super) fn bytes_came(&self, last: Last) -> bool {
        self.is_silent.store(false, Ordering::Relaxed);
        let is_first = !self.is_http1.swap(true, Ordering::Relaxed);
        self.has_more.store(last == Last::Other, Ordering::Relaxed);
        let begins = !self.is_busy() && (is_first || self.head_begun().is_none());
        if begins {
            self.begin_head();
        }
        begins
    }

    /// Returns whether a head has begun that is not complete.
    pub(super) fn is_amid_head(&self) -> bool {
        self.head_begun().is_some()
    }

    /// Returns when a head is not complete after `limit`.
    pub(super) async fn late_head(&self, limit: Duration) {
        loop {
            let Some(begun) = self.head_begun() else {
                self.head_begins.notified().await;
                continue;
            };
            tokio::time::sleep_until((begun + limit).into()).await;
            if self.head_begun() == Some(begun) {
                return;
            }
        }
    }

    fn head_begun(&self) -> Option<Instant> {
        *self.head_begun.lock()
    }

    fn begin_head(&self) {
        *self.head_begun.lock() = Some(Instant::now());
        self.head_begins.notify_one();
    }

    fn end_head(&self) {
        *self.head_begun.lock() = None;
    }

    fn request_begins(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.is_http1.load(Ordering::Relaxed) {
            self.end_head();
        }
    }

    /// Notes that what came last may be the end of a body, after which a client may be idle.
    fn expects_nothing(&self) {
        self.has_more.store(false, Ordering::Relaxed);
    }

    fn request_ends(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if self.has_more.swap(false, Ordering::Relaxed) {
            self.begin_head();
        }
    }
}

impl Waiting for Conversation {
    fn give_up(&self) {
        self.given_up.notify_one();
    }
}

/// A request, until its answer has been sent or given up.
#[derive(Debug)]
pub(super) struct Open {
    conversation: Arc<Conversation>,
    has_body: bool,
}

impl Open {
    pub(super) fn new<B: Body>(conversation: Arc<Conversation>, request: &Request<B>) -> Self {
        conversation.request_begins();
        Self { conversation, has_body: !request.body().is_end_stream() }
    }

    /// The answer, from now on holding the request open and being counted while it is not read.
    pub(super) fn answer(self, response: Response<ResponseBody>, unread: Unread) -> Response<Answer> {
        response.map(|body| {
            let held = unread.enter(body.bytes());
            Answer { body, held, unread, _open: self }
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.has_body {
            // Half a head that came with the body is not noticed before more of it comes. Nothing more than what was read
            // with the body is held for it.
            self.conversation.expects_nothing();
        }
        self.conversation.request_ends();
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: ResponseBody,
    /// Of what is there of it before anything is sent.
    held: Option<Held>,
    unread: Unread,
    _open: Open,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
        // What is counted for the whole is so until the last of it is handed out; a piece before it is counted besides.
        let mut of_the_piece = None;
        let held = if this.body.is_amid_message() { &mut of_the_piece } else { &mut this.held };
        let hold = |bytes| this.unread.hold(bytes, held);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_http_2_may_be_idle_once_it_has_spoken_and_between_header_blocks() {
        let conversation = Conversation::new();
        assert!(conversation.is_amid_head());
        conversation.frames_came(false);
        assert!(!conversation.is_amid_head());
        conversation.frames_came(true);
        let begun = conversation.head_begun().unwrap();
        conversation.frames_came(true);
        assert_eq!(conversation.head_begun(), Some(begun), "more of a block does not prolong its time");
        conversation.frames_came(false);
        assert!(!conversation.is_amid_head());
    }

    #[test]
    fn a_client_of_http_1_may_be_idle_between_requests() {
        let conversation = Arc::new(Conversation::new());
        assert!(conversation.bytes_came(Last::Other));
        let begun = conversation.head_begun().unwrap();
        assert!(!conversation.bytes_came(Last::EmptyLine));
        assert_eq!(conversation.head_begun(), Some(begun), "more of a head does not prolong its time");
        let request = Open::new(conversation.clone(), &Request::new(String::new()));
        assert!(!conversation.is_amid_head());
        drop(request);
        assert!(!conversation.is_amid_head());
        assert!(conversation.bytes_came(Last::EmptyLine), "the next request begins");
        assert!(conversation.is_amid_head());
    }

    #[test]
    fn a_head_that_begins_before_the_answer_to_another_request_has_its_time_after_it() {
        for came_with_the_first in [true, false] {
            let conversation = Arc::new(Conversation::new());
            conversation.bytes_came(if came_with_the_first { Last::Other } else { Last::EmptyLine });
            let request = Open::new(conversation.clone(), &Request::new(String::new()));
            if !came_with_the_first {
                assert!(!conversation.bytes_came(Last::Other));
            }
            assert!(!conversation.is_amid_head());
            drop(request);
            assert!(conversation.is_amid_head());
        }
    }

    #[tokio::test]
    async fn a_head_is_late_and_a_client_that_may_be_idle_is_not() {
        let (silent, idle) = (Conversation::new(), Conversation::new());
        idle.frames_came(false);
        tokio::select! {
            () = idle.late_head(Duration::ZERO) => panic!("nothing has begun"),
            () = silent.late_head(Duration::from_millis(20)) => {}
        }
        let (late, ()) = tokio::join!(idle.late_head(Duration::ZERO), async { idle.frames_came(true) });
        late
    }
}
