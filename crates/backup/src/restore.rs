//! Restoring: from a backup, of etcd or ours, to the data directory of a new member.
//!
//! ```text
//!  file ─┬─► digest ─────────────────────────────────────┐
//!        ├─► bucket "key" ─► sorted by key ─► compared ──┴─┬─► live versions ─┐
//!        │                                                 ├─► changes ───────┼─► store ─┐
//!        └─► small buckets ─► rows ────────────────────────┴──────────────────┘          ├─► <data-dir>/member
//!  flags ─► ids, members ─► raft log that begins behind the restored state ──────────────┘
//! ```
//!
//! A restore makes a new cluster: its members have other ids, so that nobody of the old one can talk to them. Each member
//! is restored by itself, from the same file and the same list of members, and then holds the same state bit for bit.
//!
//! The digest is computed on a thread of its own while versions are sorted, and the history is written on another while the live
//! versions are.
//!
//! Memory is bounded whatever the size of the file: 64 MiB for what is sorted by key, then 32 MiB for what is sorted by
//! revision, 64 KiB for each as much while it is merged, a segment of history with its index, and some 56 MiB of pages. What does
//! not fit lies in files without names in the data directory, at most as long as the file.
//!
//! No file of the new member is written before the backup has passed its digest and its versions were found not to contradict
//! each other, and nothing stays if a row is refused. See `docs/decisions/0015-a-restore-sorts-places.md`.

mod cached;
mod changes;
mod content;
mod error;
mod etcd_dir;
mod etcd_log;
mod form;
mod founding;
pub mod fuzz;
mod keys;
mod lives;
mod place;
mod progress;
mod small;

use std::fs::File;
use std::io::Write;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use datadir::{Marker, Origin, State};
use dbfile::{Db, ReadAt, Verdict, has_digest, verify};
use machine::{Machine, seed};
use mvcc::{Applied, Extent, LeaseId, StoreBuilder};
use proto::membershippb::{Attributes, Member, RaftAttributes};
use raft::{EntryId, Incarnation, Index, Membership, NodeId, Term};
use wal::{Disk, OsDisk};

use self::cached::cached_bytes;
pub use self::content::{Content, Users, Version};
pub use self::error::RestoreError;
use self::error::io_error;
pub use self::etcd_dir::restore_etcd;
use self::form::Spooled;
pub use self::founding::Founding;
use self::lives::Compared;
use self::place::Place;
pub use self::place::Target;
pub use self::progress::{Progress, Stage};
use self::small::Small;
use crate::sorter::Sorted;
use crate::{Export, Frozen};

/// Length of a file of the raft log, in bytes: where the server that opens it has another, that is used from the next file on.
const WAL_SEGMENT_BYTES: u64 = 64 << 20;

/// The term in which the restored state is committed, as in etcd.
const TERM: u64 = 1;

/// How a file is restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a file without a digest, or with a wrong one, is taken. All of its pages are checked instead.
    pub skip_hash_check: bool,
    /// By how much the newest revision is raised, and everything up to there compacted; 0: it stays. For a cluster that had
    /// gone on after the backup: its clients know revisions that would be used a second time, for something else.
    pub raise_revision: u64,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The newest revision of the file.
    pub file_revision: i64,
    /// The newest revision of the new cluster.
    pub revision: i64,
    /// Its compact revision; -1: never compacted.
    pub compact_revision: i64,
    /// Keys that live.
    pub keys: u64,
    /// Changes in the history.
    pub changes: u64,
    /// Leases, of which nothing has run out while the file lay.
    pub leases: usize,
    /// Leases that keys are attached to and that the file does not have: in etcd such keys never expire. They were made anew, with the
    /// longest time there is.
    pub stray_leases: Vec<i64>,
    /// Alarms that are active: their type, and the member of the old cluster that they are about.
    pub alarms: Vec<(i32, u64)>,
}

/// Restores a backup file.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_file(
    file: &Path,
    origin: &Origin,
    target: &Target,
    options: Options,
    progress: &mut Progress<'_>,
) -> Result<Restored, RestoreError> {
    target.check()?;
    let source = File::open(file).map_err(io_error("open", file))?;
    let bytes = source.metadata().map_err(io_error("look at", file))?.len();
    progress.begin(Stage::Verifying, bytes);
    let restoring = Restoring { origin, raise: options.raise_revision };
    if options.skip_hash_check {
        let db = Db::open(source)?;
        db.check()?;
        let place = Place::take(Arc::new(OsDisk), target)?;
        return restoring.run(&db, place, &mut Verification::none(), progress);
    }
    if !has_digest(bytes) {
        return Err(RestoreError::DigestMissing);
    }
    thread::scope(|scope| {
        let mut verification = Verification(Some(scope.spawn(|| check_digest(&source))));
        let restored = Place::take(Arc::new(OsDisk), target)
            .and_then(|place| restoring.run(&Db::open(&source)?, place, &mut verification, progress));
        // What else is wrong with a file that is not what it was is of no interest.
        verification.end()?;
        restored
    })
}

/// The comparison of a file with its digest, under way on another thread.
struct Verification<'s>(Option<ScopedJoinHandle<'s, Result<(), RestoreError>>>);

impl Verification<'_> {
    /// There is nothing to compare.
    const fn none() -> Self {
        Self(None)
    }

    /// Waits for it. Nothing that was read counts before.
    fn end(&mut self) -> Result<(), RestoreError> {
        self.0.take().map_or(Ok(()), joined)
    }
}

/// Returns what a thread has returned.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Restores what a caller writes: `make` returns a backup file that it knows to be right, and gets a directory for files
/// without names.
///
/// # Errors
/// Those of `make`, and see [`RestoreError`].
pub fn restore_made<E: From<RestoreError>>(
    make: impl FnOnce(&Path) -> Result<File, E>,
    origin: &Origin,
    target: &Target,
    raise_revision: u64,
    progress: &mut Progress<'_>,
) -> Result<Restored, E> {
    let place = Place::take(Arc::new(OsDisk), target)?;
    let file = make(&place.layout.member())?;
    let db = Db::open(file).map_err(RestoreError::from)?;
    Ok(Restoring { origin, raise: raise_revision }.run(&db, place, &mut Verification::none(), progress)?)
}

/// Holds a file against the digest at its end.
fn check_digest(source: &File) -> Result<(), RestoreError> {
    match verify(source)? {
        Verdict::Right(_) => Ok(()),
        Verdict::Absent => Err(RestoreError::DigestMissing),
        Verdict::Wrong { stored, computed } => Err(RestoreError::DigestWrong { stored, computed }),
    }
}

/// Restores the state of a member of ours that does not run, as the caller has opened it.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_state(
    machine: &Machine,
    origin: &Origin,
    target: &Target,
    raise_revision: u64,
    progress: &mut Progress<'_>,
) -> Result<Restored, RestoreError> {
    let place = Place::take(Arc::new(OsDisk), target)?;
    let db = exported(machine, &place.layout.member())?;
    Restoring { origin, raise: raise_revision }.run(&db, place, &mut Verification::none(), progress)
}

/// The state as a database, in a file without a name.
fn exported(machine: &Machine, dir: &Path) -> Result<Db<File>, RestoreError> {
    let mut file = tempfile::tempfile_in(dir).map_err(io_error("make a file in", dir))?;
    let export = Export::plan(Frozen::of(machine, |_| None), dir.to_owned())?;
    let write = |bytes: &[u8]| file.write_all(bytes).map_err(io_error("write into", dir));
    export.write(write)?;
    Ok(Db::open(file)?)
}

/// A restore under way.
struct Restoring<'a> {
    origin: &'a Origin,
    raise: u64,
}

impl Restoring<'_> {
    /// Makes a member's data of what a database has, in a directory that is taken.
    fn run<S: ReadAt + Sync>(
        &self,
        db: &Db<S>,
        place: Place,
        verification: &mut Verification<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Restored, RestoreError> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let new = NewStore {
            dir: place.layout.store(),
            spool_dir: place.layout.member(),
            identity: self.origin.identity.numbers(),
            applied: applied(self.origin),
            rows: cluster_rows(self.origin),
        };
        let restored = new.write(&disk, db, self.raise, verification, progress)?;
        write_log(&disk, &place, self.origin)?;
        let marker = Marker { origin: self.origin.clone(), state: State::Complete };
        marker.write(&*disk, &place.layout.marker())?;
        place.finish()?;
        Ok(restored)
    }
}

/// A store that is made of a database.
struct NewStore {
    dir: PathBuf,
    /// Where versions are sorted that do not fit into memory.
    spool_dir: PathBuf,
    identity: [u64; 2],
    applied: Applied,
    /// Rows that it has besides those of the database.
    rows: Vec<seed::Row>,
}

impl NewStore {
    fn options(&self) -> mvcc::Options {
        mvcc::Options { identity: self.identity, ..mvcc::Options::default() }
    }

    fn write<S: ReadAt + Sync>(
        &self,
        disk: &Arc<dyn Disk>,
        db: &Db<S>,
        raise: u64,
        verification: &mut Verification<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Restored, RestoreError> {
        let Self { dir, spool_dir, .. } = self;
        let small = Small::read(db)?;
        let file_revision = keys::extent(db, &small.meta, 0)?.revision;
        let extent = keys::extent(db, &small.meta, raise)?;
        let spooled = Spooled::of(db.bytes(), cached_bytes());
        let sorted = lives::sort(db, extent, spool_dir, spooled, progress)?;
        verification.end()?;
        let compared = lives::compare(&sorted, extent, &small, spool_dir, progress)?;
        let mut builder = StoreBuilder::begin(disk.clone(), dir, self.options(), extent)?;
        let (keys, changes) = fill(db, extent, &sorted, &compared, &mut builder, progress)?;
        let Small { rows, leases, alarms, .. } = small;
        let stray_leases: Vec<i64> = compared.stray_leases.into_iter().collect();
        let made: Vec<seed::Row> = stray_leases.iter().map(|id| endless_lease(*id)).collect();
        let (state, _) = builder.halves();
        for row in rows.iter().chain(&made).chain(&self.rows) {
            state.put_row(row.table, &row.key, &row.value)?;
        }
        builder.finish(self.applied)?;
        let Extent { revision, compact_revision } = extent;
        let leases = leases.len();
        Ok(Restored {
            file_revision,
            revision,
            compact_revision,
            keys,
            changes,
            leases,
            stray_leases,
            alarms,
        })
    }
}

/// Writes live versions and changes at the same time; returns how many of both there are.
fn fill<S: ReadAt + Sync>(
    db: &Db<S>,
    extent: Extent,
    sorted: &Sorted,
    compared: &Compared,
    builder: &mut StoreBuilder,
    progress: &mut Progress<'_>,
) -> Result<(u64, u64), RestoreError> {
    let (state, history) = builder.halves();
    thread::scope(|scope| {
        let changes = scope.spawn(|| changes::write(db, extent, &compared.befores, history));
        let keys = lives::put_live(db, sorted, state, progress);
        progress.begin(Stage::History, 0);
        let changes = joined(changes);
        Ok((keys?, changes?))
    })
}

/// A lease that keys are attached to, and of which nothing else is known.
fn endless_lease(id: i64) -> seed::Row {
    let seeded = seed::lease(LeaseId(id), machine::limits::LEASE_TTL_SECONDS_MAX, None);
    seeded.expect("keys without a lease are not attached to any")
}

/// The cluster as its members know it from the start: they have their names, and count as started.
fn cluster_rows(origin: &Origin) -> Vec<seed::Row> {
    let member = |known: &datadir::KnownMember| Member {
        id: known.id.0,
        raft_attributes: Some(RaftAttributes { peer_urls: known.peer_urls.clone(), is_learner: false }),
        member_attributes: Some(Attributes { name: known.name.clone(), client_urls: Vec::new() }),
    };
    let members: Vec<Member> = origin.members.iter().map(member).collect();
    seed::cluster(origin.identity.cluster.0, &members).collect()
}

/// The place in the raft log that the restored state stands for: behind one entry for each member, as in etcd.
fn applied(origin: &Origin) -> Applied {
    Applied { index: origin.members.len() as u64, term: TERM }
}

/// Makes a log that begins behind the restored state, with all members as voters.
fn write_log(disk: &Arc<dyn Disk>, place: &Place, origin: &Origin) -> Result<(), RestoreError> {
    let Applied { index, term } = applied(origin);
    let options = raft::durable::Options {
        identity: origin.identity.numbers(),
        segment_bytes: WAL_SEGMENT_BYTES,
        tail_bytes_max: raft::Limits::default().tail_bytes_max,
        membership: Membership::new(origin.members.iter().map(|member| NodeId(member.id.0)), []),
        incarnation: Incarnation(1),
    };
    let base = EntryId::new(Index(index), Term(term));
    Ok(raft::durable::Log::begin_behind(disk, &place.wal_dir(), &options, base)?)
}
