//! A store that speaks as much of S3 as a backup needs, in memory, and that fails on request.
//!
//! PUT, uploads in parts, GET, DELETE, and lists in pages of three. A request must be signed in its
//! URL by the one key that the store knows; the signature itself is not computed. Each connection
//! serves one request, in plain text or over TLS.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::pki::Certificate;

/// The access key that the store knows.
pub const ACCESS_KEY: &str = "TESTKEY";
/// Its secret.
pub const SECRET_KEY: &str = "testsecret";
/// The bucket that there is.
pub const BUCKET: &str = "backups";

/// Objects in one page of a list.
const PAGE: usize = 3;

/// What the store does in place of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status.
    Status(u16),
    /// It reads the request and never answers.
    Silence,
    /// It closes the connection in the middle: of the request's body, or of the answer's.
    Cut,
    /// It takes this long before it answers.
    Slow(Duration),
    /// It keeps something else than what it was sent.
    Corrupt,
}

/// A fault, and which requests it is for.
struct Planned {
    fault: Fault,
    pattern: String,
    left: usize,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// Uploads in parts that are not finished: their object, and their parts.
    uploads: BTreeMap<u64, (String, BTreeMap<u32, Vec<u8>>)>,
    next_upload: u64,
    faults: Vec<Planned>,
    requests: Vec<String>,
    /// Connections that are never answered.
    held: Vec<Connection>,
}

/// A connection of a client.
enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection {
    fn accept(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> std::io::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let session = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// Cuts it off.
    fn shutdown(&self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Both),
            Self::Tls(stream) => stream.sock.shutdown(Shutdown::Both),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The store. Dropped, it accepts nothing more.
pub struct S3 {
    port: u16,
    is_secure: bool,
    state: Arc<Mutex<State>>,
    is_dropped: Arc<std::sync::atomic::AtomicBool>,
}

impl S3 {
    /// Starts an empty store.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start() -> S3 {
        Self::start_with(None)
    }

    /// Starts an empty store that speaks TLS, and shows this certificate.
    ///
    /// # Panics
    /// When there is no port, or the certificate is none.
    pub fn start_secured(certificate: &Certificate) -> S3 {
        let chain = CertificateDer::from_pem_slice(certificate.cert.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_no_client_auth();
        let config = config.with_single_cert(vec![chain], key).expect("a certificate and its key");
        Self::start_with(Some(Arc::new(config)))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> S3 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let is_secure = tls.is_some();
        let state: Arc<Mutex<State>> = Arc::default();
        let is_dropped: Arc<std::sync::atomic::AtomicBool> = Arc::default();
        let (shared, ends) = (state.clone(), is_dropped.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let (state, tls) = (shared.clone(), tls.clone());
                std::thread::spawn(move || {
                    let connection = Connection::accept(stream, tls.as_ref())?;
                    serve(connection, &state)
                });
            }
        });
        S3 { port, is_secure, state, is_dropped }
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no request panics while it holds this")
    }

    /// Plans a fault for so many of the requests whose line (`PUT /backups/…?…`) has this in it.
    pub fn fail(&self, fault: Fault, pattern: &str, times: usize) {
        self.state().faults.push(Planned { fault, pattern: pattern.to_owned(), left: times });
    }

    /// Plans no faults any more.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        for stream in state.held.drain(..) {
            let _ = stream.shutdown();
        }
    }

    /// The objects, by key.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().objects.clone()
    }

    /// Replaces an object, or removes it.
    pub fn set(&self, key: &str, object: Option<Vec<u8>>) {
        let mut state = self.state();
        match object {
            Some(object) => drop(state.objects.insert(key.to_owned(), object)),
            None => drop(state.objects.remove(key)),
        }
    }

    /// How many uploads in parts are not finished.
    pub fn unfinished(&self) -> usize {
        self.state().uploads.len()
    }

    /// The lines of the requests so far, without what signs them.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.is_dropped.store(true, std::sync::atomic::Ordering::Relaxed);
        self.heal();
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A request.
struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn serve(connection: Connection, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let shown = line.split("X-Amz-").next().unwrap_or_default().trim().to_owned();
    let fault = {
        let mut state = state.lock().expect("no request panics while it holds this");
        state.requests.push(shown.clone());
        let planned =
            state.faults.iter_mut().find(|planned| planned.left > 0 && line.contains(&planned.pattern));
        planned.map(|planned| {
            planned.left -= 1;
            planned.fault
        })
    };
    let mut body = vec![0; if fault == Some(Fault::Cut) { length / 2 } else { length }];
    reader.read_exact(&mut body)?;
    // The request was all that the client sends.
    let mut stream = reader.into_inner();
    if fault == Some(Fault::Cut) && length > 0 {
        return stream.shutdown();
    }
    match fault {
        Some(Fault::Silence) => {
            state.lock().expect("no request panics while it holds this").held.push(stream);
            return Ok(());
        }
        Some(Fault::Slow(time)) => std::thread::sleep(time),
        Some(Fault::Status(status)) => {
            let body = "<Error><Code>Planned</Code><Message>on purpose</Message></Error>";
            return answer(&mut stream, status, "", body.as_bytes());
        }
        Some(Fault::Corrupt) => body.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        Some(Fault::Cut) | None => {}
    }
    let Some(request) = parse(&line, body) else {
        return answer(&mut stream, 403, "", b"<Error><Code>AccessDenied</Code></Error>");
    };
    let (status, headers, body) =
        handle(&mut state.lock().expect("no request panics while it holds this"), request);
    if fault == Some(Fault::Cut) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body[..body.len() / 2])?;
        return stream.shutdown();
    }
    answer(&mut stream, status, &headers, &body)
}

fn answer(stream: &mut Connection, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}

/// Reads a request of the bucket that is signed; `None`: it is not.
fn parse(line: &str, body: Vec<u8>) -> Option<Request> {
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?')?;
    let query: BTreeMap<String, String> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    let key = decode(path.strip_prefix(&format!("/{BUCKET}"))?.trim_start_matches('/'));
    let signature = query.get("X-Amz-Signature")?;
    let is_signed = query.get("X-Amz-Algorithm")? == "AWS4-HMAC-SHA256"
        && query.get("X-Amz-Credential")?.starts_with(&format!("{ACCESS_KEY}/"))
        && query.get("X-Amz-SignedHeaders")?.contains("host")
        && query.contains_key("X-Amz-Date")
        && signature.len() == 64
        && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_signed.then_some(Request { method, key, query, body })
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

type Answer = (u16, String, Vec<u8>);

fn handle(state: &mut State, request: Request) -> Answer {
    let Request { method, key, query, body } = request;
    let upload = query.get("uploadId").and_then(|id| id.parse().ok());
    let etag = |body: &[u8]| format!("etag: \"{}\"\r\n", body.len());
    match (method.as_str(), upload) {
        ("GET", _) if key.is_empty() => (200, String::new(), list(state, &query).into_bytes()),
        ("GET", _) => match state.objects.get(&key) {
            Some(object) => (200, String::new(), object.clone()),
            None => (404, String::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        },
        ("PUT", None) => {
            let headers = etag(&body);
            state.objects.insert(key, body);
            (200, headers, Vec::new())
        }
        ("PUT", Some(id)) => {
            let number = query.get("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
            let Some((_, parts)) = state.uploads.get_mut(&id) else {
                return (404, String::new(), Vec::new());
            };
            let headers = etag(&body);
            parts.insert(number, body);
            (200, headers, Vec::new())
        }
        ("POST", None) => {
            state.next_upload += 1;
            state.uploads.insert(state.next_upload, (key, BTreeMap::new()));
            let body = format!(
                "<InitiateMultipartUploadResult xmlns=\"{NAMESPACE}\"><UploadId>{}</UploadId>\
                 </InitiateMultipartUploadResult>",
                state.next_upload
            );
            (200, String::new(), body.into_bytes())
        }
        ("POST", Some(id)) => complete(state, id, &body),
        ("DELETE", Some(id)) => {
            state.uploads.remove(&id);
            (204, String::new(), Vec::new())
        }
        ("DELETE", None) => {
            state.objects.remove(&key);
            (204, String::new(), Vec::new())
        }
        _ => (405, String::new(), Vec::new()),
    }
}

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Joins the parts that the request names.
fn complete(state: &mut State, id: u64, body: &[u8]) -> Answer {
    let named = String::from_utf8_lossy(body).matches("<PartNumber>").count();
    match state.uploads.remove(&id) {
        Some((key, parts)) if parts.len() == named => {
            state.objects.insert(key, parts.into_values().flatten().collect());
            let body = format!(
                "<CompleteMultipartUploadResult xmlns=\"{NAMESPACE}\"><ETag>\"x\"</ETag></CompleteMultipartUploadResult>"
            );
            (200, String::new(), body.into_bytes())
        }
        _ => (400, String::new(), b"<Error><Code>InvalidPart</Code></Error>".to_vec()),
    }
}

fn list(state: &State, query: &BTreeMap<String, String>) -> String {
    let text = |name: &str| query.get(name).map_or("", String::as_str);
    let (prefix, after) = (text("prefix"), text("continuation-token"));
    let is_grouped = text("delimiter") == "/";
    let mut out = format!("<ListBucketResult xmlns=\"{NAMESPACE}\">");
    let (mut count, mut last, mut is_cut) = (0, String::new(), false);
    for (key, object) in state.objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let group = rest.split_once('/').filter(|_| is_grouped).map(|(group, _)| format!("{prefix}{group}/"));
        let place = group.clone().unwrap_or_else(|| key.clone());
        if place.as_str() <= after || place == last {
            continue;
        }
        if count == PAGE {
            is_cut = true;
            break;
        }
        let _ = match group {
            Some(group) => write!(out, "<CommonPrefixes><Prefix>{group}</Prefix></CommonPrefixes>"),
            None => write!(out, "<Contents><Key>{key}</Key><Size>{}</Size></Contents>", object.len()),
        };
        (count, last) = (count + 1, place);
    }
    let _ = write!(out, "<IsTruncated>{is_cut}</IsTruncated>");
    if is_cut {
        let _ = write!(out, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    out + "</ListBucketResult>"
}
