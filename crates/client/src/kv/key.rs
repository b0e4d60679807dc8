//! Keys, values and ranges of keys, as callers write them.

use bytes::Bytes;

/// What can be a key or a value: text and bytes, owned or borrowed.
pub trait IntoBytes {
    /// Returns it as bytes. Borrowed text and slices are copied.
    fn into_bytes(self) -> Bytes;
}

impl IntoBytes for Bytes {
    fn into_bytes(self) -> Bytes {
        self
    }
}

impl IntoBytes for &Bytes {
    fn into_bytes(self) -> Bytes {
        self.clone()
    }
}

impl IntoBytes for &str {
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

impl IntoBytes for String {
    fn into_bytes(self) -> Bytes {
        self.into()
    }
}

impl IntoBytes for &String {
    fn into_bytes(self) -> Bytes {
        self.as_str().into_bytes()
    }
}

impl IntoBytes for Vec<u8> {
    fn into_bytes(self) -> Bytes {
        self.into()
    }
}

impl IntoBytes for &Vec<u8> {
    fn into_bytes(self) -> Bytes {
        self.as_slice().into_bytes()
    }
}

impl IntoBytes for &[u8] {
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

impl<const N: usize> IntoBytes for &[u8; N] {
    fn into_bytes(self) -> Bytes {
        self.as_slice().into_bytes()
    }
}

/// One key, or a range of them. [`prefix`], [`range`], [`from_key`] and [`all`] make ranges; a key makes itself.
///
/// ```
/// use quorate_client::{KeyRange, prefix};
/// let one: KeyRange = "a".into();
/// assert!(one.contains(b"a") && !one.contains(b"ab"));
/// assert!(prefix("a").contains(b"ab"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    pub(crate) key: Bytes,
    /// Empty: the key alone. One zero byte: everything from the key on.
    pub(crate) end: Bytes,
}

/// The end of a range without an end, as it is sent.
const OPEN: &[u8] = &[0];

impl<K: IntoBytes> From<K> for KeyRange {
    fn from(key: K) -> KeyRange {
        KeyRange { key: key.into_bytes(), end: Bytes::new() }
    }
}

impl KeyRange {
    /// Returns the key, or the first key of the range.
    pub fn start(&self) -> &Bytes {
        &self.key
    }

    /// Returns the end as it is sent: empty for one key, a zero byte for no end, else the first key that is not in it.
    pub fn end(&self) -> &Bytes {
        &self.end
    }

    /// Returns whether it is one key and not a range.
    pub fn is_single(&self) -> bool {
        self.end.is_empty()
    }

    /// Returns whether a key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        if self.is_single() {
            return self.key == key;
        }
        key >= &self.key[..] && (&self.end[..] == OPEN || key < &self.end[..])
    }
}

/// Returns the range of all keys that begin with a prefix. The empty prefix is the beginning of all keys.
///
/// ```
/// use quorate_client::prefix;
/// assert_eq!(prefix("/a/").end(), "/a0");
/// ```
pub fn prefix(prefix: impl IntoBytes) -> KeyRange {
    let key = prefix.into_bytes();
    if key.is_empty() {
        return all();
    }
    let end = key.iter().rposition(|byte| *byte < 0xff).map(|last| {
        let mut end = key[..=last].to_vec();
        end[last] += 1;
        Bytes::from(end)
    });
    KeyRange { key, end: end.unwrap_or(Bytes::from_static(OPEN)) }
}

/// Returns the range of the keys from `start` up to `end`, which is not in it.
///
/// ```
/// use quorate_client::range;
/// assert!(range("a", "c").contains(b"b") && !range("a", "c").contains(b"c"));
/// ```
pub fn range(start: impl IntoBytes, end: impl IntoBytes) -> KeyRange {
    KeyRange { key: start.into_bytes(), end: end.into_bytes() }
}

/// Returns the range of all keys from `start` on.
///
/// ```
/// use quorate_client::from_key;
/// assert!(from_key("b").contains(b"zzz") && !from_key("b").contains(b"a"));
/// ```
pub fn from_key(start: impl IntoBytes) -> KeyRange {
    let key = start.into_bytes();
    let key = if key.is_empty() { Bytes::from_static(OPEN) } else { key };
    KeyRange { key, end: Bytes::from_static(OPEN) }
}

/// Returns the range of all keys.
///
/// ```
/// assert!(quorate_client::all().contains(b"anything"));
/// ```
pub fn all() -> KeyRange {
    from_key("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        for (text, end) in [
            (&b"a"[..], &b"b"[..]),
            (b"a\xff", b"b"),
            (b"a\xff\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"a/", b"a0"),
        ] {
            assert_eq!(&prefix(text).end[..], end, "{text:?}");
            assert!(prefix(text).contains(&[text, b"x"].concat()));
        }
        assert_eq!(prefix(""), all());
    }
}
