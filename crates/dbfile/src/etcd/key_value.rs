//! Values of the bucket `key`: protobuf `mvccpb.KeyValue`.

use super::RowFault;
use super::protobuf::{next_field, put_bytes, put_number};

/// A version of a key. A delete has the key only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyValue<'m> {
    /// The key as users know it; empty in the row that a restore with a raised revision adds.
    pub key: &'m [u8],
    /// Main revision of the first put of this life of the key.
    pub create_revision: i64,
    /// Main revision of this put.
    pub mod_revision: i64,
    /// 1 for the first put of this life, then one more for each.
    pub version: i64,
    /// The value as users know it.
    pub value: &'m [u8],
    /// The lease that the key is attached to; 0: none.
    pub lease: i64,
}

impl<'m> KeyValue<'m> {
    /// Reads the value of a row. Fields that are not known are skipped.
    ///
    /// # Errors
    /// [`RowFault::Protobuf`].
    pub fn parse(mut message: &'m [u8]) -> Result<Self, RowFault> {
        let mut parsed = Self::default();
        while let Some((field, content)) = next_field(&mut message)? {
            match field {
                1 => parsed.key = content.bytes()?,
                2 => parsed.create_revision = content.number()? as i64,
                3 => parsed.mod_revision = content.number()? as i64,
                4 => parsed.version = content.number()? as i64,
                5 => parsed.value = content.bytes()?,
                6 => parsed.lease = content.number()? as i64,
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// Returns the value of a row: fields in the order of their numbers, those that are 0 or empty left out, as etcd
    /// writes and hashes it.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.key.len() + self.value.len() + 48);
        put_bytes(1, self.key, &mut out);
        put_number(2, self.create_revision as u64, &mut out);
        put_number(3, self.mod_revision as u64, &mut out);
        put_number(4, self.version as u64, &mut out);
        put_bytes(5, self.value, &mut out);
        put_number(6, self.lease as u64, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: KeyValue<'static> =
        KeyValue { key: b"b", create_revision: 3, mod_revision: 3, version: 1, value: b"xy", lease: 7 };
    const BYTES: &[u8] = b"\x0a\x01b\x10\x03\x18\x03\x20\x01\x2a\x02xy\x30\x07";

    #[test]
    fn a_put_is_read_as_it_is_written() {
        assert_eq!(PUT.encoded(), BYTES);
        assert_eq!(KeyValue::parse(BYTES), Ok(PUT));
        let negative = KeyValue { lease: -2, ..PUT };
        assert_eq!(KeyValue::parse(&negative.encoded()), Ok(negative));
        assert_eq!(KeyValue::default().encoded(), b"");
    }

    #[test]
    fn what_is_not_known_is_skipped() {
        let newer = [BYTES, b"\x38\x01\x42\x01z\x4d\0\0\0\0\x51\0\0\0\0\0\0\0\0"].concat();
        assert_eq!(KeyValue::parse(&newer), Ok(PUT));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let bad: [&[u8]; 7] = [
            b"\x0a\x02b",
            b"\x0a",
            b"\x10",
            b"\x08\x01",
            b"\x12\x01b",
            b"\x0b",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        ];
        for message in bad {
            assert_eq!(KeyValue::parse(message), Err(RowFault::Protobuf), "{}", message.escape_ascii());
        }
    }
}
