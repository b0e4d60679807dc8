//! A multi-version key space: current state in redb, history in a log, compaction by unlinking.
//!
//! A [`Store`] holds keys with values, and every state that they had since the last compaction. Each transaction that
//! changes something is a *revision*, a number that counts up by one; any revision can be read, scanned from, and hashed.
//! That is etcd's data model, and the encodings are etcd's too: an [`Item`] is a protobuf `mvccpb.KeyValue` in wire form.
//!
//! ```text
//!                 ┌──────────────────────── memory ────────────────────────┐
//!  Txn ─ commit ─►│ index: key -> meta, counts    cache: encoded key-values │──► View (any thread)
//!                 │ tail: key -> its last changes   overlay: not stored yet │
//!                 └───────────────┬──────────────────────────┬─────────────┘
//!                      checkpoint │ (another thread)         │
//!                        ┌────────▼────────┐        ┌────────▼────────────────────────────┐
//!                        │ current.redb    │        │ history: one record a change        │
//!                        │ live keys, rows │        │ run + index │ run + index │ unsealed │
//!                        └─────────────────┘        └─────────────────────────────────────┘
//! ```
//!
//! # How it runs
//!
//! One writer owns the [`Store`]: it applies commands from a log that the caller replicates and keeps. A [`Txn`] stages
//! its changes and commits them in memory: no IO, no waiting. What is committed is in the *overlay* until a checkpoint
//! has stored it: [`Store::freeze`] sets it aside, [`CheckpointJob::run`] appends it to the history and writes one redb
//! transaction on whatever thread the caller likes, [`Store::complete`] ends it. After a crash the store is as of its
//! last checkpoint, [`Store::applied`] says which entry of the log that is, and the caller applies the rest again.
//!
//! Readers have a [`View`] each. A read finds what it wants under a lock that is held for some tens of microseconds, and
//! reads what is not in memory without it. A large range is read in pieces at one revision: what the writer changes in
//! between is read from the *before* of the change. A read at an old revision is the same thing from farther away: the value
//! of a key at revision r is the before of its first change after r, else its current one. A change does not carry its before
//! if that is on the disk: the last checkpoint has it for as long as no checkpoint has the change, and the checkpoint that
//! does copies it into the history ([`Before`]).
//!
//! # Invariants
//!
//! * Only checkpoints write to the disk, each is one transaction, and it holds everything: keys, side tables, revision,
//!   compact revision, the history's end, the applied entry, the state hash. The history is synced before it.
//! * Revision and compact revision are stored, never derived. No revision is used twice for different changes, as long
//!   as the caller's log says the same.
//! * A live key's value is in the cache or in the database; whatever is newer than the last checkpoint is not evicted.
//! * What a change replaced is in the change, or in the database as of the last checkpoint before it, or in its record.
//! * Every record has a checksum that is verified when it is read; that none is missing is verified by count and hash
//!   when the store is opened. Damage is an error, never a wrong answer.
//! * The same commands give the same state, bit for bit, and so the same [`Store::state_hash`].
//!
//! A store comes from transactions, from another store's [snapshot], or from versions that somebody has kept: [`StoreBuilder`].
//!
//! It does not know what raft is, who may write, what a lease is (it is an id), or what time it is. It has no thread.
//!
//! # Why not otherwise
//!
//! *Why not all versions in one B-tree, as etcd has it?* Because compaction then deletes half of it record by record, which
//! costs as much as writing it did, and leaves holes to defragment. Here it unlinks files. *Why befores?* So that a record
//! explains itself: a watcher's catch-up is one sequential scan, and reading the past needs no version chain. They cost
//! their bytes in the history. *Why is the index in memory?* Counting, keys-only ranges and compares then read nothing, and
//! a put or a delete knows what it needs of the version that it replaces. *Why a B+ tree of our own?* None to be had counts.
//! *Why does the writer not append to the history itself?* See `docs/decisions/0003-the-history-is-written-by-checkpoints.md`.
//!
//! # Costs
//!
//! Memory: about 110 bytes and the key's own bytes for each key, also for one that was deleted in the unsealed part of the
//! history (a compaction that has passed the deletion has that part sealed); the cache's budget; the overlay (at most twice
//! `checkpoint_bytes` if the disk keeps up); 56 bytes for each change in the unsealed part of the history; 24 MB of pages in
//! redb. Disk: 128 bytes, twice the key, and the value for a live key, half of that again for the B-tree's room; a change in
//! the history takes both its values. A checkpoint reads what was replaced, as far as it is not in memory, and rewrites each
//! page that it touches: updates all over a large key space write far more than they change, the fewer checkpoints the less.
//! Times: `cargo run --release -p quorate-mvcc --example bench`.
//!
//! # Caveats
//!
//! A commit holds the lock for as long as its changes take (about half a microsecond each): a transaction that deletes a
//! million keys holds readers up. A count at an old revision goes through the range's keys in the index and its deletions
//! since, or through all changes since if those are few.
//!
//! ```
//! use mvcc::{KeyRange, LeaseId, Options, RangeQuery, Store};
//!
//! let disk = std::sync::Arc::new(wal::SimDisk::new(1));
//! let mut store = Store::open(disk, std::path::Path::new("/store"), Options::default())?;
//! let mut txn = store.txn();
//! txn.put("key".into(), "old".into(), LeaseId(0));
//! let first = txn.commit().expect("something changed").revision;
//! let mut txn = store.txn();
//! txn.put("key".into(), "new".into(), LeaseId(0));
//! txn.commit();
//! let then = store.view().range(&RangeQuery::new(KeyRange::single("key")).at(first)).expect("not compacted");
//! assert_eq!(then.items[0].value(), "old");
//! # Ok::<(), mvcc::Error>(())
//! ```

mod before;
mod encoding;
mod error;
mod item;
mod range;
mod revision;

mod count;
mod hash_kv;
mod options;
mod pace;
mod read;
mod records;
mod scanner;
mod side;
mod store;
mod txn;
mod versions;
mod view;

mod cache;
mod index;
mod reap;
mod shared;
mod state_hash;
mod tail;

mod backend;
mod begun_anew;
mod build;
mod checkpoint;
mod history;
mod open;
mod record;
mod rewrite;
mod shrink;
mod tables;

pub mod inspect;
pub mod snapshot;

pub use self::before::{Before, Lost, Stored};
pub use self::begun_anew::BegunAnew;
pub use self::build::{BuildError, ChangesBuilder, Extent, StateBuilder, StoreBuilder};
pub use self::checkpoint::{CheckpointJob, Done};
pub use self::error::{CompactError, Error, ReadError};
pub use self::hash_kv::{CompactionHash, HashKv};
pub use self::item::{Change, Changes, Item};
pub use self::options::Options;
pub use self::pace::{Pace, ToTheEnd};
pub use self::range::{KeyRange, RangeEnd, RangeQuery, RangeResult};
pub use self::records::{KeptHistory, RecordedChanges, Records};
pub use self::revision::{Applied, LeaseId, Meta, Revision};
pub use self::rewrite::{RewriteError, RewriteJob};
pub use self::scanner::History;
pub use self::shrink::{Shrunk, shrink};
pub use self::side::TableId;
pub use self::snapshot::{SnapshotExport, SnapshotId, SnapshotImport};
pub use self::store::Store;
pub use self::txn::{Midway, Txn};
pub use self::view::{Chunks, View};
