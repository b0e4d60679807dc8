//! A release of etcd by its major and minor number: what cluster, storage and downgrades are about. Patches do not count.

use std::fmt;

/// A release, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Release {
    /// Returns the release of these numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Returns the release of a version as members state it: `X.Y.Z`, and whatever follows.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }

    /// Returns the release of a version as a client may write it: `X.Y`, or a semantic version.
    pub fn parse_request(text: &str) -> Option<Self> {
        let core = text.split(['-', '+']).next()?;
        let numbers: Option<Vec<u32>> = core.split('.').map(number).collect();
        match numbers?.as_slice() {
            [major, minor] if core == text => Some(Self::new(*major, *minor)),
            [major, minor, _] => Some(Self::new(*major, *minor)),
            _ => None,
        }
    }

    /// Returns the release before this one, if it is of the same major number.
    pub fn before(self) -> Option<Self> {
        self.minor.checked_sub(1).map(|minor| Self { minor, ..self })
    }

    /// Returns `X.Y.0`, as the cluster's version is kept.
    pub fn with_patch(self) -> String {
        format!("{self}.0")
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_does_not_count() {
        assert_eq!(Release::parse("3.7.1"), Some(Release::new(3, 7)));
        assert_eq!(Release::parse("3.10.0"), Some(Release::new(3, 10)));
        assert_eq!(Release::parse("not_decided"), None);
        assert_eq!(Release::new(3, 6).with_patch(), "3.6.0");
    }

    /// What go-semver takes, with and without `.0` behind it.
    #[test]
    fn a_client_may_leave_the_patch_away() {
        for text in ["3.6", "3.6.0", "3.6.12", "3.6.0-rc.1", "3.6.0+build.7", "3.06.0"] {
            assert_eq!(Release::parse_request(text), Some(Release::new(3, 6)), "{text}");
        }
        for text in
            ["", "3", "3.", "3.x", "v3.6", "3.6.", "3.6.0.0", "3.6-rc", "+3.6", "3.-6", "3.99999999999"]
        {
            assert_eq!(Release::parse_request(text), None, "{text}");
        }
    }

    #[test]
    fn before_the_first_of_a_major_number_there_is_none() {
        assert_eq!(Release::new(3, 7).before(), Some(Release::new(3, 6)));
        assert_eq!(Release::new(4, 0).before(), None);
    }
}
