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
//! readable and [`sync`](Wal::sync) durable, all of them by one `fdatasync`. [`Reader`]s read and scan beside it, from
//! any thread. A prefix is [released](Wal::release_before) by unlinking whole segments, a suffix is
//! [cut off](Wal::truncate_to) durably. What a record means is not the log's business: it serves as a raft log, whose
//! suffix is overwritten now and then, and as a history of changes, whose prefix is compacted away. What is wrong with a
//! log that nobody has open is said by [`inspect()`].
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use wal::{Head, Options, SimDisk, Wal};
//!
//! let disk = Arc::new(SimDisk::new(1)); // or OsDisk
//! let (mut log, _) = Wal::open(disk, Path::new("/log"), Options::default())?;
//! let place = log.append(Head { kind: 1, number: 1, tag: 7 }, &[b"hello, ", b"world"])?;
//! log.sync()?;
//! assert_eq!(&log.reader().read(place)?.payload[..], b"hello, world");
//! # Ok::<(), wal::Error>(())
//! ```
//!
//! # What it promises
//!
//! * After [`sync`](Wal::sync) has returned, everything appended before it is there after any crash, whole.
//! * What was never synced may be there or not, as a prefix of what was appended; nothing is invented. What a reopened
//!   log shows is durable, whatever the page cache believed before.
//! * Damage to anything that was durable is found when it is read, at the latest, and reported with its file and
//!   offset ([`Error::Corrupt`]). It is never taken for the end of the log.
//! * A failed write or sync closes the log ([`Error::Poisoned`]); a full disk ([`Error::NoSpace`]) does not, nor does a
//!   process that has no descriptor left for another file ([`Error::is_retryable`]).
//! * A record that is longer than a segment gets a segment of its own length.
//! * Bytes of whatever origin make it neither panic nor allocate more than the file that they are in is long.
//!
//! # How it tells the end from damage
//!
//! Three rules, each kept by construction:
//!
//! 1. **A sector of 512 bytes is written once.** Each flush fills its last sector up with zeros and the next one
//!    begins a new sector, so no write can harm what an earlier sync made durable; and after a crash each sector is
//!    either as it was made, zero, or complete.
//! 2. **A written sector begins with a stamp**, so that a payload of zeros is not taken for a sector that was never
//!    written. Payloads cannot imitate stamps: they are not part of the stream that records are laid in.
//! 3. **The stamp names the sector with which its batch began**, and a batch begins only after everything before it
//!    was synced. The largest such number found in a segment is therefore a line: before it, whatever is not intact is
//!    corruption. Behind it, untouched sectors are a torn write, and damaged ones are corruption all the same.
//!
//! Records carry a CRC for header and payload, and each header that of the one before, so that what is intact is also
//! what was meant. All but the newest segment are known, by their successor's header, to have been synced up to the
//! place that it names. The bytes are laid down in `docs/format/wal.md`.
//!
//! # Why not otherwise
//!
//! *Why segments and not one file?* A prefix is given back by unlinking, which costs nothing and never stalls. *Why
//! preallocated?* A sync then writes little metadata: about a third less latency, and a full disk shows before a batch
//! is half written. *Why stamps, and not just record checksums?* Without them a torn write and a flipped bit in the
//! last batch look the same, and a log must choose between refusing to start after a power cut and cutting off what it
//! had acknowledged. *Why padding?* Writing the last sector again with every batch saves 250 bytes a sync and puts what
//! was already acknowledged at risk each time. *Why no `O_DIRECT` or io_uring?* Measured for this access pattern they
//! gain nothing; group commit does.
//!
//! # Costs
//!
//! 36 bytes a record, 8 in each 512, and on average half a sector a flush. A record costs some hundred nanoseconds of
//! CPU besides its copy (`cargo run --release -p quorate-wal --example throughput`). Memory: what is appended and not
//! flushed (a MiB, or one record that is longer), a few hundred bytes a segment, and for the moment of opening as much as the newest
//! segment holds. A new segment costs one sync of its header and one of the directory, every 64 MiB. Descriptors: two
//! for the newest segment and the directory, one for the prepared segment, and at most 16 for sealed ones, which are
//! opened when they are read.
//!
//! # Caveats
//!
//! * The *last batch* has nothing behind it that proves that its sync returned. If some of its sectors read as zeros
//!   afterwards, that looks like a torn write; no log on one disk can do better, and whoever has copies elsewhere finds
//!   out by comparing. [`Wal::witness`] supplies the proof when a log falls idle.
//! * A released segment and a lost oldest segment look the same: the caller knows with which number its log begins.
//! * One writer: nothing here locks the directory against another process.

mod disk;
mod error;
mod image;
mod inspect;
pub mod limits;
mod open_files;
mod os_disk;
mod prepare;
mod reader;
mod record;
mod recover;
mod sector;
mod segment;
mod sim_disk;
mod tail;
mod wal;

pub use disk::{Disk, DiskDir, DiskFile, is_out_of_files, read_file, replace_file};
pub use error::Error;
pub use inspect::{Batch, Finding, InTurn, Part, Readers, Seen, SegmentSeen, Severity, inspect};
pub use limits::{PAYLOAD_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use os_disk::OsDisk;
pub use prepare::Preparer;
pub use reader::{Pin, Reader, Scan, SegmentInfo};
pub use record::{Head, Position, RECORD_HEADER_BYTES, Record};
pub use recover::{Recovery, TornTail};
pub use sim_disk::{Crash, Fault, SimDisk};
pub use wal::{Options, Wal};
