//! A reply on a watch stream: what is the same for all who get it, encoded once, and the id of the watcher.

use bytes::{BufMut, Bytes};
use engine::wire::WireReply;
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use proto::etcdserverpb::WatchResponse;

/// The key of `watch_id`, field 2, a varint.
const WATCH_ID: u8 = 0x10;

/// A reply for one watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Reply {
    pub(super) watch_id: i64,
    pub(super) content: Content,
}

/// What a reply says, without the id of a watcher. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content(Bytes);

impl Content {
    /// Encodes a response. The id in it does not count.
    pub(super) fn of(response: &WatchResponse) -> Content {
        let encoded = match response.watch_id {
            0 => response.encode_to_vec(),
            _ => WatchResponse { watch_id: 0, ..response.clone() }.encode_to_vec(),
        };
        Content(encoded.into())
    }

    /// Returns how many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a reply of it.
    pub(super) fn to(&self, watch_id: i64) -> Reply {
        Reply { watch_id, content: self.clone() }
    }
}

impl WireReply for Reply {
    fn wire_len(&self) -> usize {
        let id = if self.watch_id == 0 { 0 } else { 1 + encoded_len_varint(self.watch_id as u64) };
        self.content.len() + id
    }

    fn write(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.content.0);
        if self.watch_id != 0 {
            buf.put_u8(WATCH_ID);
            encode_varint(self.watch_id as u64, buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb::ResponseHeader;

    use super::*;

    #[test]
    fn a_reply_is_the_response_with_the_watchers_own_id() {
        let header = Some(ResponseHeader { revision: 7, ..Default::default() });
        let response = WatchResponse { header, watch_id: 99, created: true, ..Default::default() };
        for watch_id in [0, 1, 300, -1, i64::MAX] {
            let reply = Content::of(&response).to(watch_id);
            let mut wire = Vec::new();
            reply.write(&mut wire);
            assert_eq!(wire.len(), reply.wire_len());
            let expected = WatchResponse { watch_id, ..response.clone() };
            assert_eq!(WatchResponse::decode(&wire[..]).unwrap(), expected);
        }
    }
}
