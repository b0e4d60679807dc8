//! The digest of a history: of each revision, one of its rows and of everything before it.
//!
//! ```text
//!  rows(r)  = SHA-256 of, for each row of r: length of key │ key │ length of value │ value     lengths: 32 bits, LE
//!  chain(r) = SHA-256 of chain(r - 1) │ rows(r)                                                   begins with a random one
//! ```
//!
//! It does not depend on how the history is cut into pieces.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// A SHA-256 digest, printed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

/// The first 64 bits of a digest: what names have of it.
pub type Short = u64;

impl Digest {
    /// Returns the digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns what names have of it.
    #[must_use]
    pub fn short(&self) -> Short {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; DIGEST_BYTES];
        let digits = text.as_bytes();
        if digits.len() != 2 * DIGEST_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The rows of one revision, as they come.
#[derive(Debug, Default, Clone)]
pub struct RowsDigest(Sha256);

impl RowsDigest {
    /// Takes the next row.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.0.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Returns the digest of the rows.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Returns the digest of a history that goes on with a revision.
#[must_use]
pub fn link(before: &Digest, rows: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(before.0);
    hasher.update(rows.0);
    Digest(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_keep_rows_apart_and_the_order_counts() {
        let of = |rows: &[(&[u8], &[u8])]| {
            let mut digest = RowsDigest::default();
            rows.iter().for_each(|(key, value)| digest.add(key, value));
            digest.finish()
        };
        let one = of(&[(b"ab", b"c"), (b"d", b"")]);
        for other in [&[(&b"a"[..], &b"bc"[..]), (b"d", b"")], &[(b"d", b""), (b"ab", b"c")]] {
            assert_ne!(of(other), one);
        }
        assert_ne!(link(&one, &of(&[])), link(&of(&[]), &one));
    }

    #[test]
    fn a_digest_is_read_as_it_is_printed() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(format!("{:016x}", digest.short()), digest.to_string()[..16]);
        for text in ["", "2d", &"g".repeat(64), &"+1".repeat(32)] {
            assert_eq!(Digest::parse(text), None);
        }
    }
}
