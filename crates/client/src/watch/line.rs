//! The stream that carries the watches: opened, broken, opened again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use super::entry::WatchId;
use crate::channel::Channel;

/// The stream.
pub(super) struct Line {
    channel: Channel,
    state: State,
    /// Watches that were asked for and not answered. Answers come in the order of the questions.
    pub(super) asked: VecDeque<(WatchId, i64)>,
    last_id: i64,
}

enum State {
    /// Nobody watches.
    Down,
    Opening(Requests, BoxFuture<'static, Result<Streaming<pb::WatchResponse>, Status>>),
    Open(Requests, Box<Streaming<pb::WatchResponse>>),
    /// It is opened after a pause.
    Resting(Pin<Box<Sleep>>),
}

type Requests = mpsc::UnboundedSender<pb::WatchRequest>;

/// What happens on a stream.
pub(super) enum Happening {
    Message(Box<pb::WatchResponse>),
    /// It could not be opened.
    Refused(Status),
    /// It was open, and is no more.
    Broken(Status),
    /// The pause is over.
    Rested,
}

impl Line {
    pub(super) fn new(channel: Channel) -> Line {
        Line { channel, state: State::Down, asked: VecDeque::new(), last_id: 0 }
    }

    /// Returns whether watches can be asked for.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Opening(..) | State::Open(..))
    }

    /// Returns whether nothing is being done to have a stream.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }

    /// Begins to open the stream. What is asked for from now on goes over it.
    pub(super) fn open(&mut self) {
        let (requests, outgoing) = mpsc::unbounded_channel();
        let limit = self.channel.inner().settings.recv_bytes_max;
        let mut stub = WatchClient::new(self.channel.clone()).max_decoding_message_size(limit);
        let opening = async move {
            let opened = stub.watch(UnboundedReceiverStream::new(outgoing)).await;
            opened.map(tonic::Response::into_inner)
        };
        self.asked.clear();
        self.state = State::Opening(requests, Box::pin(opening));
    }

    /// Ends the stream.
    pub(super) fn close(&mut self) {
        self.asked.clear();
        self.state = State::Down;
    }

    /// Ends the stream; [`Happening::Rested`] follows.
    pub(super) fn rest(&mut self, pause: Duration) {
        self.asked.clear();
        self.state = State::Resting(Box::pin(tokio::time::sleep(pause)));
    }

    /// Returns an id that the stream has not had.
    pub(super) fn fresh_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    /// Asks for a watch.
    pub(super) fn create(&mut self, watch: WatchId, request: pb::WatchCreateRequest) {
        self.asked.push_back((watch, request.watch_id));
        self.send(RequestUnion::CreateRequest(request));
    }

    /// Ends a watch.
    pub(super) fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }));
    }

    /// Asks for a bookmark.
    pub(super) fn ask_for_bookmark(&self) {
        self.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
    }

    fn send(&self, request: RequestUnion) {
        if let State::Opening(requests, _) | State::Open(requests, _) = &self.state {
            // A stream that has broken says so when it is read.
            let _ = requests.send(pb::WatchRequest { request_union: Some(request) });
        }
    }

    /// Returns what happens next; never, if the stream is down. It may be dropped and called again.
    pub(super) async fn next(&mut self) -> Happening {
        match &mut self.state {
            State::Down => std::future::pending().await,
            State::Resting(pause) => {
                pause.await;
                Happening::Rested
            }
            State::Opening(requests, opening) => match opening.await {
                Err(status) => Happening::Refused(status),
                Ok(stream) => {
                    self.state = State::Open(requests.clone(), Box::new(stream));
                    self.message().await
                }
            },
            State::Open(..) => self.message().await,
        }
    }

    async fn message(&mut self) -> Happening {
        let State::Open(_, stream) = &mut self.state else { return std::future::pending().await };
        match stream.next().await {
            Some(Ok(message)) => Happening::Message(Box::new(message)),
            Some(Err(status)) => Happening::Broken(status),
            None => Happening::Broken(Status::unavailable("the member has ended the stream")),
        }
    }
}
