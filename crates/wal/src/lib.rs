//! A segmented, preallocated, checksummed, append-only record log.
//!
//! ```text
//!            append ── memory ── flush ── page cache ── sync ── disk
//!
//!  0000…1.wal (sealed)        0000…2.wal (sealed)        0000…3.wal (being written)      next.tmp
//!  ┌────────┬──────────────┐  ┌────────┬──────────────┐  ┌────────┬───────┬┄┄┄┄┄┄┄┄┄┐   ┌┄┄┄┄┄┄┄┄┄┄┐
//!  │ header │ records …    │◄─┤ header │ records …    │◄─┤ header │ rec … │  zeros  ┆   ┆  zeros   ┆
//!  └────────┴──────────────┘  └────────┴──────────────┘  └────────┴───────┴┄┄┄┄┄┄┄┄┄┘   └┄┄┄┄┄┄┄┄┄┄┘
//!                          each header says where the segment before it ends
//! ```
//!
//! [`Wal`] is the one writer: [`append`](Wal::append) collects records in memory, [`flush`](Wal::flush) makes them
//! readable and [`sync`](Wal::sync) durable, all of them by one `fdatasync`. [`Reader`]s read and scan beside it. A
//! prefix is [released](Wal::release_before) by unlinking whole segments, a suffix is [cut off](Wal::truncate_to)
//! durably. The log knows neither what a record means nor who reads it: it serves as a raft log, whose suffixes are
//! overwritten, and as a history of changes, whose prefix is compacted.
//!
//! # What it promises
//!
//! * After [`sync`](Wal::sync) has returned, everything appended before it is there after any crash, whole.
//! * What was never synced may be there or not, as a prefix of what was appended; nothing is invented.
//! * Damage to anything that was durable is found when it is read, at the latest, and reported with its file and
//!   offset ([`Error::Corrupt`]). It is never taken for the end of the log: see [`TornTail`] for what is.
//! * A failed write or sync closes the log ([`Error::Poisoned`]); a full disk ([`Error::NoSpace`]) does not.
//!
//! # Why not otherwise
//!
//! *Why segments and not one file?* A prefix is given back by unlinking, which costs nothing and never stalls. *Why
//! preallocated?* A sync then writes no metadata: about a third less latency, and a full disk shows before a batch is
//! half written. *Why stamped sectors?* Without them a torn write and a flipped bit in the last batch look the same,
//! and a log must choose between refusing to start after a power cut and cutting off what it had acknowledged. *Why no
//! `O_DIRECT` or io_uring?* Measured for this access pattern they gain nothing; group commit does.
//!
//! # Costs
//!
//! 44 bytes a record, 44 a sync, one byte in 512. About a microsecond of CPU a record, one write and one `fdatasync` a
//! batch. Memory: what is appended and not flushed, and a few hundred bytes a segment.
//!
//! # Caveats
//!
//! A whole *last batch* that reads as zeros, though its sync had succeeded, cannot be told from one that was never
//! written; no log on one disk can. Whoever has copies elsewhere finds out by comparing.
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use wal::{Head, Options, SimDisk, Wal};
//!
//! let disk = Arc::new(SimDisk::new(1));
//! let (mut log, _) = Wal::open(disk.clone(), Path::new("/log"), Options::default())?;
//! let place = log.append(Head { kind: 1, number: 1, tag: 7 }, &[b"hello, ", b"world"])?;
//! log.sync()?;
//! assert_eq!(&log.reader().read(place)?.payload[..], b"hello, world");
//! # Ok::<(), wal::Error>(())
//! ```

mod disk;
mod error;
mod os_disk;
mod position;
mod reader;
mod record;
mod recover;
mod sector;
mod segment;
mod sim_disk;
mod wal;

pub use disk::{Disk, DiskFile, read_file, replace_file};
pub use error::Error;
pub use os_disk::OsDisk;
pub use position::Position;
pub use reader::{Pin, Reader, Scan};
pub use record::{Head, Record};
pub use recover::{Recovery, TornTail};
pub use sim_disk::{Crash, Fault, SimDisk};
pub use wal::{Options, SegmentInfo, Wal};
