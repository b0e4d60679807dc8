//! One request message in, one reply message out.
//!
//! The length-prefixed message of gRPC (one flag byte, four bytes of length, the message) arrives nearly always in
//! one DATA frame, and then it is decoded where it lies: keys and values of the request are slices of the very
//! buffer that came off the socket.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;
use http_body_util::BodyExt;
use prost::Message;
use tonic::{Code, Status};

use super::body::ResponseBody;
use super::reply::WireReply;
use crate::limits::SENT_MESSAGE_BYTES_MAX;

/// Flag byte and length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// How a request message was compressed, and so how its reply will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// `grpc-encoding: gzip`.
    Gzip,
}

impl Encoding {
    /// Reads `grpc-encoding`; an encoding that is not known is refused as grpc-go refuses it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(other) => Err(Status::unimplemented(format!(
                "grpc: Decompressor is not installed for grpc-encoding \"{}\"",
                String::from_utf8_lossy(other)
            ))),
        }
    }
}

/// Reads the one request message of a unary call, and says how long it was.
///
/// # Errors
/// `ResourceExhausted` for a message over `limit` bytes, `Internal` for one that does not decode, with grpc-go's texts.
pub(crate) async fn read_message<Q, B>(
    body: B,
    encoding: Encoding,
    limit: usize,
) -> Result<(Q, usize), Status>
where
    Q: Message + Default,
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (flag, message) = read_frame(body, limit).await?;
    let message = match (flag, encoding) {
        (0, _) => message,
        (1, Encoding::Gzip) => gunzip(&message, limit)?,
        (1, Encoding::Identity) => {
            return Err(Status::internal(
                "grpc: compressed flag set with identity or empty encoding".to_owned(),
            ));
        }
        (other, _) => {
            return Err(Status::internal(format!("grpc: received unexpected payload format {other}")));
        }
    };
    let bytes = message.len();
    match Q::decode(message) {
        Ok(message) => Ok((message, bytes)),
        Err(error) => Err(Status::internal(format!("grpc: error unmarshalling request: {error}"))),
    }
}

/// The flag and the bytes of the first message of `body`.
async fn read_frame<B>(mut body: B, limit: usize) -> Result<(u8, Bytes), Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut have = Bytes::new();
    loop {
        if let Some(whole) = split_frame(&mut have, limit)? {
            return Ok(whole);
        }
        let Some(frame) = body.frame().await else {
            return Err(Status::internal("grpc: request ended before its message was whole"));
        };
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            have = join(have, data);
        }
    }
}

fn join(have: Bytes, more: Bytes) -> Bytes {
    if have.is_empty() {
        return more;
    }
    // The usual case of a message in several frames keeps one growing buffer: `try_into_mut` gives it back.
    let mut buf = have.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    buf.extend_from_slice(&more);
    buf.freeze()
}

fn split_frame(have: &mut Bytes, limit: usize) -> Result<Option<(u8, Bytes)>, Status> {
    let Some(prefix) = have.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let flag = prefix[0];
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if length > limit {
        return Err(too_large(length, limit));
    }
    if have.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    have.advance(PREFIX_BYTES);
    Ok(Some((flag, have.split_to(length))))
}

fn too_large(length: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({length} vs. {limit})"))
}

fn gunzip(compressed: &[u8], limit: usize) -> Result<Bytes, Status> {
    use std::io::Read;
    let mut plain = Vec::new();
    // One byte more than allowed tells "too large" from "exactly at the limit" without inflating a bomb.
    flate2::read::GzDecoder::new(compressed).take(limit as u64 + 1).read_to_end(&mut plain).map_err(
        |error| Status::internal(format!("grpc: failed to decompress the received message: {error}")),
    )?;
    if plain.len() > limit {
        return Err(Status::resource_exhausted(format!(
            "grpc: received message after decompression larger than max {limit}"
        )));
    }
    Ok(plain.into())
}

/// Refuses a message that is too long to be sent, before any of it is written: in the words of grpc-go, and compressed or not,
/// as it would have to be in memory as a whole.
///
/// # Errors
/// `ResourceExhausted`.
pub(crate) fn check_sent(bytes: usize) -> Result<(), Status> {
    if u32::try_from(bytes).is_err() {
        return Err(Status::resource_exhausted(format!("grpc: message too large ({bytes} bytes)")));
    }
    if bytes > SENT_MESSAGE_BYTES_MAX {
        let limit = SENT_MESSAGE_BYTES_MAX;
        let text = format!("grpc: trying to send message larger than max ({bytes} vs. {limit})");
        return Err(Status::resource_exhausted(text));
    }
    Ok(())
}

/// The response that carries `reply`, or the status.
pub(crate) fn respond<R: WireReply>(
    reply: Result<R, Status>,
    encoding: Encoding,
) -> (Code, Response<ResponseBody>) {
    match reply.and_then(|reply| check_sent(reply.wire_len()).map(|()| reply)) {
        Ok(reply) => (Code::Ok, success(&reply, encoding)),
        Err(status) => (status.code(), failure(&status)),
    }
}

fn success<R: WireReply>(reply: &R, encoding: Encoding) -> Response<ResponseBody> {
    let frame = match encoding {
        Encoding::Identity => frame(reply),
        Encoding::Gzip => gzip_frame(reply),
    };
    let mut response = Response::new(ResponseBody::Unary { frame: Some(frame), finished: false });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if encoding == Encoding::Gzip {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

fn frame<R: WireReply>(reply: &R) -> Bytes {
    let length = reply.wire_len();
    let mut buf = BytesMut::with_capacity(PREFIX_BYTES + length);
    buf.put_u8(0);
    buf.put_u32(prefix_length(length));
    reply.write(&mut buf);
    assert_eq!(buf.len(), PREFIX_BYTES + length, "a reply writes the length that it announced");
    buf.freeze()
}

/// Returns a message's length as its prefix has it. Longer ones were refused by [`check_sent`].
fn prefix_length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a message that is sent fits its prefix")
}

fn gzip_frame<R: WireReply>(reply: &R) -> Bytes {
    use std::io::Write;
    let mut plain = Vec::with_capacity(reply.wire_len());
    reply.write(&mut plain);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let packed = encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("a Vec takes every write");
    let mut buf = BytesMut::with_capacity(PREFIX_BYTES + packed.len());
    buf.put_u8(1);
    buf.put_u32(prefix_length(packed.len()));
    buf.put_slice(&packed);
    buf.freeze()
}

/// A response that is a status and nothing else ("Trailers-Only" in the gRPC protocol).
pub(crate) fn failure(status: &Status) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if status.add_header(headers).is_err() {
        headers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};
    use proto::etcdserverpb::PutRequest;

    fn framed(flag: u8, message: &[u8]) -> Bytes {
        let mut buf = BytesMut::new();
        buf.put_u8(flag);
        buf.put_u32(message.len() as u32);
        buf.put_slice(message);
        buf.freeze()
    }

    fn read(body: Bytes, encoding: Encoding, limit: usize) -> Result<PutRequest, Status> {
        futures_executor(read_message(Full::new(body), encoding, limit)).map(|(request, _)| request)
    }

    fn futures_executor<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    fn request() -> PutRequest {
        PutRequest { key: "key".into(), value: "value".into(), ..Default::default() }
    }

    #[test]
    fn a_message_in_any_number_of_frames_is_read() {
        let wire = framed(0, &request().encode_to_vec());
        for size in 1..=wire.len() {
            let frames: Vec<_> = wire
                .chunks(size)
                .map(|chunk| {
                    Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::copy_from_slice(chunk)))
                })
                .collect();
            let body = StreamBody::new(tokio_stream::iter(frames));
            let got = futures_executor(read_message::<PutRequest, _>(body, Encoding::Identity, 100)).unwrap();
            assert_eq!(got.0, request());
        }
    }

    #[test]
    fn a_message_over_the_limit_is_refused_with_the_text_of_grpc_go() {
        let wire = framed(0, &request().encode_to_vec());
        let status = read(wire, Encoding::Identity, 4).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (12 vs. 4)");
    }

    #[test]
    fn garbage_is_an_internal_error() {
        let status = read(framed(0, &[0xff; 7]), Encoding::Identity, 100).unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().starts_with("grpc: error unmarshalling request: "), "{status:?}");
        assert_eq!(read(Bytes::new(), Encoding::Identity, 100).unwrap_err().code(), Code::Internal);
        assert_eq!(read(framed(1, b"x"), Encoding::Identity, 100).unwrap_err().code(), Code::Internal);
        assert_eq!(read(framed(1, b"x"), Encoding::Gzip, 100).unwrap_err().code(), Code::Internal);
    }

    /// A reply that says how long it is, and is never asked for more.
    struct Announced(usize);

    impl WireReply for Announced {
        fn wire_len(&self) -> usize {
            self.0
        }

        fn write(&self, _: &mut impl BufMut) {
            panic!("a reply that is refused is not written");
        }
    }

    #[test]
    fn a_reply_that_is_too_long_is_refused_before_it_is_written() {
        for (bytes, text) in [
            (2_348_866_716, "grpc: trying to send message larger than max (2348866716 vs. 2147483647)"),
            (0x8000_0000, "grpc: trying to send message larger than max (2147483648 vs. 2147483647)"),
            (0x1_0000_0000, "grpc: message too large (4294967296 bytes)"),
        ] {
            assert_eq!(check_sent(bytes).unwrap_err().message(), text);
            for encoding in [Encoding::Identity, Encoding::Gzip] {
                let (code, response) = respond(Ok(Announced(bytes)), encoding);
                assert_eq!(code, Code::ResourceExhausted);
                assert_eq!(response.headers()["grpc-status"], "8");
            }
        }
        assert!(check_sent(0x7fff_ffff).is_ok());
    }

    #[test]
    fn gzip_goes_both_ways_and_is_bounded() {
        use std::io::Read;
        struct Raw(Vec<u8>);
        impl WireReply for Raw {
            fn wire_len(&self) -> usize {
                self.0.len()
            }
            fn write(&self, buf: &mut impl BufMut) {
                buf.put_slice(&self.0);
            }
        }
        let packed = gzip_frame(&Raw(request().encode_to_vec()));
        assert_eq!(read(packed.clone(), Encoding::Gzip, 100).unwrap(), request());
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&packed[PREFIX_BYTES..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, request().encode_to_vec());
        let bomb = gzip_frame(&Raw(vec![0; 1 << 20]));
        assert_eq!(read(bomb, Encoding::Gzip, 4096).unwrap_err().code(), Code::ResourceExhausted);
    }
}
