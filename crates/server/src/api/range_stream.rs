//! `RangeStream`: a range in pieces that no buffer has to hold at once.
//!
//! All pieces are read at the revision of the first one. They grow and shrink so that each is about as large as a
//! request may be; merged, they are what `Range` would have answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use machine::{read, validate};
use mvcc::{Item, KeyRange, RangeQuery};
use prost::encoding::{encode_varint, encoded_len_varint};
use proto::etcdserverpb::RangeRequest;
use tokio_stream::Stream;
use tonic::Status;

use super::Api;
use super::status::{read_failed, rejected};
use crate::grpc::reply::{Header, WireReply};

/// Keys in the first piece.
const FIRST_PIECE_KEYS: usize = 10;

impl Api {
    /// Reads a range piece by piece.
    pub(crate) async fn range_stream(self: &Arc<Self>, request: RangeRequest) -> Result<Pieces, Status> {
        validate::range_stream(&request).map_err(rejected)?;
        if !request.serializable {
            self.read_barrier().await?;
        }
        Ok(Pieces::new(self.clone(), request))
    }
}

/// The pieces of one range.
pub(crate) struct Pieces {
    api: Arc<Api>,
    range: KeyRange,
    at: Option<i64>,
    keys_only: bool,
    count_only: bool,
    order: read::Order,
    /// Keys still wanted; `None`: all.
    left: Option<usize>,
    piece_keys: usize,
    /// Keys of the whole range, known from the first piece.
    count: Option<u64>,
    done: bool,
}

impl Pieces {
    fn new(api: Arc<Api>, request: RangeRequest) -> Self {
        Self {
            api,
            at: (request.revision > 0).then_some(request.revision),
            keys_only: request.keys_only,
            count_only: request.count_only,
            order: read::Order::of(&request),
            left: (request.limit > 0).then_some(request.limit as usize),
            piece_keys: FIRST_PIECE_KEYS,
            count: None,
            done: false,
            range: read::key_range(request.key, request.range_end),
        }
    }

    fn next_piece(&mut self) -> Result<Piece, Status> {
        let limit = self.left.map_or(self.piece_keys, |left| left.min(self.piece_keys));
        let query = RangeQuery {
            range: self.range.clone(),
            at: self.at,
            limit,
            keys_only: self.keys_only,
            count_only: self.count_only,
        };
        let found = self.api.view.range(&query).map_err(read_failed)?;
        let revision = *self.at.get_or_insert(found.revision);
        let count = *self.count.get_or_insert(found.count);
        self.left = self.left.map(|left| left - found.items.len());
        self.done = self.count_only || !found.more || self.left == Some(0);
        if let Some(last) = found.items.last() {
            // The smallest key behind the last one.
            let mut start = last.key_bytes().to_vec();
            start.push(0);
            self.range = KeyRange { start: start.into(), end: self.range.end.clone() };
        }
        let mut items = found.items;
        self.order.sort(&mut items);
        let end = self.done.then(|| End {
            header: self.api.header(revision),
            more: found.more && !self.count_only,
            count,
        });
        let piece = Piece { items, end };
        self.adapt(piece.wire_len());
        Ok(piece)
    }

    /// Doubles the next piece while this one is small, halves it when this one is large.
    fn adapt(&mut self, bytes: usize) {
        let max = self.api.settings.max_request_bytes;
        if bytes < max / 2 {
            self.piece_keys *= 2;
        } else if bytes > 2 * max {
            self.piece_keys = (self.piece_keys / 2).max(1);
        }
    }
}

impl Stream for Pieces {
    type Item = Result<Piece, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let piece = self.next_piece();
        self.done |= piece.is_err();
        Poll::Ready(Some(piece))
    }
}

/// What only the last piece says.
struct End {
    header: Header,
    more: bool,
    count: u64,
}

/// One `RangeStreamResponse`.
pub(crate) struct Piece {
    items: Vec<Item>,
    end: Option<End>,
}

fn put_field(buf: &mut impl BufMut, key: u8, payload: &Bytes) {
    buf.put_u8(key);
    encode_varint(payload.len() as u64, buf);
    buf.put_slice(payload);
}

impl Piece {
    /// Length of the `RangeResponse` inside.
    fn response_len(&self) -> usize {
        let field = |item: &Item| 1 + encoded_len_varint(item.encoded.len() as u64) + item.encoded.len();
        let items: usize = self.items.iter().map(field).sum();
        let end = self.end.as_ref().map_or(0, |end| {
            let count = if end.count == 0 { 0 } else { 1 + encoded_len_varint(end.count) };
            end.header.field_len() + if end.more { 2 } else { 0 } + count
        });
        items + end
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
        if let Some(end) = &self.end {
            end.header.write_field(buf);
        }
        for item in &self.items {
            put_field(buf, 0x12, &item.encoded);
        }
        if let Some(end) = &self.end {
            if end.more {
                buf.put_slice(&[0x18, 1]);
            }
            if end.count != 0 {
                buf.put_u8(0x20);
                encode_varint(end.count, buf);
            }
        }
    }
}
