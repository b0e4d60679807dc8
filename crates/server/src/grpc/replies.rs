//! The body of a streaming call: its replies, and the status with which they end.
//!
//! What is there at once leaves in one DATA frame, up to a size. A reply is written when the client has taken those before
//! it: so a stream that it does not read keeps no more than one. A long one leaves in pieces: each is made when there is room for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use engine::wire::WireReply;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use machine::Pieces;
use tonic::Status;

use super::encoding::Encoding;
use super::messages::PREFIX_BYTES;
use super::unary::{add_prefix, write_frame};
use crate::gzip::Deflate;
use crate::limits::LONG_REPLY_BYTES;
use crate::turn::others_first;

/// Bytes that leave together: what one write to a socket takes well.
const TOGETHER_BYTES: usize = 32 << 10;

/// What a stream that brings small replies one by one needs. A larger one reserves what it needs.
const BUFFER_BYTES: usize = 1 << 10;

/// The replies of a stream as a body.
pub(crate) struct Replies<S> {
    stream: S,
    encoding: Encoding,
    buffer: BytesMut,
    /// The rest of a long reply.
    pieces: Option<Pieces>,
    deflating: Option<Deflate>,
    end: Option<Status>,
    is_over: bool,
}

impl<S, R> Replies<S>
where
    S: Stream<Item = Result<R, Status>> + Unpin,
    R: WireReply,
{
    pub(crate) fn new(stream: S, encoding: Encoding) -> Self {
        Self {
            stream,
            encoding,
            buffer: BytesMut::new(),
            pieces: None,
            deflating: None,
            end: None,
            is_over: false,
        }
    }

    /// Gathers what is there. Returns ready if there is enough of it, or no more.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() && self.pieces.is_none() && self.buffer.len() < TOGETHER_BYTES {
            if let Some(deflate) = &mut self.deflating {
                let Some(packed) = deflate.step() else {
                    others_first(cx);
                    return Poll::Pending;
                };
                self.deflating = None;
                self.buffer.reserve(PREFIX_BYTES + packed.len());
                add_prefix(1, packed.len(), &mut self.buffer);
                self.buffer.put_slice(&packed);
                continue;
            }
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(reply))) => self.write(reply),
                Poll::Ready(Some(Err(status))) => self.end = Some(status),
                Poll::Ready(None) => self.end = Some(Status::ok("")),
            }
        }
        Poll::Ready(())
    }

    /// Returns the next piece of a long reply, if one is on its way.
    fn next_piece(&mut self) -> Option<Bytes> {
        let piece = self.pieces.as_mut()?.next();
        if piece.is_none() {
            self.pieces = None;
        }
        piece
    }

    fn write(&mut self, reply: R) {
        let length = reply.wire_len();
        match self.encoding {
            Encoding::Identity if length >= LONG_REPLY_BYTES => {
                let mut front = std::mem::take(&mut self.buffer);
                add_prefix(0, length, &mut front);
                self.pieces = Some(reply.into_pieces(front));
            }
            Encoding::Identity => {
                self.buffer.reserve((PREFIX_BYTES + length).max(BUFFER_BYTES));
                write_frame(&reply, &mut self.buffer);
            }
            Encoding::Gzip => {
                let mut plain = BytesMut::with_capacity(length);
                reply.write(&mut plain);
                self.deflating = Some(Deflate::new(plain.freeze()));
            }
        }
    }
}

impl<S, R> Body for Replies<S>
where
    S: Stream<Item = Result<R, Status>> + Unpin,
    R: WireReply,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(piece) = this.next_piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let gathered = this.gather(cx);
        if !this.buffer.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))));
        }
        if let Some(piece) = this.next_piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if gathered.is_pending() {
            return Poll::Pending;
        }
        if std::mem::replace(&mut this.is_over, true) {
            return Poll::Ready(None);
        }
        Poll::Ready(this.end.as_ref().map(|status| Ok(Frame::trailers(trailers(status)))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from_static("13"));
    }
    trailers
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::super::reply::Plain;
    use super::*;
    use crate::gzip::Inflate;

    type Reply = Plain<proto::etcdserverpb::PutRequest>;

    fn put(bytes: usize) -> Reply {
        Plain(proto::etcdserverpb::PutRequest { value: vec![7; bytes].into(), ..Default::default() })
    }

    /// Gives these, and then nothing, but does not end.
    fn given(replies: Vec<Result<Reply, Status>>) -> impl Stream<Item = Result<Reply, Status>> {
        let mut replies = VecDeque::from(replies);
        futures_util::stream::poll_fn(move |_| {
            replies.pop_front().map_or(Poll::Pending, |it| Poll::Ready(Some(it)))
        })
    }

    fn frame_of(reply: &Reply) -> Vec<u8> {
        let mut frame = BytesMut::new();
        write_frame(reply, &mut frame);
        frame.to_vec()
    }

    /// Rule I1: a long one is not copied at a stretch, and what comes after it waits for its last piece.
    #[tokio::test]
    async fn a_long_reply_leaves_in_pieces_and_nothing_overtakes_it() {
        let replies = [put(10), put(LONG_REPLY_BYTES), put(20)];
        let expected: Vec<u8> = replies.iter().flat_map(frame_of).collect();
        let mut body = Replies::new(tokio_stream::iter(replies.into_iter().map(Ok)), Encoding::Identity);
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                sent.extend_from_slice(&data);
            }
        }
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_is_there_leaves_together_up_to_a_size() {
        let replies = [put(10), put(20), put(TOGETHER_BYTES), put(30)];
        let expected: Vec<Vec<u8>> = replies.iter().map(frame_of).collect();
        let mut body = Replies::new(given(replies.into_iter().map(Ok).collect()), Encoding::Identity);
        let mut next =
            || body.frame().now_or_never().map(|frame| frame.unwrap().unwrap().into_data().unwrap());
        assert_eq!(next().unwrap(), expected[..3].concat());
        assert_eq!(next().unwrap(), expected[3]);
        assert_eq!(next(), None, "more may come");
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_status_and_not_before_what_is_there() {
        for (last, expected) in [(None, ["0", ""]), (Some(Status::not_found("gone")), ["5", "gone"])] {
            let replies = [Ok(put(1))].into_iter().chain(last.map(Err));
            let mut body = Replies::new(tokio_stream::iter(replies), Encoding::Identity);
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(data, frame_of(&put(1)));
            let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
            let of = |name| trailers.get(name).map_or("", |value| value.to_str().unwrap());
            assert_eq!([of("grpc-status"), of("grpc-message")], expected);
            assert!(body.is_end_stream() && body.frame().await.is_none());
        }
    }

    /// A large one is not deflated at a stretch (rule I1).
    #[test]
    fn replies_are_deflated_in_steps() {
        let replies = vec![Ok(put(1 << 20)), Ok(put(1))];
        let mut body = Replies::new(given(replies), Encoding::Gzip);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
        let data = loop {
            if let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(&mut cx) {
                break frame.unwrap().unwrap().into_data().unwrap();
            }
        };
        let length = u32::from_be_bytes(data[1..PREFIX_BYTES].try_into().unwrap()) as usize;
        assert_eq!(data[0], 1);
        let mut inflate = Inflate::new(data.slice(PREFIX_BYTES..PREFIX_BYTES + length), 2 << 20);
        let plain = std::iter::from_fn(|| Some(inflate.step().unwrap())).flatten().next().unwrap();
        assert_eq!(plain, frame_of(&put(1 << 20))[PREFIX_BYTES..]);
    }
}
