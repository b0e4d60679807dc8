//! One connection: HTTP/2 with gRPC, or HTTP/1.1, on the same port.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::backlog::Backlog;
use super::conversation::{Conversation, Open};
use super::heads::{Head, HeadBudget};
use super::pings::Pings;
use super::socket::Socket;
use super::unread::Unread;
use crate::grpc::body::ResponseBody;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, HEADER_LIST_BYTES_MAX, HTTP1_FIELDS_MAX, HTTP1_HEAD_BYTES_MAX,
    HTTP2_FRAME_BYTES_MAX, PENDING_RESETS_MAX, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
};
use crate::metrics::Metrics;
use crate::metrics::memory::Share;
use crate::tls::{CertificateName, Stream};
use engine::memory::Shares;

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http2Settings {
    /// `--max-concurrent-streams`.
    pub(crate) max_concurrent_streams: u32,
    /// `--grpc-keepalive-interval`; `None`: no pings.
    pub(crate) keepalive_interval: Option<Duration>,
    /// `--grpc-keepalive-timeout`.
    pub(crate) keepalive_timeout: Duration,
    /// `--grpc-keepalive-min-time`.
    pub(crate) ping_min_time: Duration,
    /// How long a client may take for the head of a request, and for its first word.
    pub(crate) head_within: Duration,
}

/// What the connections of one kind have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    builder: Builder<TokioExecutor>,
    settings: Http2Settings,
    budgets: Budgets,
}

/// What all connections of the process share.
#[derive(Clone)]
pub(crate) struct Budgets {
    /// Of unfinished heads.
    pub(crate) heads: Arc<HeadBudget>,
    /// Of replies that are not read.
    pub(crate) unread: Arc<Backlog>,
}

impl Budgets {
    /// Returns budgets of these shares of the memory.
    pub(crate) fn within(shares: &Shares, metrics: &Arc<Metrics>) -> Self {
        Self {
            heads: HeadBudget::new(shares.unfinished_heads, metrics),
            unread: Backlog::within(Share::UnreadReplies, shares.unread_replies, metrics),
        }
    }
}

#[cfg(test)]
impl Default for Budgets {
    fn default() -> Self {
        let metrics = crate::metrics::of_server(crate::metrics::MetricsDetail::Basic);
        Self::within(&Shares::of(u64::MAX, 1 << 20), &Arc::new(metrics))
    }
}

impl Terms {
    /// Sets every limit that the libraries have on purpose (rule X4).
    pub(crate) fn new(settings: Http2Settings, budgets: Budgets) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        set_up_http1(&mut builder);
        set_up_http2(&mut builder, settings);
        Self { builder, settings, budgets }
    }
}

fn set_up_http1(builder: &mut Builder<TokioExecutor>) {
    builder
        .http1()
        .timer(TokioTimer::new())
        // The library would begin to count when the request before has been answered: see `Conversation`.
        .header_read_timeout(None::<Duration>)
        // A client that closes its half after the request waits for the answer (`nc -N`).
        .half_close(true)
        .max_headers(HTTP1_FIELDS_MAX)
        .max_buf_size(HTTP1_HEAD_BYTES_MAX);
}

fn set_up_http2(builder: &mut Builder<TokioExecutor>, settings: Http2Settings) {
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .adaptive_window(false)
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        // It counts over the whole life of a connection. What it is to bound, `Intake` does.
        .max_local_error_reset_streams(None::<usize>)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout);
}

/// Waits for the word to stop; for ever, if nobody is left to give it.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

/// Held by a connection until it has told its client that the member leaves: dropped when it has.
pub(crate) type NotTold = mpsc::Sender<Infallible>;

/// Serves a connection until the peer closes it, or until `stop` says so and its requests are answered. Until then the client
/// is told by GOAWAY that its next requests have to go elsewhere; those that cross it on the way are served. Each request
/// carries the `name` of the client's certificate as an extension, [`Encrypted`](crate::tls::Encrypted) if
/// there is TLS, and [`OfThisMachine`](crate::tls::OfThisMachine) if the client is on this machine.
pub(crate) async fn serve<S, F>(
    stream: Stream,
    name: Option<CertificateName>,
    terms: Terms,
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
    not_told: NotTold,
) where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    if let Some(name) = &name {
        tracing::debug!(name = name.as_str(), "a client has shown its certificate");
    }
    let Terms { builder, settings, budgets } = terms;
    let conversation = Arc::new(Conversation::new());
    let pings = Pings::new(settings.ping_min_time);
    let (encrypted, of_this_machine) = (stream.encrypted(), stream.of_this_machine());
    let socket = Socket::new(stream, pings, Head::new(budgets.heads), conversation.clone());
    let unread = Unread::new(budgets.unread, conversation.clone());
    let requests = conversation.clone();
    let respond = service_fn(move |mut request: Request<Incoming>| {
        if let Some(name) = &name {
            request.extensions_mut().insert(name.clone());
        }
        if let Some(encrypted) = encrypted {
            request.extensions_mut().insert(encrypted);
        }
        if let Some(of_this_machine) = of_this_machine {
            request.extensions_mut().insert(of_this_machine);
        }
        let open = Open::new(requests.clone(), &request);
        let (service, unread) = (service.clone(), unread.clone());
        // On the heap: the libraries move it some times before it is first polled, and it is long.
        Box::pin(async move { Ok::<_, Infallible>(open.answer(service(request).await, unread)) })
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), respond));
    let served = tokio::select! {
        served = in_turns(&conversation, connection.as_mut()) => served,
        () = conversation.late_head(settings.head_within) => return tracing::debug!("a request's head is not complete in time"),
        () = conversation.given_up() => return tracing::warn!("a connection is closed whose client does not read its replies"),
        () = stopped_between_words(&mut stop, &conversation) => {
            if !conversation.turn_away_if_silent() {
                connection.as_mut().graceful_shutdown();
            }
            // One poll has it write the GOAWAY, before anything that comes of the streams' end.
            let mut rest = pin!(in_turns(&conversation, connection));
            let served = std::future::poll_fn(|cx| Poll::Ready(rest.as_mut().poll(cx))).await;
            drop(not_told);
            match served {
                Poll::Ready(served) => served,
                Poll::Pending => rest.await,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %error, "connection ended");
    }
}

/// How long a client that has just connected has for its first request when the member leaves.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Waits for the word to stop, and then a moment for the head that a client is sending: it is served, and then sent away as
/// any other.
async fn stopped_between_words(stop: &mut watch::Receiver<bool>, conversation: &Conversation) {
    stopped(stop).await;
    let complete = async {
        while conversation.is_amid_head() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORD, complete).await;
}

/// Polls a connection, and has its socket know when a turn begins.
async fn in_turns<C: Future>(conversation: &Conversation, mut connection: Pin<&mut C>) -> C::Output {
    std::future::poll_fn(|cx| {
        conversation.turn_begins();
        connection.as_mut().poll(cx)
    })
    .await
}
