//! Ids of members and clusters. How they are derived is the server's business.

use std::fmt;

/// A member's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// A cluster's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Whose something is: the ids of a founding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The member itself.
    pub member: MemberId,
}

impl Identity {
    /// Returns the two numbers, cluster first: what the headers of logs and stores have.
    #[must_use]
    pub const fn numbers(self) -> [u64; 2] {
        [self.cluster.0, self.member.0]
    }
}
