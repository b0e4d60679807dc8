//! `RangeStream`: a range in pieces that no buffer has to hold at once. What goes into which piece is the machine's
//! business; here they are read when the client has taken the ones before.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use machine::auth::Access;
use machine::read::{Chunk, RangeStream};
use machine::validate;
use prost::encoding::{encode_varint, encoded_len_varint};
use proto::etcdserverpb::RangeRequest;
use tokio_stream::Stream;
use tonic::Status;

use super::Api;
use super::status::{failed, rejected};
use crate::auth::published::{Generation, Published};
use crate::auth::{Author, Caller};
use crate::grpc::reply::{Header, WireReply};

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
        self.read(caller, Access::Range(&request), |_| ()).await?;
        let asked = RangeRequest {
            key: request.key.clone(),
            range_end: request.range_end.clone(),
            ..Default::default()
        };
        let author = self.author(caller).await?;
        let stream = RangeStream::new(request, self.settings.max_request_bytes);
        Ok(Pieces { api: self.clone(), stream, permission: Permission { author, asked, seen } })
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
    stream: RangeStream,
    permission: Permission,
}

impl Stream for Pieces {
    type Item = Result<Piece, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = this.stream.next(&this.api.view()).map_err(failed);
        let next = next.and_then(|next| this.permission.renew(&this.api.auth.published).map(|()| next));
        Poll::Ready(next.transpose().map(|chunk| chunk.map(|chunk| this.piece(chunk))))
    }
}

impl Pieces {
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
