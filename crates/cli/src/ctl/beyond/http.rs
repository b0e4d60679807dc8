//! What members serve over plain HTTP: metrics, and their clock in the `Date` of any answer. With TLS, also their
//! certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use client::Tls;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::ctl::connect;
use crate::ctl::global::Globals;

/// A member's metrics take some 200 kB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// `Date` is cut to whole seconds.
const CLOCK_RESOLUTION: Duration = Duration::from_secs(1);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// How far the clock of the server is ahead of ours, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// How wrong that may be.
    pub clock_error: Duration,
    /// In how many seconds the server's certificate expires; `None` without TLS.
    pub expires_in_seconds: Option<i64>,
}

/// Returns what a server says to a GET of `path`.
///
/// # Errors
/// When it does not answer in time, or not in HTTP: why.
pub async fn get(globals: &Globals, endpoint: &str, path: &str, limit: Duration) -> Result<Answer, String> {
    let tls = connect::tls(globals).map_err(|failure| failure.text.unwrap_or_default())?;
    let (address, tls) = address(endpoint, tls).ok_or_else(|| format!("{endpoint} is no address of HTTP"))?;
    let call = async {
        let stream = TcpStream::connect(&address).await.map_err(|error| error.to_string())?;
        let Some(tls) = tls else { return exchange(stream, &address, path).await };
        let stream = encrypted(stream, &address, &tls).await?;
        let expires_in_seconds = expires_in_seconds(&stream);
        Ok(Answer { expires_in_seconds, ..exchange(stream, &address, path).await? })
    };
    tokio::time::timeout(limit, call).await.map_err(|_| format!("no answer within {limit:?}"))?
}

/// The host and port of an endpoint, and how it is reached. One without a scheme is reached as the flags say.
fn address(endpoint: &str, tls: Option<Tls>) -> Option<(String, Option<Tls>)> {
    let (address, tls) = match endpoint.split_once("://") {
        None => (endpoint, tls),
        Some(("http", address)) => (address, None),
        Some(("https", address)) => (address, Some(tls.unwrap_or_default())),
        Some(_) => return None,
    };
    Some((address.trim_end_matches('/').to_owned(), tls))
}

async fn encrypted(stream: TcpStream, address: &str, tls: &Tls) -> Result<TlsStream<TcpStream>, String> {
    let mut config = (*tls.config().map_err(|error| error.to_string())?).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| error.to_string())
}

/// How long the certificate of the handshake is valid yet.
fn expires_in_seconds(stream: &TlsStream<TcpStream>) -> Option<i64> {
    let (_, connection) = stream.get_ref();
    let (_, certificate) = X509Certificate::from_der(connection.peer_certificates()?.first()?).ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(certificate.validity().not_after.timestamp() - i64::try_from(now).ok()?)
}

async fn exchange<S>(stream: S, host: &str, path: &str) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let say = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(say)?;
    let serving = tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", host).header("connection", "close");
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| error.to_string())?;
    let sent = SystemTime::now();
    let response = sender.send_request(request).await.map_err(say)?;
    let received = SystemTime::now();
    let (parts, body) = response.into_parts();
    let body =
        Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?.to_bytes();
    serving.abort();
    let date = parts.headers.get("date").and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Ok(Answer {
        status: parts.status.as_u16(),
        body: String::from_utf8_lossy(&body).into_owned(),
        clock_ahead_ms: date.map(|date| ahead_ms(date, sent, received)),
        clock_error: CLOCK_RESOLUTION / 2 + received.duration_since(sent).unwrap_or_default() / 2,
        expires_in_seconds: None,
    })
}

/// How far a clock is ahead that said `date`, on average half a second ago, at some time between these two.
fn ahead_ms(date: SystemTime, sent: SystemTime, received: SystemTime) -> i64 {
    let millis = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    };
    millis(date + CLOCK_RESOLUTION / 2) - (millis(sent) + millis(received)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_whether_a_connection_is_encrypted() {
        for (endpoint, with_flags, expected) in [
            ("a:1", false, Some(false)),
            ("a:1", true, Some(true)),
            ("http://a:1/", true, Some(false)),
            ("https://a:1", false, Some(true)),
            ("unix:///a", false, None),
        ] {
            let found = address(endpoint, with_flags.then(Tls::new));
            assert_eq!(found.map(|(_, tls)| tls.is_some()), expected, "{endpoint}");
        }
        assert_eq!(address("http://a:1/", None).map(|(address, _)| address).as_deref(), Some("a:1"));
    }

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_request() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(ahead_ms(at(10_000), at(10_400), at(10_600)), 0);
        assert_eq!(ahead_ms(at(15_000), at(10_400), at(10_600)), 5000);
        assert_eq!(ahead_ms(at(5_000), at(10_400), at(10_600)), -5000);
    }
}
