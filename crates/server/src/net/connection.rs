//! One connection: HTTP/2 with gRPC, or HTTP/1.1, on the same port.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::conversation::{Conversation, Open};
use super::pings::Pings;
use super::socket::Socket;
use crate::grpc::body::ResponseBody;
use crate::limits::{CONNECTION_WINDOW_BYTES, HEADER_TIMEOUT, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES};

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
    /// How long to wait for a client to begin to speak.
    pub(crate) first_word_within: Duration,
}

/// The builder that all connections of a worker share.
pub(crate) fn builder(settings: Http2Settings) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout);
    builder
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
/// is told by GOAWAY that its next requests have to go elsewhere; those that cross it on the way are served.
pub(crate) async fn serve<S, F>(
    stream: TcpStream,
    (builder, settings): (Builder<TokioExecutor>, Http2Settings),
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
    not_told: NotTold,
) where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let conversation = Arc::new(Conversation::default());
    let socket = Socket::new(stream, Pings::new(settings.ping_min_time), conversation.clone());
    let requests = conversation.clone();
    let respond = service_fn(move |request| {
        let open = Open::new(requests.clone());
        let response = service(request);
        async move { Ok::<_, Infallible>(open.answer(response.await)) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), respond));
    // Bounds the wait for the first word only: the library does what comes after a request line, and a client of
    // HTTP/2 may be idle for as long as it likes.
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = silence(&conversation, settings.first_word_within) => return tracing::debug!("the client says nothing, or nothing known"),
        () = stopped_between_words(&mut stop, &conversation) => {
            connection.as_mut().graceful_shutdown();
            // One poll has it write the GOAWAY, before anything that comes of the streams' end.
            let served = poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx))).await;
            drop(not_told);
            match served {
                Poll::Ready(served) => served,
                Poll::Pending => connection.await,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %error, "connection ended");
    }
}

/// How long a client that has just connected has for its first word when the member leaves.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Waits for the word to stop, and then for the client's first word: a client that is shut out before that cannot know whether
/// what it sends is lost. It is served, and told to go away, as any other.
async fn stopped_between_words(stop: &mut watch::Receiver<bool>, conversation: &Conversation) {
    stopped(stop).await;
    let spoken = async {
        while !conversation.has_spoken() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORD, spoken).await;
}

/// Returns if the client does not begin to speak within `limit`.
pub(super) async fn silence(conversation: &Conversation, limit: Duration) {
    sleep(limit).await;
    if conversation.has_spoken() {
        std::future::pending().await
    }
}
