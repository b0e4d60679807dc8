//! The part of gRPC that sits on top of HTTP/2 and below protobuf.
//!
//! A message travels as a five-byte prefix (one byte: compressed or not; four bytes: length, big-endian)
//! followed by the message; how a call ended is said by `grpc-status` and `grpc-message` in the trailers, or in
//! the headers of a reply that has no body ("Trailers-Only"). DATA frames cut the byte stream anywhere, so a
//! [`Deframer`] puts messages together again. Nothing here asks for compression, so a compressed message is an error.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use std::fmt;

/// Bytes before each message: the compression flag and the length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// How a call failed, in gRPC's terms, with two additions for what never reached gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    /// A `grpc-status` other than 0.
    Status(u32),
    /// The connection or the HTTP/2 stream broke.
    Transport,
    /// The reply was not what gRPC or the API allows.
    Malformed,
    /// No answer before the run was given up.
    Unanswered,
    /// A watch event that never came.
    MissingEvent,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 17] = [
            "OK",
            "Canceled",
            "Unknown",
            "InvalidArgument",
            "DeadlineExceeded",
            "NotFound",
            "AlreadyExists",
            "PermissionDenied",
            "ResourceExhausted",
            "FailedPrecondition",
            "Aborted",
            "OutOfRange",
            "Unimplemented",
            "Internal",
            "Unavailable",
            "DataLoss",
            "Unauthenticated",
        ];
        match *self {
            Code::Status(number) => match NAMES.get(number as usize) {
                Some(name) => f.write_str(name),
                None => write!(f, "status {number}"),
            },
            Code::Transport => f.write_str("transport"),
            Code::Malformed => f.write_str("malformed reply"),
            Code::Unanswered => f.write_str("unanswered"),
            Code::MissingEvent => f.write_str("missing event"),
        }
    }
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Failure {
        Failure::new(Code::Malformed, message)
    }

    /// Whether the connection is gone, so that another call on it would fail at once.
    pub(crate) fn is_fatal(&self) -> bool {
        self.code == Code::Transport
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Failure {
        Failure::new(Code::Transport, error.to_string())
    }
}

/// Reads the status out of headers or trailers; `None` when they carry none.
pub(crate) fn status(headers: &HeaderMap) -> Option<Result<(), Failure>> {
    let status = headers.get("grpc-status")?;
    if status.as_bytes() == b"0" {
        return Some(Ok(()));
    }
    let Some(number) = status.to_str().ok().and_then(|text| text.parse().ok()) else {
        return Some(Err(Failure::malformed("grpc-status is not a number")));
    };
    let message = headers.get("grpc-message").map(|text| percent_decode(text.as_bytes())).unwrap_or_default();
    Some(Err(Failure::new(Code::Status(number), message)))
}

/// Undoes the percent-encoding of `grpc-message`; what is not an escape stays as it is.
fn percent_decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escape = || Some((hex(*tail.first()?)? << 4) | hex(*tail.get(1)?)?);
        match (*first, escape()) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Writes the prefix of a message of `length` bytes into the first five bytes of `frame`.
///
/// # Panics
/// When `length` does not fit into 32 bits: no request of ours comes near.
pub(crate) fn write_prefix(frame: &mut [u8], length: usize) {
    let length = u32::try_from(length).expect("a request is far below 4 GiB");
    frame[0] = 0;
    frame[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// Reads a prefix: the length of the message that follows.
pub(crate) fn read_prefix(prefix: &[u8]) -> Result<usize, Failure> {
    match *prefix {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([a, b, c, d]) as usize),
        [_, _, _, _, _, ..] => Err(Failure::malformed("a compressed message that nobody asked for")),
        _ => Err(Failure::malformed("a message cut short")),
    }
}

/// Puts the messages of a stream together from DATA chunks. A message that lies in one chunk is not copied.
#[derive(Default)]
pub(crate) struct Deframer {
    /// Bytes of a message that is still incomplete.
    partial: BytesMut,
    /// The newest chunk's bytes that have not been looked at.
    chunk: Bytes,
}

impl Deframer {
    /// Adds a chunk. All messages of the previous one must have been taken out with [`Deframer::next`].
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the previous chunk was not drained");
        self.chunk = chunk;
    }

    /// The next complete message, without its prefix.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if !self.partial.is_empty() {
            return self.complete();
        }
        if self.chunk.len() >= PREFIX_BYTES {
            let length = read_prefix(&self.chunk)?;
            if self.chunk.len() - PREFIX_BYTES >= length {
                self.chunk.advance(PREFIX_BYTES);
                return Ok(Some(self.chunk.split_to(length)));
            }
        }
        self.partial.extend_from_slice(&self.chunk);
        self.chunk.clear();
        Ok(None)
    }

    /// Takes from the chunk what the partial message lacks.
    fn complete(&mut self) -> Result<Option<Bytes>, Failure> {
        self.take_until(PREFIX_BYTES);
        if self.partial.len() < PREFIX_BYTES {
            return Ok(None);
        }
        let end = PREFIX_BYTES + read_prefix(&self.partial)?;
        self.take_until(end);
        if self.partial.len() < end {
            return Ok(None);
        }
        let mut message = self.partial.split().freeze();
        message.advance(PREFIX_BYTES);
        Ok(Some(message))
    }

    fn take_until(&mut self, length: usize) {
        let missing = length.saturating_sub(self.partial.len()).min(self.chunk.len());
        self.partial.extend_from_slice(&self.chunk.split_to(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; PREFIX_BYTES];
        write_prefix(&mut frame, message.len());
        frame.extend_from_slice(message);
        frame
    }

    #[test]
    fn messages_survive_any_cut_of_the_stream() {
        let messages: [&[u8]; 5] = [b"first", b"", b"a somewhat longer third message", b"x", b""];
        let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        for size in 1..=stream.len() {
            let mut deframer = Deframer::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(size) {
                deframer.push(Bytes::copy_from_slice(chunk));
                while let Some(message) = deframer.next().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages, "chunks of {size} bytes");
        }
    }

    #[test]
    fn a_compressed_message_is_refused() {
        let mut deframer = Deframer::default();
        deframer.push(Bytes::from_static(&[1, 0, 0, 0, 0]));
        assert_eq!(deframer.next().unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn status_is_read_from_trailers() {
        let mut trailers = HeaderMap::new();
        assert_eq!(status(&trailers), None);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(status(&trailers), Some(Ok(())));
        trailers.insert("grpc-status", HeaderValue::from_static("8"));
        trailers.insert("grpc-message", HeaderValue::from_static("etcdserver: too many requests%21 100%"));
        let failure = status(&trailers).unwrap().unwrap_err();
        assert_eq!(failure.to_string(), "ResourceExhausted: etcdserver: too many requests! 100%");
        trailers.insert("grpc-status", HeaderValue::from_static("99"));
        assert_eq!(status(&trailers).unwrap().unwrap_err().code.to_string(), "status 99");
    }
}
