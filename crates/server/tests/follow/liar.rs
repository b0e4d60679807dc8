//! An address under which a source is to be had, and that changes what it says: calls go through to it, and answers come back
//! message by message.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use proto::etcdserverpb as pb;
use testkit::Server;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower_service::Service;

use crate::support::channel;

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing.
    No,
    /// Watches leave a revision out.
    LeavesOut(i64),
    /// Watches give a revision another number.
    Renames {
        /// Its number.
        from: i64,
        /// The one that it gets.
        to: i64,
    },
    /// Reads say that this is the newest revision.
    IsAt(i64),
}

/// The address. Dropped, it and its connections are gone.
pub(crate) struct Liar {
    address: String,
    told: Arc<Mutex<Told>>,
    accepts: JoinHandle<()>,
}

struct Told {
    lie: Lie,
    /// Where calls go, in turn.
    sources: Vec<Channel>,
    calls: usize,
}

impl Liar {
    /// Begins with the truth.
    pub(crate) async fn before(source: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let told = Arc::new(Mutex::new(Told { lie: Lie::No, sources: vec![channel(source)], calls: 0 }));
        let accepts = tokio::spawn(accept(listener, told.clone()));
        Self { address, told, accepts }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Changes what is said from here on, in watches that are open, too.
    pub(crate) fn says(&self, lie: Lie) {
        self.told.lock().expect("nobody panics with it").lie = lie;
    }

    /// Calls go to these in turn from here on.
    pub(crate) fn stands_for(&self, sources: &[&Server]) {
        let sources = sources.iter().map(|source| channel(source)).collect();
        self.told.lock().expect("nobody panics with it").sources = sources;
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn accept(listener: TcpListener, told: Arc<Mutex<Told>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let told = told.clone();
        connections.spawn(async move {
            let service = service_fn(|request| pass(request, told.clone()));
            let server = auto::Builder::new(TokioExecutor::new()).http2_only();
            // However it ends, the other side notices.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Passes a call on, and its answer back.
async fn pass(
    request: hyper::Request<hyper::body::Incoming>,
    told: Arc<Mutex<Told>>,
) -> Result<hyper::Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut source = {
        let mut told = told.lock().expect("nobody panics with it");
        told.calls += 1;
        told.sources[told.calls % told.sources.len()].clone()
    };
    let is_ready = std::future::poll_fn(|context| source.poll_ready(context)).await;
    let answer = match is_ready {
        Ok(()) => source.call(request.map(Body::new)).await,
        Err(error) => Err(error),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Status::unavailable(error.to_string()).into_http()),
    };
    let (head, body) = answer.into_parts();
    let (frames, ready) = mpsc::channel(4);
    tokio::spawn(change(body, path, told, frames));
    Ok(hyper::Response::from_parts(head, Body::new(StreamBody::new(ReceiverStream::new(ready)))))
}

/// Changes the messages of an answer, until it ends or nobody listens.
async fn change(
    mut body: Body,
    path: String,
    told: Arc<Mutex<Told>>,
    frames: mpsc::Sender<Result<Frame<Bytes>, Status>>,
) {
    let mut partial = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                partial.extend_from_slice(&data);
                Ok(Frame::data(changed(&mut partial, &path, &told)))
            }
            Ok(Err(other)) => Ok(other),
            Err(error) => Err(error),
        };
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}

/// Takes the whole messages off the front, and returns what they become.
fn changed(partial: &mut BytesMut, path: &str, told: &Mutex<Told>) -> Bytes {
    let lie = told.lock().expect("nobody panics with it").lie;
    let mut out = BytesMut::new();
    while let Some((prefix, rest)) = partial.split_first_chunk::<PREFIX_BYTES>() {
        let [is_compressed, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if rest.len() < length {
            break;
        }
        partial.advance(PREFIX_BYTES);
        let message = partial.split_to(length).freeze();
        assert_eq!(is_compressed, 0, "nobody has asked for compression");
        if let Some(message) = changed_message(path, message, lie) {
            out.extend_from_slice(&[0]);
            out.extend_from_slice(&(message.len() as u32).to_be_bytes());
            out.extend_from_slice(&message);
        }
    }
    out.freeze()
}

/// `None`: it is not passed on.
fn changed_message(path: &str, message: Bytes, lie: Lie) -> Option<Bytes> {
    match (path, lie) {
        ("/etcdserverpb.Watch/Watch", Lie::LeavesOut(_) | Lie::Renames { .. }) => {
            let mut told = pb::WatchResponse::decode(message).expect("a response of a watch");
            let had_events = !told.events.is_empty();
            let revision = |event: &proto::mvccpb::Event| event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            told.events.retain(|event| lie != Lie::LeavesOut(revision(event)));
            if let Lie::Renames { from, to } = lie {
                let kvs = told.events.iter_mut().filter_map(|event| event.kv.as_mut());
                kvs.filter(|kv| kv.mod_revision == from).for_each(|kv| kv.mod_revision = to);
            }
            let is_empty = had_events && told.events.is_empty();
            (!is_empty).then(|| told.encode_to_vec().into())
        }
        ("/etcdserverpb.KV/Range", Lie::IsAt(revision)) => {
            let mut told = pb::RangeResponse::decode(message).expect("a response of a range");
            told.header.as_mut().expect("a header").revision = revision;
            Some(told.encode_to_vec().into())
        }
        _ => Some(message),
    }
}
