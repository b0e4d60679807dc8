//! The peer port: HTTP for tools and joining members, and the upgrade by which peers come in.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::context::{Context, Inlet};
use super::dial::PeerStream;
use super::handshake::{self, Caller, Refused, StreamKind};
use super::inlet;
use super::limits::{CONNECT_TIMEOUT, DOOR_CONNECTIONS_MAX};
use super::link::Hex;
use super::{snapshot, switch};
use crate::grpc::body::ResponseBody;
use crate::logging::{messages, shown};
use crate::net::accept;
use crate::tls::{self, Delivery};

/// Answers what is asked on the peer port besides peers' streams.
pub(crate) type PeerHttp = Arc<
    dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>> + Send + Sync,
>;

/// Accepts on one listener for as long as the transport runs. A request's head must be there within `head_within`.
pub(super) async fn accept(
    listener: tls::Listener,
    head_within: Duration,
    http: PeerHttp,
    context: Arc<Context>,
) {
    let listener = match accept::Incoming::of(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(error = %error, "cannot accept connections of peers"),
    };
    let builder = builder(head_within);
    let places = Arc::new(Semaphore::new(DOOR_CONNECTIONS_MAX));
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok(stream) = listener.next().await.attach() else { continue };
        let (builder, http, context) = (builder.clone(), http.clone(), context.clone());
        tokio::spawn(async move {
            serve(stream, builder, http, context).await;
            drop(place);
        });
    }
}

/// HTTP/1.1 only, as on etcd's peer port without TLS.
fn builder(head_within: Duration) -> Builder {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_within);
    builder
}

/// Serves connections whose TLS handshake has succeeded on another thread. Those for which there is no place are closed.
pub(super) async fn admit(
    mut secured: UnboundedReceiver<Delivery>,
    head_within: Duration,
    http: PeerHttp,
    context: Arc<Context>,
) {
    let builder = builder(head_within);
    let places = Arc::new(Semaphore::new(DOOR_CONNECTIONS_MAX));
    while let Some(Delivery { mut stream, .. }) = secured.recv().await {
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        if stream.attach().is_err() {
            continue;
        }
        let (builder, http, context) = (builder.clone(), http.clone(), context.clone());
        tokio::spawn(async move {
            serve(stream, builder, http, context).await;
            drop(place);
        });
    }
}

/// Serves a connection until it is closed or becomes a peer's stream.
async fn serve<S>(stream: S, builder: Builder, http: PeerHttp, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let respond = service_fn(move |request: Request<Incoming>| {
        let (http, context) = (http.clone(), context.clone());
        async move {
            let response = match request.uri().path() {
                handshake::PATH => greet(request, context),
                _ => http(request).await,
            };
            Ok::<_, Infallible>(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), respond).with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(error = %error, "connection on the peer port ended");
    }
}

/// Takes a peer in, or tells it why not.
fn greet(mut request: Request<Incoming>, context: Arc<Context>) -> Response<ResponseBody> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let identity = context.settings.identity;
    let is_removed = |peer| context.table.lock().removed.contains(&peer);
    let welcome = handshake::check_request(&head, identity, is_removed)
        .and_then(|caller| switch::check_guest(&caller, &context).map(|()| caller))
        .and_then(|caller| place_of(&caller, &context).map(|place| (caller, place)));
    match welcome {
        Ok((caller, place)) => {
            tokio::spawn(enter(caller, place, upgrade, context));
            handshake::accepted(identity)
        }
        Err(why) => {
            let from = head.headers.get("x-server-from").and_then(|from| from.to_str().ok());
            tracing::warn!("remote-peer-id" = from.map_or("none", shown), error = %why, "{}", messages::PEER_REFUSED);
            handshake::refused(&why, identity)
        }
    }
}

/// The place of a connection that brings a snapshot. Streams of messages need none: there is one for each peer.
fn place_of(caller: &Caller, context: &Context) -> Result<Option<OwnedSemaphorePermit>, Refused> {
    match caller.kind {
        StreamKind::Messages => Ok(None),
        StreamKind::Snapshot => {
            let place = context.snapshot_places.clone().try_acquire_owned();
            place.map(Some).map_err(|_| Refused::TooManySnapshots)
        }
    }
}

/// Goes on with a peer's connection once the HTTP part of it is over. It has its place until it ends.
async fn enter(
    caller: Caller,
    _place: Option<OwnedSemaphorePermit>,
    upgrade: OnUpgrade,
    context: Arc<Context>,
) {
    // The answer goes out at once, unless the peer is gone.
    let Ok(Ok(upgraded)) = timeout(CONNECT_TIMEOUT, upgrade).await else { return };
    let stream = TokioIo::new(upgraded);
    match caller.kind {
        StreamKind::Messages => open_inlet(caller, stream, &context),
        StreamKind::Snapshot => snapshot::receive(caller.id, stream, context).await,
    }
}

/// Reads the stream in a task of its own, in place of the one that this peer had before.
fn open_inlet(caller: Caller, stream: PeerStream, context: &Arc<Context>) {
    let peer = caller.id;
    let number = context.next_number();
    switch::caller_is_there(&caller, context);
    let task = tokio::spawn({
        let context = context.clone();
        async move {
            let ended = inlet::read(peer, stream, context.clone()).await;
            inlet_ended(peer, number, &ended, &context);
        }
    });
    let inlet = Inlet { number, process: caller.process, task: task.abort_handle() };
    // The peer has given its old connection up, or it would not open another one.
    if let Some(before) = context.table.lock().inlets.insert(peer, inlet) {
        before.task.abort();
        if before.process != caller.process {
            // Most likely its machine has lost its power; but if it goes on, there is a copied data directory.
            tracing::warn!("remote-peer-id" = %Hex(peer), "{}", messages::PEER_REPLACED);
        }
    }
    tracing::info!("remote-peer-id" = %Hex(peer), "{}", messages::STREAM_ESTABLISHED);
}

fn inlet_ended(peer: raft::NodeId, number: u64, why: &inlet::Ended, context: &Arc<Context>) {
    tracing::warn!("remote-peer-id" = %Hex(peer), error = %why, "{}", messages::STREAM_LOST);
    if !matches!(why, inlet::Ended::ByPeer) {
        context.metrics.peers.of(peer.0).received_failures.inc();
    }
    let mut table = context.table.lock();
    if table.inlets.get(&peer).is_some_and(|inlet| inlet.number == number) {
        table.inlets.remove(&peer);
        drop(table);
        switch::caller_is_gone(peer, context);
    }
}
