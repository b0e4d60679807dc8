//! One reply message out, and what is not even that: a status.

use bytes::{BufMut, Bytes, BytesMut};
use engine::wire::WireReply;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use machine::Pieces;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::body::{Message, ResponseBody};
use super::encoding::Encoding;
use super::messages::PREFIX_BYTES;
use crate::gzip::deflated;
use crate::limits::{DEFLATING_MAX, GZIP_STEP_BYTES, LONG_REPLY_BYTES, SENT_MESSAGE_BYTES_MAX};

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
pub(crate) async fn respond<R: WireReply>(
    reply: Result<R, Status>,
    encoding: Encoding,
) -> (Code, Response<ResponseBody>) {
    match reply.and_then(|reply| check_sent(reply.wire_len()).map(|()| reply)) {
        Ok(reply) => (Code::Ok, success(reply, encoding).await),
        Err(status) => (status.code(), failure(&status)),
    }
}

async fn success<R: WireReply>(reply: R, encoding: Encoding) -> Response<ResponseBody> {
    let message = match encoding {
        Encoding::Identity if reply.wire_len() < LONG_REPLY_BYTES => Message::Short(Some(frame(&reply))),
        Encoding::Identity => Message::long(long_frame(reply)),
        Encoding::Gzip => Message::Short(Some(gzip_frame(reply).await)),
    };
    let mut response = Response::new(ResponseBody::Unary { message, finished: false });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if encoding == Encoding::Gzip {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

fn frame<R: WireReply>(reply: &R) -> Bytes {
    let mut buf = BytesMut::with_capacity(PREFIX_BYTES + reply.wire_len());
    write_frame(reply, &mut buf);
    buf.freeze()
}

/// Returns a message with its prefix, to be written piece by piece.
fn long_frame<R: WireReply>(reply: R) -> Pieces {
    let mut front = BytesMut::new();
    add_prefix(0, reply.wire_len(), &mut front);
    reply.into_pieces(front)
}

/// Appends a message with its prefix.
pub(super) fn write_frame<R: WireReply>(reply: &R, buf: &mut BytesMut) {
    let length = reply.wire_len();
    add_prefix(0, length, buf);
    let start = buf.len();
    reply.write(buf);
    assert_eq!(buf.len(), start + length, "a reply writes the length that it announced");
}

/// Appends the prefix of a message of so many bytes. Longer ones than fit were refused by [`check_sent`].
pub(super) fn add_prefix(flag: u8, bytes: usize, buf: &mut BytesMut) {
    buf.put_u8(flag);
    buf.put_u32(u32::try_from(bytes).expect("a message that is sent fits its prefix"));
}

/// Whose turn it is to be deflated. What waits for it is not written yet.
static DEFLATING: Semaphore = Semaphore::const_new(DEFLATING_MAX);

async fn gzip_frame<R: WireReply>(reply: R) -> Bytes {
    let is_long = reply.wire_len() > GZIP_STEP_BYTES;
    let _turn = if is_long { DEFLATING.acquire().await.ok() } else { None };
    let mut plain = BytesMut::with_capacity(reply.wire_len());
    reply.write(&mut plain);
    drop(reply);
    let packed = deflated(plain.freeze()).await;
    let mut buf = BytesMut::with_capacity(PREFIX_BYTES + packed.len());
    add_prefix(1, packed.len(), &mut buf);
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
    use futures_util::FutureExt;
    use prost::Message;
    use proto::etcdserverpb::PutRequest;

    use super::super::messages::Messages;
    use super::*;
    use crate::net::backlog::Backlog;

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

    #[tokio::test]
    async fn a_reply_that_is_too_long_is_refused_before_it_is_written() {
        for (bytes, text) in [
            (2_348_866_716, "grpc: trying to send message larger than max (2348866716 vs. 2147483647)"),
            (0x8000_0000, "grpc: trying to send message larger than max (2147483648 vs. 2147483647)"),
            (0x1_0000_0000, "grpc: message too large (4294967296 bytes)"),
        ] {
            assert_eq!(check_sent(bytes).unwrap_err().message(), text);
            for encoding in [Encoding::Identity, Encoding::Gzip] {
                let (code, response) = respond(Ok(Announced(bytes)), encoding).await;
                assert_eq!(code, Code::ResourceExhausted);
                assert_eq!(response.headers()["grpc-status"], "8");
            }
        }
        assert!(check_sent(0x7fff_ffff).is_ok());
    }

    struct Raw(Vec<u8>);

    impl WireReply for Raw {
        fn wire_len(&self) -> usize {
            self.0.len()
        }

        fn write(&self, buf: &mut impl BufMut) {
            buf.put_slice(&self.0);
        }
    }

    #[tokio::test]
    async fn a_reply_is_deflated_and_can_be_read() {
        for bytes in [0, 10, 10 * GZIP_STEP_BYTES] {
            let message =
                PutRequest { key: "key".into(), value: vec![7; bytes].into(), ..Default::default() };
            let packed = gzip_frame(Raw(message.encode_to_vec())).await;
            let body = http_body_util::Full::new(packed);
            let backlog = Backlog::new(usize::MAX);
            let messages = Messages::<PutRequest, _>::new(body, Encoding::Gzip, 1 << 20, &backlog);
            assert_eq!(messages.only(|_| Ok(())).await.unwrap().0, message);
        }
    }

    /// A list of megabytes takes longer than others may wait (rule I1).
    #[test]
    fn a_long_reply_is_not_deflated_at_a_stretch() {
        assert!(gzip_frame(Raw(vec![7; GZIP_STEP_BYTES])).now_or_never().is_some());
        assert!(gzip_frame(Raw(vec![7; GZIP_STEP_BYTES + 1])).now_or_never().is_none());
    }
}
