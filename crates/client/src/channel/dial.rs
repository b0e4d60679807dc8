//! The way from an endpoint to a connection that carries calls.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::answer::describe;
use super::outgoing::Outgoing;
use super::pulse::{Monitored, Pulse};
use crate::address::{Address, Place, Security};
use crate::error::Error;
use crate::tls::Tls;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// Bytes that one answer may be ahead of its reader.
const STREAM_WINDOW: u32 = 2 << 20;

/// Bytes that all answers of a connection may be ahead of their readers. A watch that is not read must not stop the
/// others.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// The largest frame taken.
const FRAME_MAX: u32 = 1 << 20;

/// What a connection is made of.
pub(crate) type Sender = http2::SendRequest<Outgoing>;
pub(crate) type Driver =
    Pin<Box<http2::Connection<TokioIo<Monitored<Box<dyn Stream>>>, Outgoing, TokioExecutor>>>;

/// A socket, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Setup(#[from] Error),
    #[error("{0}")]
    Nowhere(String),
    #[error("TLS handshake: {}", handshake_text(.0))]
    Handshake(io::Error),
    #[error("{}", describe(.0))]
    Http(#[from] hyper::Error),
    #[error("it answers without HTTP/2 ({}); a member with certificates is reached by https", describe(.0))]
    NotHttp(hyper::Error),
    #[error("the connection was closed at once")]
    Ended,
    #[error("no answer within {0:?}")]
    TooSlow(std::time::Duration),
}

impl DialError {
    /// Returns whether trying again is of no use until somebody has changed something.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            DialError::Setup(_) | DialError::Nowhere(_) | DialError::Handshake(_) | DialError::NotHttp(_) => {
                true
            }
            // With TLS 1.3 a member refuses a certificate after the handshake.
            DialError::Http(error) => is_about_tls(error),
            _ => false,
        }
    }
}

/// Returns why there was no handshake, with what may be done about it where the library does not tell.
fn handshake_text(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            "it answers without TLS; a member without certificates is reached by http".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) if is_own_authority(why) => {
            "its certificate has signed itself; it must be given as one to trust".to_owned()
        }
        _ => error.to_string(),
    }
}

fn is_own_authority(error: &rustls::CertificateError) -> bool {
    matches!(error, rustls::CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity"))
}

/// Returns whether what came in is not HTTP/2, on a connection that has just begun.
fn is_no_http(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| !cause.is_io() && !cause.is_remote())
}

fn is_about_tls(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if cause.is::<rustls::Error>() || io.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Makes a connection, and waits until the member has said something on it, which it does at once: else it is not known
/// whether anybody is there, and what is sent may get lost. Sets no deadline.
pub(crate) async fn dial(
    address: &Address,
    tls: &Tls,
    pulse: Arc<Pulse>,
) -> Result<(Sender, Driver), DialError> {
    let stream: Box<dyn Stream> = match &address.place {
        Place::Tcp { host, port } => {
            let socket = TcpStream::connect((host.as_str(), *port)).await?;
            socket.set_nodelay(true)?;
            secure(address, tls, socket).await?
        }
        Place::Unix(path) => secure(address, tls, UnixStream::connect(path).await?).await?,
        Place::Nowhere(why) => return Err(DialError::Nowhere(why.clone())),
    };
    let io = TokioIo::new(Monitored::new(stream, pulse.clone()));
    let (sender, driver) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_MAX)
        .handshake(io)
        .await?;
    let mut driver = Box::pin(driver);
    let is_plain = address.security == Security::Plain;
    poll_fn(|context| match driver.as_mut().poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(DialError::Ended)),
        Poll::Ready(Err(error)) if is_plain && is_no_http(&error) => {
            Poll::Ready(Err(DialError::NotHttp(error)))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
        Poll::Pending if pulse.has_beaten(context) => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, driver))
}

async fn secure<S: Stream + 'static>(
    address: &Address,
    tls: &Tls,
    socket: S,
) -> Result<Box<dyn Stream>, DialError> {
    if address.security == Security::Plain {
        return Ok(Box::new(socket));
    }
    let name = tls.name_for(address.host())?;
    let tls = tls.clone();
    // Files may be on a disk that hangs.
    let config = tokio::task::spawn_blocking(move || tls.config()).await.map_err(io::Error::other)??;
    let stream = TlsConnector::from(config).connect(name, socket).await.map_err(DialError::Handshake)?;
    Ok(Box::new(stream))
}
