//! etcd's database file: bbolt's pages and the buckets of etcd 3.4 to 3.7, read without trusting them, and written in one
//! pass.
//!
//! ```text
//!            ┌── Db ── check: all pages          Plan ── lengths of the rows
//!  file ─────┤    └── Bucket ── Rows              └── Layout: pages, bytes
//!            └── verify: the digest                   └── Writer ── rows ──► buffer ──► file, stream
//!                           etcd: what the rows mean
//! ```
//!
//! The file is `member/snap/db` in the data directory of an etcd; with a digest at the end it is a backup, as
//! `etcdctl snapshot save` makes it. [`Db`] opens either. Its rows are in [`Bucket`]s, in the order of their keys; [`etcd`]
//! has the names of the buckets and what is in their rows, and the numbers that `etcdutl snapshot status` and `etcdutl
//! hashkv` print. [`Plan`] and [`Writer`] make such a file. The bytes are laid down in `docs/format/dbfile.md`.
//!
//! ```
//! use dbfile::{Db, PageSize, Plan, Verdict};
//!
//! // Two passes over the same rows: lengths first, so that everything is known before the first byte.
//! let rows = [("colour", "green"), ("shape", "round")];
//! let mut plan = Plan::new(PageSize::default());
//! plan.bucket(b"things")?;
//! for (key, value) in rows {
//!     plan.row(key.len(), value.len())?;
//! }
//! let layout = plan.finish();
//! let announced = layout.file_bytes();
//!
//! let mut file = Vec::new(); // to be emptied at any time, into a file or a stream
//! let mut writer = layout.begin(&mut file);
//! writer.bucket(b"things", &mut file)?;
//! for (key, value) in rows {
//!     writer.row(key.as_bytes(), value.as_bytes(), &mut file)?;
//! }
//! let digest = writer.finish(&mut file)?;
//! assert_eq!(file.len() as u64, announced);
//!
//! // Reading: from a slice here, else from a `std::fs::File`.
//! assert_eq!(dbfile::verify(&file[..])?, Verdict::Right(digest));
//! let db = Db::open(&file[..])?;
//! db.check()?;
//! let things = db.bucket(b"things")?.ok_or("it was just written")?;
//! let mut rows = things.rows_from(b"d")?;
//! while let Some(row) = rows.next_row()? {
//!     println!("{} is {}", row.key.escape_ascii(), row.value.escape_ascii());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//!
//! * Bytes of whatever origin make it neither panic nor run without end. What it refuses it refuses with a page, a place in
//!   the file and a reason ([`Error::Page`]).
//! * Memory does not grow with the file: a walk through a bucket holds one run of pages with rows and the branches above,
//!   both within the limit of the caller ([`Options`]), and 256 KiB that it reads ahead. A length that lies allocates nothing beyond that. The exceptions
//!   are a bit for each page in [`Db::check`], and one for each compacted row in [`etcd::hash_kv`].
//! * A walk gives no more than the file has: no page is gone through twice, although no set of pages is kept. `read.rs`
//!   says why.
//! * The writer keeps one page for each level of a tree, whatever the number of rows, and its bytes never change once they
//!   are in the caller's buffer. Rows that are not those planned end with an error and without a digest.
//! * bbolt's own `check` finds nothing wrong with what is written, and etcd 3.4 to 3.7 start from it.
//!
//! # Why not otherwise
//!
//! *Why two passes to write?* The first page says how many pages there are, and the fourth where each bucket's root is.
//! The alternatives are a file that is sought in, which a stream to a client is not, and all of it in memory. *Why not a
//! set of pages to find cycles?* It would grow with the file, for something that the ranges of the keys prove already.
//! *Why lending [`Rows`] and not an iterator?* A row is a slice of its page: there is no allocation for each of ten million
//! rows. *Why a trait [`ReadAt`]?* The same walk runs over a file and over bytes in memory, without either being copied
//! into the other; a memory map would need unsafe code, and a file that is cut while it is mapped ends the process.
//!
//! # Costs
//!
//! Reading costs a system call for each page with rows, or for 64 of them where they lie one behind the other. `cargo run --release -p quorate-dbfile --example dbfile_throughput` says
//! what a machine does.
//!
//! # Caveats
//!
//! * Data pages have no checksum. A flipped bit in a value, and many in a length or key, are found by the digest only:
//!   [`verify`] first if the file has one.
//! * [`Db`] takes no lock. A file that a server writes to changes under the reader: what is read is then refused, or
//!   stale.
//! * Two buckets that share pages are found by [`Db::check`], and not by reading one of them.
//! * Nested buckets and rows outside of buckets, which bbolt has and etcd has not, are refused.
//!
//! # What it does not know
//!
//! Servers, clusters, raft; what a row does to a state; proto messages but for the key of an `mvccpb.KeyValue`.

mod digest;
mod error;
pub mod etcd;
mod format;
pub mod fuzz;
pub mod limits;
mod read;
mod source;
mod write;

pub use digest::{DIGEST_BYTES, Digest, Verdict, bytes_without_digest, has_digest, verify};
pub use error::{Error, PageKinds, Reason};
pub use format::{Meta, PageId, PageKind, PageSize};
pub use read::{Bucket, Buckets, Census, Db, Options, Row, Rows, ValuePlace};
pub use source::ReadAt;
pub use write::{Extent, Layout, Plan, WriteError, Writer};
