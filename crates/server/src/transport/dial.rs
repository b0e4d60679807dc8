//! Connecting to a peer.

use http_body_util::{BodyExt, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use raft::NodeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::context::Context;
use super::handshake::{self, StreamKind};
use super::limits::CONNECT_TIMEOUT;
use crate::config::Url;
use crate::net;
use crate::tls;

/// A connection to a peer, upgraded. Whatever lies below HTTP, TLS too, is hidden in it.
pub(super) type PeerStream = TokioIo<Upgraded>;

/// Why a peer was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// Nobody knows where it is.
    #[error("no peer URLs are known")]
    NoUrls,
    /// No connection.
    #[error("{0}: {1}")]
    Connect(Url, std::io::Error),
    /// No TLS.
    #[error("{0}: {1}")]
    Tls(Url, tls::ConnectError),
    /// It took too long.
    #[error("{0}: no answer within {CONNECT_TIMEOUT:?}")]
    TimedOut(Url),
    /// What answers does not speak HTTP.
    #[error("{0}: {1}")]
    Http(Url, String),
    /// It does not want this member.
    #[error("{url}: refused with {status}: {text}")]
    Refused {
        /// Where.
        url: Url,
        /// The answer's status.
        status: http::StatusCode,
        /// The answer's text.
        text: String,
    },
    /// The peer has called itself, or there is no need any more.
    #[error("interrupted")]
    Interrupted,
    /// It is another member, or in another cluster.
    #[error("{0}: another member answers")]
    Stranger(Url),
}

impl DialError {
    /// Whether the peer says that this member was removed from the cluster.
    pub(super) fn is_removed(&self) -> bool {
        matches!(self, DialError::Refused { status, .. } if *status == http::StatusCode::GONE)
    }
}

/// Longest text of a refusal that is read.
const TEXT_BYTES_MAX: usize = 1024;

/// A stream to a peer, by the first of its URLs that leads there.
///
/// # Errors
/// Why the last one did not; or that the member was removed, whichever URL said so.
pub(super) async fn dial(
    peer: NodeId,
    urls: &[Url],
    kind: StreamKind,
    context: &Context,
) -> Result<PeerStream, DialError> {
    let mut failure = DialError::NoUrls;
    for url in urls {
        let attempt = timeout(CONNECT_TIMEOUT, dial_url(peer, url, kind, context)).await;
        match attempt.unwrap_or_else(|_| Err(DialError::TimedOut(url.clone()))) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.is_removed() => return Err(error),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn dial_url(
    peer: NodeId,
    url: &Url,
    kind: StreamKind,
    context: &Context,
) -> Result<PeerStream, DialError> {
    let wire = net::dial::dial(url).await.map_err(|error| DialError::Connect(url.clone(), error))?;
    if !url.is_secure() {
        return upgrade(wire, peer, url, kind, context).await;
    }
    let secured = context.settings.connector.connect(url.host(), wire).await;
    let secured = secured.map_err(|error| DialError::Tls(url.clone(), error))?;
    upgrade(secured, peer, url, kind, context).await
}

/// Makes a peer's stream of a connection to it.
async fn upgrade<S>(
    stream: S,
    peer: NodeId,
    url: &Url,
    kind: StreamKind,
    context: &Context,
) -> Result<PeerStream, DialError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let http_error = |error: hyper::Error| DialError::Http(url.clone(), tls::reason_behind(&error));
    let settings = &context.settings;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http_error)?;
    let connection = AbortOnDrop(tokio::spawn(connection.with_upgrades()));
    let sender_is = (settings.advertised.as_slice(), context.process);
    let request = handshake::request(settings.identity, peer, kind, sender_is, url.authority())
        .map_err(|error| DialError::Http(url.clone(), error.to_string()))?;
    let response = sender.send_request(request).await.map_err(http_error)?;
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        return Err(DialError::Refused { url: url.clone(), status, text: text_of(response).await });
    }
    if !handshake::is_from(response.headers(), settings.identity, peer) {
        return Err(DialError::Stranger(url.clone()));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(http_error)?;
    drop(connection);
    Ok(TokioIo::new(upgraded))
}

async fn text_of(response: http::Response<hyper::body::Incoming>) -> String {
    let body = Limited::new(response.into_body(), TEXT_BYTES_MAX).collect().await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
