//! mvcc
mod encoding;
mod index;
mod item;
mod range;
mod revision;
pub use self::item::{Change, Changes, Item};
pub use self::range::{KeyRange, RangeEnd, RangeQuery, RangeResult};
pub use self::revision::{Applied, LeaseId, Meta, Revision};
