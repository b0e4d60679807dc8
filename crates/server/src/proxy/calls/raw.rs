//! A message that is passed on as it is.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};

/// A message in wire form. Reading one does not look into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Raw(pub(super) Bytes);

impl Raw {
    /// Encodes a message.
    pub(super) fn of(message: &impl Message) -> Raw {
        Raw(message.encode_to_vec().into())
    }
}

impl Message for Raw {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _tag: u32,
        _wire_type: WireType,
        _buf: &mut impl Buf,
        _ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        unreachable!("a raw message is taken as a whole, by `decode`")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn decode(mut buf: impl Buf) -> Result<Raw, DecodeError> {
        Ok(Raw(buf.copy_to_bytes(buf.remaining())))
    }

    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError> {
        self.0 = [self.0.as_ref(), buf.copy_to_bytes(buf.remaining()).as_ref()].concat().into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_message_is_what_it_was_read_from() {
        let bytes = Bytes::from_static(b"\xff no protobuf");
        let raw = Raw::decode(bytes.clone()).unwrap();
        assert_eq!(raw.encode_to_vec(), bytes);
    }
}
