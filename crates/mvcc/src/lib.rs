//! A multi-version key space: current state in redb, history in a log, compaction by unlinking.
#![cfg_attr(not(test), warn(missing_docs))]

mod backend;
mod cache;
mod checkpoint;
mod encoding;
mod error;
mod hash_kv;
mod history;
mod index;
mod item;
mod open;
mod range;
mod read;
mod record;
mod revision;
mod scanner;
mod shared;
mod side;
mod state_hash;
mod store;
mod tables;
mod tail;
mod txn;
mod view;

pub use self::checkpoint::{CheckpointJob, Done};
pub use self::error::{CompactError, Error, ReadError};
pub use self::hash_kv::HashKv;
pub use self::item::{Change, Changes, Item};
pub use self::range::{KeyRange, RangeEnd, RangeQuery, RangeResult};
pub use self::revision::{Applied, LeaseId, Meta, Revision};
pub use self::scanner::History;
pub use self::side::TableId;
pub use self::store::{Options, Store};
pub use self::txn::Txn;
pub use self::view::{Chunks, View};
