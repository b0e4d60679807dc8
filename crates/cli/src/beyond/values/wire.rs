//! The wire form of protobuf, without a schema: fields by number.
//!
//! <https://protobuf.dev/programming-guides/encoding/>. Groups, which were given up long ago, are not read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::beyond::node::Node;

/// How many messages within messages are looked into. Text that happens to look like a message is not a deep one.
const DEPTH_MAX: usize = 32;

/// A field of a message as its bytes say it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// An integer, a boolean or an enumeration.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// A text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// Returns the fields of a message in their order, or `None` when the bytes are no message.
pub(super) fn fields(mut bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(u64::from_le_bytes(take(&mut bytes)?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (head, tail) = bytes.split_at_checked(length)?;
                bytes = tail;
                Value::Bytes(head)
            }
            5 => Value::Fixed32(u32::from_le_bytes(take(&mut bytes)?)),
            _ => return None,
        };
        fields.push((number, value));
    }
    Some(fields)
}

/// Takes `N` bytes from the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk()?;
    *bytes = tail;
    Some(*head)
}

/// Takes a number of up to ten bytes from the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(place * 7).ok()?)?;
        if byte & 0x80 == 0 {
            *bytes = &bytes[place + 1..];
            return Some(number);
        }
    }
    None
}

/// Returns a field that no schema names: a guess at what its bytes mean, never wrong about the bytes themselves.
pub(super) fn guess(value: Value<'_>) -> Node {
    guess_within(value, DEPTH_MAX)
}

fn guess_within(value: Value<'_>, depth: usize) -> Node {
    match value {
        Value::Varint(number) | Value::Fixed64(number) => Node::number(number),
        Value::Fixed32(number) => Node::number(number),
        Value::Bytes(bytes) => guess_bytes(bytes, depth),
    }
}

/// Text if it looks like one, else a message if it can be one, else Base64.
fn guess_bytes(bytes: &[u8], depth: usize) -> Node {
    if let Some(text) = printable(bytes) {
        return Node::text(text);
    }
    match fields(bytes).filter(|_| depth > 0) {
        Some(fields) => Node::Map(
            fields
                .into_iter()
                .map(|(number, value)| (unnamed(number), guess_within(value, depth - 1)))
                .collect(),
        ),
        None => Node::Text(STANDARD.encode(bytes)),
    }
}

/// The text, when it has no control characters but those of white space.
fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')).then_some(text)
}

/// Returns how a field without a name is called.
pub(super) fn unnamed(number: u32) -> String {
    format!("field {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_type_is_read() {
        let bytes = b"\x08\x96\x01\x12\x02hi\x19\x01\0\0\0\0\0\0\0\x25\x02\0\0\0";
        let expected = vec![
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Fixed64(1)),
            (4, Value::Fixed32(2)),
        ];
        assert_eq!(fields(bytes), Some(expected));
    }

    #[test]
    fn what_is_cut_off_or_not_a_message_is_none() {
        for bytes in [
            &b"\x08"[..],
            b"\x12\x05hi",
            b"\x00\x01",
            b"\x0b",
            b"\x19\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_are_text_before_they_are_a_message() {
        assert_eq!(guess(Value::Bytes(b"hello")), Node::text("hello"));
        assert_eq!(guess(Value::Bytes(b"\x08\x05")), Node::Map(vec![("field 1".into(), Node::number(5))]));
        assert_eq!(guess(Value::Bytes(b"\xff\xfe")), Node::text("//4="));
    }
}
