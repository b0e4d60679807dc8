//! Requests over HTTP/1.1, with or without TLS: one connection each, and a bound on the time of
//! every step.
//!
//! A runtime of the caller's thread turns only while a call waits. Connections are not kept:
//! requests come minutes apart, and those of an upload have megabytes each.

use std::future::Future;
use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::{Stop, tls};
use crate::StoreError;
use crate::limits::{ANSWER_TIME_MAX, CONNECT_TIME_MAX, DOCUMENT_BYTES_MAX, RATE_MIN};

/// Makes requests.
pub(super) struct Client {
    runtime: Runtime,
    tls: TlsConnector,
    stop: Stop,
}

/// A request.
pub(super) struct Call {
    /// What to call it in a message: without what signs it.
    pub(super) what: String,
    pub(super) method: Method,
    /// The whole URL, signed.
    pub(super) url: String,
    pub(super) body: Bytes,
}

/// An answer that is in memory.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Client {
    pub(super) fn new(ca_file: Option<&PathBuf>, stop: Stop) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Tls(format!("cannot start a runtime: {error}")))?;
        Ok(Self { runtime, tls: TlsConnector::from(tls::config(ca_file)?), stop })
    }

    /// Waits between two attempts.
    pub(super) fn pause(&self, time: Duration) -> Result<(), StoreError> {
        self.run(async {
            tokio::time::sleep(time).await;
            Ok(())
        })
    }

    /// Makes a request and takes the answer into memory. An answer that is no success is an error.
    pub(super) fn call(&self, call: Call) -> Result<Answer, StoreError> {
        let what = call.what.clone();
        let answer = self.open(call)?;
        let headers = answer.headers.clone();
        let body = answer.document()?;
        if body.len() > DOCUMENT_BYTES_MAX {
            return Err(StoreError::Answer { what, why: "it is too long".to_owned() });
        }
        Ok(Answer { headers, body })
    }

    /// Makes a request; the body of its answer is read by the caller.
    pub(super) fn open(&self, call: Call) -> Result<Body<'_>, StoreError> {
        let what = call.what.clone();
        let time = ANSWER_TIME_MAX + Duration::from_secs(call.body.len() as u64 / RATE_MIN);
        let slow = StoreError::Slow { what: what.clone(), seconds: time.as_secs() };
        let response = self.run(async {
            match tokio::time::timeout(time, self.send(call)).await {
                Ok(response) => response,
                Err(_) => Err(slow),
            }
        })?;
        let (head, incoming) = response.into_parts();
        let body = Body {
            client: self,
            what: what.clone(),
            headers: head.headers,
            incoming,
            chunk: Bytes::new(),
            waited: Duration::ZERO,
            received: 0,
        };
        match head.status {
            status if status.is_success() => Ok(body),
            StatusCode::NOT_FOUND => Err(StoreError::NotFound(what)),
            status => {
                let said = body.document().map(|text| said(&text)).unwrap_or_default();
                Err(StoreError::Refused { what, status: status.as_u16(), said })
            }
        }
    }

    async fn send(&self, call: Call) -> Result<Response<Incoming>, StoreError> {
        let Call { what, method, url, body } = call;
        let broken = |why: String| StoreError::Connection { what: what.clone(), why };
        let uri: Uri = url.parse().map_err(|_| broken("the URL of the store makes no sense".to_owned()))?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let stream = match tokio::time::timeout(CONNECT_TIME_MAX, self.connect(&uri)).await {
            Ok(connected) => {
                connected.map_err(|error| broken(format!("connecting to {authority}: {error}")))?
            }
            Err(_) => return Err(StoreError::Slow { what, seconds: CONNECT_TIME_MAX.as_secs() }),
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(shown(&error)))?;
        tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request =
            Request::builder().method(method).uri(path).header(HOST, authority).body(Full::new(body));
        let request = request.map_err(|error| broken(error.to_string()))?;
        sender.send_request(request).await.map_err(|error| broken(shown(&error)))
    }

    async fn connect(&self, uri: &Uri) -> io::Result<Box<dyn Stream>> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        if !is_secure {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }

    /// Waits for something, but not beyond the end of the member.
    fn run<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.runtime.block_on(async {
            let (work, stop) = (pin!(work), pin!(self.stop.asked()));
            tokio::select! {
                biased;
                () = stop => Err(StoreError::Stopped),
                done = work => done,
            }
        })
    }
}

/// The body of an answer, as it comes.
pub(super) struct Body<'c> {
    client: &'c Client,
    what: String,
    headers: HeaderMap,
    incoming: Incoming,
    chunk: Bytes,
    /// How long it was waited for.
    waited: Duration,
    received: u64,
}

impl Body<'_> {
    /// Takes what is left of it, as much as is believed and a byte more.
    fn document(self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let read = self.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(of_io)?;
        Ok(bytes)
    }

    /// Waits for more. Whether there is any.
    fn fill(&mut self) -> Result<bool, StoreError> {
        while self.chunk.is_empty() {
            let started = Instant::now();
            let time =
                (ANSWER_TIME_MAX + Duration::from_secs(self.received / RATE_MIN)).saturating_sub(self.waited);
            let slow = || StoreError::Slow { what: self.what.clone(), seconds: ANSWER_TIME_MAX.as_secs() };
            let broken =
                |error: hyper::Error| StoreError::Connection { what: self.what.clone(), why: shown(&error) };
            let incoming = &mut self.incoming;
            let frame = self.client.run(async {
                match tokio::time::timeout(time.min(ANSWER_TIME_MAX), incoming.frame()).await {
                    Ok(Some(frame)) => frame.map(Some).map_err(broken),
                    Ok(None) => Ok(None),
                    Err(_) => Err(slow()),
                }
            })?;
            self.waited += started.elapsed();
            let Some(frame) = frame else { return Ok(false) };
            self.chunk = frame.into_data().unwrap_or_default();
            self.received += self.chunk.len() as u64;
        }
        Ok(true)
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.fill().map_err(io::Error::other)? {
            return Ok(0);
        }
        let taken = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

/// The store's error in one of reading.
pub(super) fn of_io(error: io::Error) -> StoreError {
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(error) => StoreError::Connection { what: "reading".to_owned(), why: error.to_string() },
    }
}

/// An error of the library with its cause.
fn shown(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Code and message of an error of S3, as far as it has them.
fn said(document: &[u8]) -> String {
    let text = String::from_utf8_lossy(document);
    let between = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    };
    let parts: Vec<String> = [between("Code"), between("Message")].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" {}", parts.join(": ")) }
}
