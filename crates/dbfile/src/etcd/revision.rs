//! Keys of the bucket `key`: revisions.
//!
//! ```text
//! 0 main i64 │ 8 '_' │ 9 sub i64 │ 17 't', for a delete only
//! ```

use std::fmt;
use std::ops::Deref;

use super::RowFault;

const PUT_BYTES: usize = 17;
const DELETE_BYTES: usize = 18;
const SEPARATOR: u8 = b'_';
const DELETE_MARK: u8 = b't';

/// The key of a version: the place of a change in the history. Ordered as in the file, but for a delete and a put of the
/// same revision, which no file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionKey {
    /// The transaction; not negative.
    pub main: i64,
    /// The change within the transaction, from 0.
    pub sub: i64,
    /// Whether the change deleted the key.
    pub is_delete: bool,
}

/// A revision as bytes: 17 or 18.
#[derive(Debug, Clone, Copy)]
pub struct RevisionKeyBytes {
    bytes: [u8; DELETE_BYTES],
    len: usize,
}

impl RevisionKey {
    /// Returns the key of a put.
    #[must_use]
    pub const fn put(main: i64, sub: i64) -> Self {
        Self { main, sub, is_delete: false }
    }

    /// Returns the key of a delete.
    #[must_use]
    pub const fn delete(main: i64, sub: i64) -> Self {
        Self { main, sub, is_delete: true }
    }

    /// Reads the key of a row.
    ///
    /// # Errors
    /// [`RowFault::RevisionKey`].
    pub fn parse(key: &[u8]) -> Result<Self, RowFault> {
        let (main, rest) = split_number(key)?;
        let (&SEPARATOR, rest) = rest.split_first().ok_or(RowFault::RevisionKey)? else {
            return Err(RowFault::RevisionKey);
        };
        let (sub, mark) = split_number(rest)?;
        match mark {
            [] => Ok(Self::put(main, sub)),
            [DELETE_MARK] => Ok(Self::delete(main, sub)),
            _ => Err(RowFault::RevisionKey),
        }
    }

    /// Returns the key as a row has it.
    #[must_use]
    pub fn bytes(self) -> RevisionKeyBytes {
        let mut bytes = [0; DELETE_BYTES];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[8] = SEPARATOR;
        bytes[9..PUT_BYTES].copy_from_slice(&self.sub.to_be_bytes());
        bytes[PUT_BYTES] = DELETE_MARK;
        RevisionKeyBytes { bytes, len: if self.is_delete { DELETE_BYTES } else { PUT_BYTES } }
    }
}

/// Splits a number that is not negative off the front.
fn split_number(bytes: &[u8]) -> Result<(i64, &[u8]), RowFault> {
    let (number, rest) = bytes.split_first_chunk().ok_or(RowFault::RevisionKey)?;
    let number = i64::from_be_bytes(*number);
    if number < 0 { Err(RowFault::RevisionKey) } else { Ok((number, rest)) }
}

impl Deref for RevisionKeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for RevisionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "r{}.{}", self.main, self.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for key in [RevisionKey::put(2, 0), RevisionKey::delete(i64::MAX, 7)] {
            assert_eq!(RevisionKey::parse(&key.bytes()), Ok(key));
        }
        assert_eq!(&*RevisionKey::delete(3, 1).bytes(), b"\0\0\0\0\0\0\0\x03_\0\0\0\0\0\0\0\x01t");
    }

    #[test]
    fn what_is_no_revision_is_refused() {
        let good = RevisionKey::delete(3, 1).bytes();
        for bytes in 0..PUT_BYTES {
            assert_eq!(RevisionKey::parse(&good[..bytes]), Err(RowFault::RevisionKey), "{bytes} bytes");
        }
        for (place, byte) in [(0, 0x80), (8, b'-'), (9, 0xff), (17, b'u')] {
            let mut bad = good.to_vec();
            bad[place] = byte;
            assert_eq!(RevisionKey::parse(&bad), Err(RowFault::RevisionKey), "byte {place}");
        }
        assert_eq!(RevisionKey::parse(&[&good[..], b"t"].concat()), Err(RowFault::RevisionKey));
    }
}
