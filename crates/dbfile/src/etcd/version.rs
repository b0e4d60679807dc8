//! Versions of etcd, as rows have them.

use std::fmt;

/// A version; in a file the patch is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
}

impl Version {
    /// The last version that did not write its own into the file.
    pub const V3_5: Self = Self { major: 3, minor: 5, patch: 0 };

    /// Reads a text `X.Y.Z`; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split('.').map(|part| {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok()).flatten()
        });
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn three_numbers_are_a_version() {
        let read = |text: &str| Version::parse(text.as_bytes()).map(|version| version.to_string());
        assert_eq!(read("3.10.0").as_deref(), Some("3.10.0"));
        for text in ["", "3.6", "3.6.0.1", "3..0", "+3.6.0", "3.6.x", "99999999999999999999.0.0"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
