//! One connection: HTTP/2 with gRPC, or HTTP/1.1, on the same port.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::socket::Socket;
use crate::grpc::body::ResponseBody;
use crate::limits::{CONNECTION_WINDOW_BYTES, HEADER_TIMEOUT, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES};

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http2Settings {
    /// `--max-concurrent-streams`.
    pub(crate) max_concurrent_streams: u32,
    /// `--grpc-keepalive-interval`; `None`: no pings.
    pub(crate) keepalive_interval: Option<std::time::Duration>,
    /// `--grpc-keepalive-timeout`.
    pub(crate) keepalive_timeout: std::time::Duration,
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

/// Serves a connection until the peer closes it, or until `stop` says so and its requests are answered.
pub(crate) async fn serve<S, F>(
    stream: TcpStream,
    builder: Builder<TokioExecutor>,
    service: Arc<S>,
    mut stop: watch::Receiver<bool>,
) where
    S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let respond = service_fn(move |request| {
        let response = service(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Socket(stream)), respond));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %error, "connection ended");
    }
}
