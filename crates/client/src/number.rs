//! Numbers with a meaning.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl From<$inner> for $name {
            fn from(number: $inner) -> $name {
                $name(number)
            }
        }

        impl From<$name> for $inner {
            fn from(number: $name) -> $inner {
                number.0
            }
        }
    };
}

number! {
    /// A point in the history of the store. Each transaction that changes something makes the next one.
    Revision(i64), "{}"
}

number! {
    /// A lease. It is shown in hexadecimal, as etcdctl does.
    LeaseId(i64), "{:x}"
}

number! {
    /// A member of the cluster. It is shown in hexadecimal, as etcdctl does.
    MemberId(u64), "{:x}"
}

number! {
    /// A cluster. It is shown in hexadecimal, as etcdctl does.
    ClusterId(u64), "{:x}"
}

impl Revision {
    /// Returns the revision after this one.
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}
