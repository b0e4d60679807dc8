//! What waits for a client's stream to be read.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tonic::Status;

use super::super::super::limits::{WAITING_BYTES_MAX, WAITING_REPLIES_MAX};
use super::reply::Reply;

/// The replies of one stream. The session puts them in, the connection takes them out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    bytes: usize,
    end: Option<Status>,
    /// Whether the session waits to hear that there is room again.
    is_awaited: bool,
    is_closed: bool,
    waker: Option<Waker>,
    /// Who waits for room before more is asked for.
    asker: Option<Waker>,
}

/// What a client's stream has next.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) item: Result<Reply, Status>,
    /// The session waits for this: most of what waited has been taken.
    pub(super) has_room_again: bool,
}

impl Queue {
    /// Adds a reply. Returns whether there is room for another.
    pub(super) fn push(&self, reply: Reply) -> bool {
        let mut state = self.state.lock();
        state.bytes += reply.content.len();
        state.replies.push_back(reply);
        let has_room = state.has_room();
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        has_room
    }

    /// Returns whether there is room for another reply. If not, the stream says when there is.
    pub(super) fn has_room_or_tells(&self) -> bool {
        let mut state = self.state.lock();
        let has_room = state.has_room();
        // The stream may not have said yet that there is room again since it was full before.
        state.is_awaited |= !has_room;
        has_room
    }

    /// Waits until there is room for the answer to another request. A stream that has ended asks in vain, and does not wait.
    pub(super) async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.has_room() || state.end.is_some() {
            return Poll::Ready(());
        }
        state.asker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ends the stream, once it has been read.
    pub(super) fn end(&self, status: Status) {
        let mut state = self.state.lock();
        state.end.get_or_insert(status);
        let wakers = [state.waker.take(), state.asker.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Notes that nobody reads any more.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state.lock();
        if let Some(reply) = state.replies.pop_front() {
            state.bytes -= reply.content.len();
            let has_room_again = state.is_awaited && state.is_half_empty();
            state.is_awaited &= !has_room_again;
            if state.has_room() {
                state.asker.take().into_iter().for_each(Waker::wake);
            }
            return Poll::Ready(Next { item: Ok(reply), has_room_again });
        }
        if let Some(status) = state.end.clone() {
            return Poll::Ready(Next { item: Err(status), has_room_again: false });
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.replies.len() < WAITING_REPLIES_MAX && self.bytes < WAITING_BYTES_MAX
    }

    fn is_half_empty(&self) -> bool {
        self.replies.len() <= WAITING_REPLIES_MAX / 2 && self.bytes <= WAITING_BYTES_MAX / 2
    }
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb::WatchResponse;

    use super::super::reply::Content;
    use super::*;

    fn next(queue: &Queue) -> Option<Next> {
        match queue.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_queue_that_was_full_says_when_half_of_it_is_read() {
        let queue = Queue::default();
        let reply = Content::of(&WatchResponse::default()).to(1);
        for place in 1..=WAITING_REPLIES_MAX {
            assert_eq!(queue.push(reply.clone()), place < WAITING_REPLIES_MAX);
        }
        assert!(!queue.has_room_or_tells());
        let told: Vec<bool> = std::iter::from_fn(|| next(&queue)).map(|next| next.has_room_again).collect();
        assert_eq!(told.iter().position(|told| *told), Some(WAITING_REPLIES_MAX / 2 - 1));
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert!(queue.has_room_or_tells());
    }

    #[test]
    fn more_is_asked_for_when_there_is_room() {
        let queue = Queue::default();
        let poll = || queue.poll_room(&mut Context::from_waker(Waker::noop()));
        let reply = Content::of(&WatchResponse::default()).to(1);
        (0..WAITING_REPLIES_MAX).for_each(|_| _ = queue.push(reply.clone()));
        assert!(poll().is_pending() && queue.state.lock().asker.is_some());
        assert!(next(&queue).is_some());
        assert!(poll().is_ready() && queue.state.lock().asker.is_none());
        queue.push(reply);
        assert!(poll().is_pending());
        queue.end(Status::unavailable("it has ended"));
        assert!(poll().is_ready());
    }

    #[test]
    fn what_was_not_told_yet_is_still_told() {
        let queue = Queue::default();
        let reply = Content::of(&WatchResponse::default()).to(1);
        (0..WAITING_REPLIES_MAX).for_each(|_| _ = queue.push(reply.clone()));
        assert!(!queue.has_room_or_tells());
        assert!(next(&queue).is_some());
        // Another watcher of the stream asks meanwhile.
        assert!(queue.has_room_or_tells());
        assert!(std::iter::from_fn(|| next(&queue)).any(|next| next.has_room_again));
    }

    #[test]
    fn a_queue_is_full_by_bytes_as_well_and_takes_one_reply_of_any_size() {
        let queue = Queue::default();
        let large = WatchResponse { cancel_reason: "x".repeat(WAITING_BYTES_MAX), ..Default::default() };
        assert!(!queue.push(Content::of(&large).to(1)));
    }

    #[test]
    fn the_end_comes_after_what_waits() {
        let queue = Queue::default();
        queue.push(Content::of(&WatchResponse::default()).to(1));
        queue.end(Status::unavailable("first"));
        queue.end(Status::unavailable("second"));
        assert!(next(&queue).unwrap().item.is_ok());
        assert_eq!(next(&queue).unwrap().item.unwrap_err().message(), "first");
    }
}
