//! Protobuf by hand: the generator builds millions of requests and looks into millions of replies.
//!
//! [`Encoder`] writes a request straight into its gRPC frame, one allocation in all. [`Fields`] walks over a reply
//! without building anything: a put's reply is only asked for its revision, a watch message only for how many
//! events it has and when they were sent. The tests of `messages` hold both against the generated types.

use crate::grpc::{self, Failure, PREFIX_BYTES};
use bytes::Bytes;

/// Wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// Builds one message, already framed for gRPC.
pub(crate) struct Encoder {
    frame: Vec<u8>,
}

impl Encoder {
    /// An empty message; `capacity` bytes are set aside for it.
    pub(crate) fn with_capacity(capacity: usize) -> Encoder {
        let mut frame = Vec::with_capacity(PREFIX_BYTES + capacity);
        frame.resize(PREFIX_BYTES, 0);
        Encoder { frame }
    }

    /// A field of wire type varint; 0 is the default and left out, as proto3 does.
    pub(crate) fn integer(mut self, field: u64, value: i64) -> Encoder {
        if value != 0 {
            self.explicit_integer_in_place(field, value);
        }
        self
    }

    /// A varint that is written even when 0: members of a oneof must be.
    pub(crate) fn explicit_integer(mut self, field: u64, value: i64) -> Encoder {
        self.explicit_integer_in_place(field, value);
        self
    }

    /// A bytes or string field; left out when empty.
    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Encoder {
        if !value.is_empty() {
            self.length_delimited(field, value);
        }
        self
    }

    /// A message field, written even when empty.
    pub(crate) fn message(mut self, field: u64, inner: Encoder) -> Encoder {
        self.length_delimited(field, &inner.frame[PREFIX_BYTES..]);
        self
    }

    /// The finished gRPC frame: prefix and message.
    pub(crate) fn frame(mut self) -> Bytes {
        let length = self.frame.len() - PREFIX_BYTES;
        grpc::write_prefix(&mut self.frame, length);
        Bytes::from(self.frame)
    }

    fn explicit_integer_in_place(&mut self, field: u64, value: i64) {
        self.varint(field << 3 | VARINT);
        self.varint(value as u64);
    }

    fn length_delimited(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.frame.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.frame.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.frame.push(value as u8);
    }
}

/// One field's value, as far as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
}

/// Walks over the fields of a message in the order they were written.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// The next field's number and value; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Failure> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Integer(self.varint()?),
            LENGTH_DELIMITED => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            FIXED64 => Value::Bytes(self.take(8)?),
            FIXED32 => Value::Bytes(self.take(4)?),
            other => return Err(Failure::malformed(format!("wire type {other}"))),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// The first field `wanted` of bytes or message type; `None` when there is none.
    pub(crate) fn find_bytes(mut self, wanted: u64) -> Result<Option<&'a [u8]>, Failure> {
        while let Some((field, value)) = self.next()? {
            if let (true, Value::Bytes(bytes)) = (field == wanted, value) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The first field `wanted` of an integer type; 0, the default, when there is none.
    pub(crate) fn find_integer(mut self, wanted: u64) -> Result<i64, Failure> {
        while let Some((field, value)) = self.next()? {
            if let (true, Value::Integer(integer)) = (field == wanted, value) {
                return Ok(integer as i64);
            }
        }
        Ok(0)
    }

    fn varint(&mut self) -> Result<u64, Failure> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Failure::malformed("a varint of more than ten bytes"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| Failure::malformed("a field cut short"))?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let frame = Encoder::with_capacity(0)
            .integer(1, 0)
            .integer(2, 300)
            .integer(3, -1)
            .explicit_integer(4, 0)
            .bytes(64, b"open end")
            .message(5, Encoder::with_capacity(0).integer(1, 7))
            .frame();
        assert_eq!(grpc::read_prefix(&frame).unwrap(), frame.len() - PREFIX_BYTES);

        let mut fields = Fields::of(&frame[PREFIX_BYTES..]);
        assert_eq!(fields.next().unwrap(), Some((2, Value::Integer(300))));
        assert_eq!(fields.next().unwrap(), Some((3, Value::Integer(u64::MAX))));
        assert_eq!(fields.next().unwrap(), Some((4, Value::Integer(0))));
        assert_eq!(fields.next().unwrap(), Some((64, Value::Bytes(b"open end"))));
        assert_eq!(fields.next().unwrap(), Some((5, Value::Bytes(&[8, 7]))));
        assert_eq!(fields.next().unwrap(), None);
    }

    #[test]
    fn every_truncation_is_noticed_or_a_field_boundary() {
        let frame = Encoder::with_capacity(0).integer(1, 1 << 40).bytes(2, b"value").frame();
        let message = &frame[PREFIX_BYTES..];
        let boundary = 7; // one byte of tag and six of varint
        for length in 0..message.len() {
            let mut fields = Fields::of(&message[..length]);
            let outcome = loop {
                match fields.next() {
                    Ok(Some(_)) => continue,
                    Ok(None) => break Ok(()),
                    Err(failure) => break Err(failure),
                }
            };
            assert_eq!(outcome.is_ok(), length == 0 || length == boundary, "{length} bytes");
        }
    }
}
