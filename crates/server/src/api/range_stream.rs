//! `RangeStream`: a range in pieces that no buffer has to hold at once. What goes into which piece is the machine's
//! business; here a reader reads
//! them when the client has taken the ones before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use engine::author::Author;
use engine::published::{Generation, Published};
use engine::wire::{Header, WireReply};
use machine::auth::Access;
use machine::read::{Chunk, RangeStream};
use machine::{Failure, validate};
use mvcc::Pace;
use prost::encoding::{encode_varint, encoded_len_varint};
use proto::etcdserverpb::RangeRequest;
use tokio_stream::Stream;
use tonic::Status;

use super::Api;
use super::status::{self, failed, rejected};
use crate::auth::Caller;
use crate::readers::{ConnectionId, Unread};

impl Api {
    /// Reads a range piece by piece.
    pub(crate) async fn range_stream(
        self: &Arc<Self>,
        caller: &Caller,
        request: RangeRequest,
    ) -> Result<Pieces, Status> {
        validate::range_stream(&request).map_err(rejected)?;
        if !request.serializable {
            self.read_barrier().await?;
        }
        let seen = self.auth.published.generation();
        self.read(caller, Access::Range(&request), &(), |_, (), _| Ok(())).await?;
        let asked = RangeRequest {
            key: request.key.clone(),
            range_end: request.range_end.clone(),
            ..Default::default()
        };
        let author = self.author(caller).await?;
        let stream = RangeStream::new(request, self.settings.max_request_bytes);
        let turn = Turn::OfClient(stream);
        let permission = Permission { author, asked, seen };
        Ok(Pieces { api: self.clone(), turn, permission, connection: caller.connection() })
    }
}

/// On whose behalf a stream reads what, and in which state that was last found to be permitted.
struct Permission {
    author: Author,
    /// The keys of the request.
    asked: RangeRequest,
    seen: Generation,
}

impl Permission {
    /// Returns whether what was just read may be sent. When users or permissions have changed since
    /// the last time, they are asked again.
    fn renew(&mut self, published: &Published) -> Result<(), Status> {
        let now = published.generation();
        if now != self.seen {
            let state = published.state();
            let identity = self.author.identity().renewed(&state);
            state.authorise(identity, Access::Range(&self.asked)).map_err(rejected)?;
            self.seen = now;
        }
        Ok(())
    }
}

/// The pieces of one range.
pub(crate) struct Pieces {
    api: Arc<Api>,
    turn: Turn,
    permission: Permission,
    connection: ConnectionId,
}

/// Who does something next.
enum Turn {
    /// The client: it has the pieces before, or will take them.
    OfClient(RangeStream),
    /// A reader.
    OfReader(Reading),
    /// Nobody: it has ended.
    Over,
}

/// A piece that is being read.
type Reading = Pin<Box<dyn Future<Output = Result<(RangeStream, Next), Unread>> + Send>>;

/// The next piece, if there is one.
type Next = Result<Option<Chunk>, Failure>;

impl Stream for Pieces {
    type Item = Result<Piece, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = ready!(this.poll_chunk(cx));
        let next = next.and_then(|next| this.permission.renew(&this.api.auth.published).map(|()| next));
        if !matches!(next, Ok(Some(_))) {
            this.turn = Turn::Over;
        }
        Poll::Ready(next.transpose().map(|chunk| chunk.map(|chunk| this.piece(chunk))))
    }
}

impl Pieces {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, Status>> {
        let mut reading = match std::mem::replace(&mut self.turn, Turn::Over) {
            Turn::OfClient(stream) => self.read(stream),
            Turn::OfReader(reading) => reading,
            Turn::Over => return Poll::Ready(Ok(None)),
        };
        match reading.as_mut().poll(cx) {
            Poll::Pending => {
                self.turn = Turn::OfReader(reading);
                Poll::Pending
            }
            Poll::Ready(Ok((stream, next))) => {
                self.turn = Turn::OfClient(stream);
                Poll::Ready(next.map_err(failed))
            }
            Poll::Ready(Err(unread)) => Poll::Ready(Err(status::unread(unread))),
        }
    }

    /// Has a reader read the next piece.
    fn read(&self, mut stream: RangeStream) -> Reading {
        let (api, connection) = (self.api.clone(), self.connection);
        Box::pin(async move {
            let view = api.view();
            let read = move |pace: &dyn Pace| {
                let next = stream.next(&view, pace);
                (stream, next)
            };
            api.readers.read(connection, read).await
        })
    }

    fn piece(&self, chunk: Chunk) -> Piece {
        let header = chunk.header_revision.map(|revision| self.api.header(revision));
        Piece { header, chunk }
    }
}

/// One `RangeStreamResponse`: field 1 is a part of a `RangeResponse`.
pub(crate) struct Piece {
    header: Option<Header>,
    chunk: Chunk,
}

impl Piece {
    fn response_len(&self) -> usize {
        self.header.map_or(0, |header| header.field_len()) + self.chunk.body.len()
    }
}

impl WireReply for Piece {
    fn wire_len(&self) -> usize {
        let response = self.response_len();
        1 + encoded_len_varint(response as u64) + response
    }

    fn write(&self, buf: &mut impl BufMut) {
        buf.put_u8(0x0a);
        encode_varint(self.response_len() as u64, buf);
        if let Some(header) = &self.header {
            header.write_field(buf);
        }
        self.chunk.body.write(buf);
    }
}
