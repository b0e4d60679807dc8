//! The work loads of `check`, by size.

use std::time::Duration;

/// A size of work load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// As of a small cluster.
    Small,
    /// As of a medium cluster.
    Medium,
    /// As of a large cluster.
    Large,
    /// As of an extra-large cluster.
    ExtraLarge,
}

/// Puts at a steady rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// Writes in a second.
    pub(super) writes_per_second: u32,
    /// Connections that they come from.
    pub(super) clients: usize,
    /// How long.
    pub(super) duration: Duration,
}

/// Keys of 512 bytes with values of 512 bytes, as fast as they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    /// Keys.
    pub(super) keys: u64,
    /// Connections that they come from.
    pub(super) clients: usize,
}

impl Size {
    /// Returns the size with this name, as `--load` takes it.
    pub(super) fn named(name: &str) -> Option<Size> {
        match name {
            "s" | "small" => Some(Size::Small),
            "m" | "medium" => Some(Size::Medium),
            "l" | "large" => Some(Size::Large),
            "xl" | "xLarge" => Some(Size::ExtraLarge),
            _ => None,
        }
    }

    /// Returns the load of `check perf`.
    pub(super) fn rate(self) -> Rate {
        let (writes_per_second, clients) = match self {
            Size::Small => (150, 50),
            Size::Medium => (1_000, 200),
            Size::Large => (8_000, 500),
            Size::ExtraLarge => (15_000, 1_000),
        };
        Rate { writes_per_second, clients, duration: Duration::from_secs(60) }
    }

    /// Returns the load of `check datascale`.
    pub(super) fn amount(self) -> Amount {
        let (keys, clients) = match self {
            Size::Small => (10_000, 50),
            Size::Medium => (100_000, 200),
            Size::Large => (1_000_000, 500),
            Size::ExtraLarge => (3_000_000, 1_000),
        };
        Amount { keys, clients }
    }
}
