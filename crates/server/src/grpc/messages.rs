//! The messages of a request, as they come.
//!
//! A message has a prefix (one flag byte, four bytes of length) and arrives nearly always in one DATA frame; then it is
//! decoded where it lies: keys and values of the request are slices of the very buffer that came off the socket. A message
//! of which a part has come is copied, so that it keeps no more than itself in memory, and counted in the member's
//! backlog of such messages.
//!
//! The texts of what is wrong are grpc-go's.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body;
use prost::Message;
use tonic::Status;

use super::encoding::Encoding;
use super::request_body::RequestBody;
use super::unfinished::Unfinished;
use crate::gzip::Inflate;
use crate::net::backlog::Backlog;
use crate::turn::others_first;

/// Flag byte and length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// The messages of one request, each as soon as it is there.
///
/// As a stream it gives one message a turn: a client may have thousands of small ones on the way, and they are there at
/// once (rule I1).
pub(crate) struct Messages<Q, B = RequestBody> {
    body: B,
    encoding: Encoding,
    /// Longest message taken.
    bytes_max: usize,
    /// What has come and is not handed out. Not more than one message of it is incomplete.
    have: Bytes,
    /// The buffer of `have` is the connection's.
    is_borrowed: bool,
    unfinished: Unfinished,
    inflating: Option<Inflate>,
    is_others_turn: bool,
    is_over: bool,
    message: PhantomData<fn() -> Q>,
}

impl<Q, B> Messages<Q, B>
where
    Q: Message + Default,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    pub(crate) fn new(body: B, encoding: Encoding, bytes_max: usize, backlog: &Arc<Backlog>) -> Self {
        Self {
            body,
            encoding,
            bytes_max,
            have: Bytes::new(),
            is_borrowed: false,
            unfinished: Unfinished::new(backlog),
            inflating: None,
            is_others_turn: false,
            is_over: false,
            message: PhantomData,
        }
    }

    /// Returns the one message of a unary call, and how long it was. What comes behind it is not looked at. `check` sees
    /// the message before it is decoded.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none.
    pub(crate) async fn only(
        mut self,
        check: impl FnOnce(&[u8]) -> Result<(), Status>,
    ) -> Result<(Q, usize), Status> {
        let message = std::future::poll_fn(|cx| self.poll_message(cx)).await?;
        let message =
            message.ok_or_else(|| Status::unknown(if self.is_amid_message() { CUT } else { "EOF" }))?;
        let bytes = message.len();
        check(&message)?;
        let message = Q::decode(message);
        let message = message
            .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))?;
        Ok((message, bytes))
    }

    /// Whether a message has begun: with its whole prefix, as grpc-go sees it.
    fn is_amid_message(&self) -> bool {
        self.have.len() >= PREFIX_BYTES
    }

    /// The next message, not decoded; `None` at the end, whether in the middle of one or not.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(inflate) = &mut self.inflating {
                let Some(message) = inflate.step()? else {
                    self.unfinished.is_now(self.have.len() + inflate.bytes(), cx)?;
                    others_first(cx);
                    return Poll::Pending;
                };
                self.inflating = None;
                self.unfinished.is_now(0, cx)?;
                return Poll::Ready(Ok(Some(message)));
            }
            match split_frame(&mut self.have, self.encoding, self.bytes_max)? {
                Some((false, message)) => return Poll::Ready(Ok(Some(message))),
                Some((true, message)) => self.inflating = Some(Inflate::new(message, self.bytes_max)),
                None => match ready!(self.poll_more(cx))? {
                    Some(more) => self.take(more),
                    None => return Poll::Ready(Ok(None)),
                },
            }
        }
    }

    /// More bytes. Before the wait for them, what is there is made small and counted.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        if std::mem::take(&mut self.is_borrowed) {
            self.have = Bytes::copy_from_slice(&self.have);
        }
        self.unfinished.is_now(self.have.len(), cx)?;
        loop {
            return Poll::Ready(Ok(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(data),
                    // Trailers, which mean nothing here.
                    Err(_) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Err(Status::cancelled(error.to_string()))),
                None => None,
            }));
        }
    }

    fn take(&mut self, more: Bytes) {
        if self.have.is_empty() {
            self.have = more;
            self.is_borrowed = true;
            return;
        }
        // A message in several frames has one growing buffer: `try_into_mut` gives it back.
        let have = std::mem::take(&mut self.have);
        let mut buf = have.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        buf.extend_from_slice(&more);
        self.have = buf.freeze();
    }
}

impl<Q, B> Stream for Messages<Q, B>
where
    Q: Message + Default,
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Item = Result<Q, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if std::mem::take(&mut this.is_others_turn) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.is_over {
            return Poll::Ready(None);
        }
        let item = match ready!(this.poll_message(cx)) {
            Ok(Some(message)) => Some(Q::decode(message).map_err(|error| {
                Status::internal(format!("grpc: failed to unmarshal the received message: {error}"))
            })),
            Ok(None) if this.is_amid_message() => Some(Err(Status::internal(CUT))),
            Ok(None) => None,
            // The client has given the call up, or is gone.
            Err(status) if status.code() == tonic::Code::Cancelled => None,
            Err(status) => Some(Err(status)),
        };
        this.is_others_turn = true;
        this.is_over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

/// What grpc-go says of a message that ends before its time.
const CUT: &str = "unexpected EOF";

/// Splits a message off, if it is whole. Returns whether it is deflated, too.
fn split_frame(
    have: &mut Bytes,
    encoding: Encoding,
    bytes_max: usize,
) -> Result<Option<(bool, Bytes)>, Status> {
    let Some([flag, length @ ..]) = have.first_chunk::<PREFIX_BYTES>().copied() else { return Ok(None) };
    let is_deflated = match (flag, encoding) {
        (0, _) => false,
        (1, Encoding::Gzip) => true,
        (1, Encoding::Identity) => {
            let text = "grpc: compressed flag set with identity or empty encoding";
            return Err(Status::internal(text));
        }
        (other, _) => {
            return Err(Status::internal(format!("grpc: received unexpected payload format {other}")));
        }
    };
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        let text = format!("grpc: received message larger than max ({length} vs. {bytes_max})");
        return Err(Status::resource_exhausted(text));
    }
    if have.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    have.advance(PREFIX_BYTES);
    Ok(Some((is_deflated, have.split_to(length))))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use futures_util::{FutureExt, StreamExt};
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody};
    use proto::etcdserverpb::PutRequest;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;
    use tonic::Code;

    use super::*;
    use crate::gzip::Deflate;

    fn framed(flag: u8, message: &[u8]) -> Bytes {
        let mut frame = vec![flag];
        frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
        frame.extend_from_slice(message);
        frame.into()
    }

    fn put(key: &str) -> PutRequest {
        PutRequest { key: key.to_owned().into(), value: "value".into(), ..Default::default() }
    }

    fn wire(key: &str) -> Bytes {
        framed(0, &put(key).encode_to_vec())
    }

    fn deflated(message: &[u8]) -> Bytes {
        let mut deflate = Deflate::new(Bytes::copy_from_slice(message));
        let packed = std::iter::from_fn(|| Some(deflate.step())).flatten().next().unwrap();
        framed(1, &packed)
    }

    fn plenty() -> Arc<Backlog> {
        Backlog::new(usize::MAX)
    }

    fn of(body: Bytes, encoding: Encoding, bytes_max: usize) -> Messages<PutRequest, Full<Bytes>> {
        Messages::new(Full::new(body), encoding, bytes_max, &plenty())
    }

    async fn only(body: Bytes, encoding: Encoding, bytes_max: usize) -> Result<PutRequest, Status> {
        of(body, encoding, bytes_max).only(|_| Ok(())).await.map(|(message, _)| message)
    }

    async fn all(body: Bytes, encoding: Encoding, bytes_max: usize) -> Vec<Result<PutRequest, Status>> {
        of(body, encoding, bytes_max).collect().await
    }

    type Received = UnboundedReceiverStream<Result<Frame<Bytes>, Infallible>>;

    /// Messages of a client that sends what the test says.
    struct Slow {
        client: mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>,
        messages: Messages<PutRequest, StreamBody<Received>>,
    }

    impl Slow {
        fn within(backlog: &Arc<Backlog>) -> Self {
            let (client, received) = mpsc::unbounded_channel();
            let body = StreamBody::new(UnboundedReceiverStream::new(received));
            Self { client, messages: Messages::new(body, Encoding::Identity, 1000, backlog) }
        }

        fn send(&self, bytes: &[u8]) {
            self.client.send(Ok(Frame::data(Bytes::copy_from_slice(bytes)))).unwrap();
        }

        /// What there is now.
        fn poll(&mut self) -> Poll<Option<Result<PutRequest, Status>>> {
            let mut cx = Context::from_waker(Waker::noop());
            // The second time, if others had their turn.
            match self.messages.poll_next_unpin(&mut cx) {
                Poll::Pending => self.messages.poll_next_unpin(&mut cx),
                ready => ready,
            }
        }
    }

    #[tokio::test]
    async fn messages_in_any_number_of_frames_are_read() {
        let bytes = [wire("a"), wire("bc"), framed(0, b""), wire("d")].concat();
        let expected = [put("a"), put("bc"), PutRequest::default(), put("d")];
        for size in 1..=bytes.len() {
            let frames = || {
                let frames = bytes.chunks(size).map(|chunk| Frame::data(Bytes::copy_from_slice(chunk)));
                frames.map(Ok::<_, Infallible>).collect::<Vec<_>>()
            };
            let body = StreamBody::new(tokio_stream::iter(frames()));
            let messages = Messages::<PutRequest, _>::new(body, Encoding::Identity, 100, &plenty());
            let messages: Vec<PutRequest> = messages.map(Result::unwrap).collect().await;
            assert_eq!(messages, expected, "{size}");
            let body = StreamBody::new(tokio_stream::iter(frames()));
            let first = Messages::<PutRequest, _>::new(body, Encoding::Identity, 100, &plenty());
            let first = first.only(|_| Ok(()));
            assert_eq!(first.await.unwrap(), (put("a"), wire("a").len() - PREFIX_BYTES));
        }
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_in_the_words_of_grpc_go() {
        let (identity, gzip) = (Encoding::Identity, Encoding::Gzip);
        let large = "grpc: received message larger than max (12 vs. 4)";
        let inflated = "grpc: received message after decompression larger than max 8192";
        let compressed = "grpc: compressed flag set with identity or empty encoding";
        for (body, encoding, bytes_max, code, text) in [
            (framed(0, &[0; 12]), identity, 4, Code::ResourceExhausted, large),
            (deflated(&[0; 1 << 20]), gzip, 8192, Code::ResourceExhausted, inflated),
            (framed(1, b"x"), identity, 100, Code::Internal, compressed),
            (framed(2, b"x"), gzip, 100, Code::Internal, "grpc: received unexpected payload format 2"),
            (framed(0, &[0xff; 7]), identity, 100, Code::Internal, "grpc: error unmarshalling request: "),
            (framed(1, b"x"), gzip, 100, Code::Internal, "grpc: failed to read decompressed data: "),
        ] {
            let status = only(body.clone(), encoding, bytes_max).await.unwrap_err();
            assert!(status.code() == code && status.message().starts_with(text), "{status:?}");
            // On a stream, what came before it is there, and nothing comes after it.
            let body = [wire("a"), body, wire("b")].concat();
            let all = all(body.into(), encoding, bytes_max.max(11)).await;
            let [Ok(first), Err(status)] = &all[..] else { panic!("{all:?}") };
            assert_eq!(*first, put("a"));
            assert_eq!(status.code(), code, "{status:?}");
            let of_a_stream = "grpc: failed to unmarshal the received message: ";
            assert_eq!(text.contains("unmarshalling"), status.message().starts_with(of_a_stream));
        }
    }

    #[tokio::test]
    async fn a_request_that_ends_too_early_is_cut_or_empty() {
        let whole = wire("a");
        let cut = whole.slice(..whole.len() - 1);
        let status = only(cut.clone(), Encoding::Identity, 100).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unknown, CUT));
        let all_of_cut = all(cut, Encoding::Identity, 100).await;
        let [Err(status)] = &all_of_cut[..] else { panic!("{all_of_cut:?}") };
        assert_eq!((status.code(), status.message()), (Code::Internal, CUT));
        for no_prefix in [&b""[..], b"\0\0\0\0"] {
            let no_prefix = Bytes::from_static(no_prefix);
            let status = only(no_prefix.clone(), Encoding::Identity, 100).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Unknown, "EOF"));
            assert!(all(no_prefix, Encoding::Identity, 100).await.is_empty());
        }
    }

    #[tokio::test]
    async fn trailers_are_no_message_and_a_client_that_is_gone_has_sent_its_last() {
        let trailers = Full::new(wire("a")).with_trailers(std::future::ready(Some(Ok(Default::default()))));
        let messages = Messages::<PutRequest, _>::new(trailers, Encoding::Identity, 100, &plenty());
        assert_eq!(messages.map(Result::unwrap).collect::<Vec<_>>().await, [put("a")]);
        let frames = || vec![Ok(Frame::data(wire("a"))), Err("reset")];
        let gone = |frames| Messages::<PutRequest, _>::new(frames, Encoding::Identity, 100, &plenty());
        let messages = gone(StreamBody::new(tokio_stream::iter(frames())));
        assert_eq!(messages.map(Result::unwrap).collect::<Vec<_>>().await, [put("a")]);
        let unary = gone(StreamBody::new(tokio_stream::iter(frames().split_off(1))));
        assert_eq!(unary.only(|_| Ok(())).await.unwrap_err().code(), Code::Cancelled);
    }

    /// What is there at once is not handed out at once.
    #[tokio::test]
    async fn between_two_messages_others_have_their_turn() {
        let mut messages = of([wire("a"), wire("b")].concat().into(), Encoding::Identity, 100);
        assert_eq!(messages.next().now_or_never().unwrap().unwrap().unwrap(), put("a"));
        assert!(messages.next().now_or_never().is_none());
        assert_eq!(messages.next().now_or_never().unwrap().unwrap().unwrap(), put("b"));
    }

    /// The same while a message is inflated.
    #[tokio::test]
    async fn inflating_is_not_done_at_a_stretch() {
        let large = PutRequest { value: vec![7; 1 << 20].into(), ..put("a") };
        let mut messages = of(deflated(&large.encode_to_vec()), Encoding::Gzip, 2 << 20);
        assert!(messages.next().now_or_never().is_none());
        assert_eq!(messages.next().await.unwrap().unwrap(), large);
    }

    #[test]
    fn a_part_of_a_message_keeps_no_more_than_itself_in_memory() {
        let mut slow = Slow::within(&plenty());
        let buffer = Bytes::from([wire("a"), wire("b")].concat());
        slow.client.send(Ok(Frame::data(buffer.slice(..buffer.len() - 1)))).unwrap();
        assert!(matches!(slow.poll(), Poll::Ready(Some(Ok(message))) if message == put("a")));
        assert!(slow.poll().is_pending());
        assert!(buffer.is_unique(), "nobody else holds it");
    }

    #[test]
    fn unfinished_messages_are_counted_and_the_oldest_makes_room() {
        let backlog = Backlog::new(23);
        let (mut first, mut second) = (Slow::within(&backlog), Slow::within(&backlog));
        let whole = wire("a");
        for slow in [&mut first, &mut second] {
            slow.send(&whole[..10]);
            assert!(slow.poll().is_pending());
        }
        assert_eq!(backlog.bytes(), 20);
        second.send(&whole[10..14]);
        assert!(second.poll().is_pending());
        let Poll::Ready(Some(Err(status))) = first.poll() else { panic!("it is given up") };
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(backlog.bytes(), 14);
        assert!(matches!(first.poll(), Poll::Ready(None)));
        second.send(&whole[14..]);
        assert!(matches!(second.poll(), Poll::Ready(Some(Ok(message))) if message == put("a")));
        assert!(second.poll().is_pending());
        assert_eq!(backlog.bytes(), 0, "a message that is whole is counted no more");
        drop((first, second));
        assert_eq!(backlog.bytes(), 0);
    }
}
