//! The stream that carries the renewals.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::channel::Channel;

/// The stream.
pub(super) enum Line {
    /// There are no leases.
    Down,
    Opening(Requests, BoxFuture<'static, Result<Streaming<pb::LeaseKeepAliveResponse>, Status>>),
    Open(Requests, Box<Streaming<pb::LeaseKeepAliveResponse>>),
    /// It is opened after a pause.
    Resting(Pin<Box<Sleep>>),
}

type Requests = mpsc::UnboundedSender<pb::LeaseKeepAliveRequest>;

/// What happens on the stream.
pub(super) enum Happening {
    Answer(pb::LeaseKeepAliveResponse),
    Broken(Status),
    Rested,
}

impl Line {
    /// Begins to open a stream. What is sent from now on goes over it.
    pub(super) fn open(channel: &Channel) -> Line {
        let (requests, outgoing) = mpsc::unbounded_channel();
        let mut stub = pb::lease_client::LeaseClient::new(channel.clone());
        let opening = async move {
            let opened = stub.lease_keep_alive(UnboundedReceiverStream::new(outgoing)).await;
            opened.map(tonic::Response::into_inner)
        };
        Line::Opening(requests, Box::pin(opening))
    }

    pub(super) fn rest(pause: Duration) -> Line {
        Line::Resting(Box::pin(tokio::time::sleep(pause)))
    }

    /// Asks for a renewal. Returns whether there is a stream to ask on.
    pub(super) fn renew(&self, id: i64) -> bool {
        match self {
            Line::Opening(requests, _) | Line::Open(requests, _) => {
                requests.send(pb::LeaseKeepAliveRequest { id }).is_ok()
            }
            Line::Down | Line::Resting(_) => false,
        }
    }

    /// Returns what happens next; never, if the stream is down. It may be dropped and called again.
    pub(super) async fn next(&mut self) -> Happening {
        match self {
            Line::Down => return std::future::pending().await,
            Line::Resting(pause) => {
                pause.await;
                return Happening::Rested;
            }
            Line::Opening(requests, opening) => match opening.await {
                Err(status) => return Happening::Broken(status),
                Ok(stream) => *self = Line::Open(requests.clone(), Box::new(stream)),
            },
            Line::Open(..) => {}
        }
        let Line::Open(_, stream) = self else { return std::future::pending().await };
        match stream.next().await {
            Some(Ok(answer)) => Happening::Answer(answer),
            Some(Err(status)) => Happening::Broken(status),
            None => Happening::Broken(Status::unavailable("the member has ended the stream")),
        }
    }
}
