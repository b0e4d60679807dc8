//! What members serve over plain HTTP: metrics, and their clock in the `Date` of any answer.

use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A member's metrics take some 200 kB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

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
}

/// Returns what a server says to a GET of `path`.
///
/// # Errors
/// When it does not answer in time, or not in HTTP: why.
pub async fn get(endpoint: &str, path: &str, limit: Duration) -> Result<Answer, String> {
    let address = address(endpoint).ok_or_else(|| format!("{endpoint} is not an http:// address"))?;
    let call = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        exchange(stream, address, path).await
    };
    tokio::time::timeout(limit, call).await.map_err(|_| format!("no answer within {limit:?}"))?
}

/// The host and port of an endpoint that is reached without TLS.
fn address(endpoint: &str) -> Option<&str> {
    let address = match endpoint.split_once("://") {
        None => endpoint,
        Some(("http", address)) => address,
        Some(_) => return None,
    };
    Some(address.trim_end_matches('/'))
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
    })
}

/// `Date` is cut to whole seconds.
const CLOCK_RESOLUTION: Duration = Duration::from_secs(1);

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
    fn only_plain_addresses_are_asked() {
        for (endpoint, expected) in
            [("a:1", Some("a:1")), ("http://a:1/", Some("a:1")), ("https://a:1", None), ("unix:///a", None)]
        {
            assert_eq!(address(endpoint), expected);
        }
    }

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_request() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(ahead_ms(at(10_000), at(10_400), at(10_600)), 0);
        assert_eq!(ahead_ms(at(15_000), at(10_400), at(10_600)), 5000);
        assert_eq!(ahead_ms(at(5_000), at(10_400), at(10_600)), -5000);
    }
}
