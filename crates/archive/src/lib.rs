//! An archive: full backups of a cluster and everything that happened between them, in a directory
//! or an S3-compatible store.
//!
//! ```text
//!  machine ─ Frozen ─► full backup ─► full-<revision>-….db, .json      every --backup-interval
//!  mvcc ─ KeptHistory ─► pieces ────► piece-<from>-<to>-….piece        every --backup-piece-interval
//!
//!  archive ─► Catalogue ─► Plan: a full backup, and pieces up to a revision ─► extract ─► one file as etcd has it
//! ```
//!
//! # How it runs
//!
//! A [`Keeper`] is asked now and then what is to be done, by the member that leads; all of it
//! happens on the caller's thread. It goes on from what the store lists, whoever wrote that: there
//! is no state of its own anywhere else. Nothing is ever changed in a store. An object appears as a
//! whole under a name that says what is in it, so two members that both believe that they lead
//! write the same history twice, and disturb nobody.
//!
//! The history of a cluster is a [`chain`]: each revision has a digest of itself and
//! everything before it. A piece names the digests before and after it, a full backup that of its
//! revision. A cluster that was restored to an earlier revision and then went another way has other
//! digests: its objects lie beside the older ones, and nothing of the one is taken for the other.
//!
//! # Invariants
//!
//! * A full backup counts when its manifest is there, which is written after all of it was read
//!   back and found right.
//! * Pieces are whole revisions, in order, without a gap, and each says so of itself: see
//!   [`piece`].
//! * What is deleted has a name of ours, and no backup that is kept needs it.
//! * Memory is bounded: a part of an upload, a piece, and what the crate `backup` takes.
//!
//! It knows nothing of raft, of who leads, or of flags; it has no thread of its own.
//!
//! # Why not otherwise
//!
//! *Why not what watchers see?* They see events, and a file of etcd needs its rows. *Why no lock in
//! the store?* A lock needs a clock or an operator when its holder dies; names that say what is in
//! an object need neither. The format is in `docs/format/archive.md`, the choice of libraries in
//! `docs/decisions/0013-an-archive-is-a-chain-of-pieces.md`.

pub mod catalogue;
pub mod chain;
pub mod fuzz;
pub mod keeper;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod piece;
pub mod store;

mod download;
mod error;
mod extract;
mod inspect;
mod retention;
mod write;

pub use self::catalogue::{Catalogue, Plan, Wanted};
pub use self::error::{ArchiveError, StoreError};
pub use self::extract::{Extracted, extract};
pub use self::inspect::{Finding, Overview, Range, Survey, clusters, overview, survey};
pub use self::keeper::{Event, Keeper, Reign, Settings, Source};
pub use self::manifest::Manifest;
pub use self::retention::{Keep, KeepError};
pub use self::store::{Address, AddressError, S3Options, Stop, Store};
