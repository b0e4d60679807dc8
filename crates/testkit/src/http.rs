//! The smallest HTTP/1.1 client that can ask a server how it is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An answer: status line's number, header lines, body (as sent, chunking undone).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200, 503, ...
    pub status: u16,
    /// The lines between the status line and the body.
    pub headers: String,
    /// What follows the headers.
    pub body: String,
}

/// `GET path`.
///
/// # Panics
/// When the server cannot be reached or its answer is not HTTP; see [`try_get`].
pub fn get(address: &str, path: &str) -> Response {
    try_get(address, path).unwrap_or_else(|why| panic!("GET {address}{path}: {why}"))
}

/// `GET path`; an `Err` says why there is no answer.
pub fn try_get(address: &str, path: &str) -> Result<Response, String> {
    request("GET", address, path, "")
}

/// Returns the value of a series of `/metrics`, named with its labels; `None` if it is not exposed.
///
/// # Panics
/// When the server cannot be reached.
pub fn metric(address: &str, series: &str) -> Option<f64> {
    let text = get(address, "/metrics").body;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok())
}

/// Any request on a connection of its own.
pub fn request(method: &str, address: &str, path: &str, body: &str) -> Result<Response, String> {
    let raw = exchange(method, address, path, body).map_err(|error| error.to_string())?;
    parse(&raw).ok_or_else(|| format!("not an HTTP answer: {raw:?}"))
}

fn exchange(method: &str, address: &str, path: &str, body: &str) -> std::io::Result<String> {
    let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    Ok(String::from_utf8_lossy(&raw).into_owned())
}

fn parse(raw: &str) -> Option<Response> {
    let (head, body) = raw.split_once("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let chunked = headers.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(Response { status, headers: headers.to_owned(), body })
}

/// RFC 9112 section 7.1, without trailers.
fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let plain =
            parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{\"health\":\"false\"}\n").unwrap();
        assert_eq!((plain.status, plain.body.as_str()), (503, "{\"health\":\"false\"}\n"));
        let chunked =
            parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n");
        assert_eq!(chunked.unwrap().body, "abcde");
        assert_eq!(parse("garbage"), None);
    }
}
