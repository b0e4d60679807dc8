//! Restoring: from a backup, of etcd or ours, to the data directory of a new member.
//!
//! ```text
//!  file ─► digest ─► small buckets ─► rows ──────────────────────────────┐
//!                └─► bucket "key" ─► sorted by key ─► live versions ─────┼─► store ─┐
//!                              └─► after the compaction ─► changes ──────┘          ├─► <data-dir>/member
//!  flags ─► ids, members ─► raft log that begins behind the restored state ─────────┘
//! ```
//!
//! A restore makes a new cluster: its members have other ids, so that nobody of the old one can talk to them. Each member
//! is restored by itself, from the same file and the same list of members, and then holds the same state bit for bit.
//!
//! Memory is bounded whatever the size of the file: 64 MiB for what is sorted by key and 32 MiB for what is sorted by
//! revision, 64 KiB for each as much of the file while it is merged, a segment of history, and some tens of MiB of pages. What does not
//! fit lies in files without names in the data directory, at most as long as the file.
//!
//! Nothing is written before the file has passed its digest, and nothing stays if a row is refused.

mod error;
mod founding;
mod keys;
mod place;
mod progress;
mod small;
mod sorter;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datadir::{Marker, Origin, State};
use dbfile::{Db, ReadAt, Verdict, verify};
use machine::seed;
use mvcc::{Applied, Extent, LeaseId, StoreBuilder};
use proto::membershippb::{Attributes, Member, RaftAttributes};
use raft::{EntryId, Incarnation, Index, Membership, NodeId, Term};
use wal::{Disk, OsDisk};

pub use self::error::RestoreError;
use self::error::io_error;
pub use self::founding::{Founding, FoundingError};
use self::place::Place;
pub use self::place::Target;
pub use self::progress::{Progress, Stage};
use self::small::Small;

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
    if !options.skip_hash_check {
        match verify(&source)? {
            Verdict::Right(_) => {}
            Verdict::Absent => return Err(RestoreError::DigestMissing),
            Verdict::Wrong { stored, computed } => {
                return Err(RestoreError::DigestWrong { stored, computed });
            }
        }
    }
    let db = Db::open(source)?;
    if options.skip_hash_check {
        db.check()?;
    }
    let place = Place::take(Arc::new(OsDisk), target)?;
    let restored = Restoring { db: &db, origin, raise: options.raise_revision }.run(&place, progress)?;
    place.finish()?;
    Ok(restored)
}

/// A restore under way.
struct Restoring<'a, S> {
    db: &'a Db<S>,
    origin: &'a Origin,
    raise: u64,
}

impl<S: ReadAt> Restoring<'_, S> {
    fn run(&self, place: &Place, progress: &mut Progress<'_>) -> Result<Restored, RestoreError> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let restored = self.write_store(&disk, place, progress)?;
        write_log(&disk, place, self.origin)?;
        let marker = Marker { origin: self.origin.clone(), state: State::Complete };
        marker.write(&*disk, &place.layout.marker())?;
        Ok(restored)
    }

    fn write_store(
        &self,
        disk: &Arc<dyn Disk>,
        place: &Place,
        progress: &mut Progress<'_>,
    ) -> Result<Restored, RestoreError> {
        let small = Small::read(self.db)?;
        let extent = keys::extent(self.db, &small.meta, self.raise)?;
        let file = keys::extent(self.db, &small.meta, 0)?;
        let spool_dir = place.layout.member();
        let sorted = keys::sort(self.db, extent, &spool_dir, progress)?;
        let options = mvcc::Options { identity: self.origin.identity.numbers(), ..mvcc::Options::default() };
        let mut builder = StoreBuilder::begin(disk.clone(), &place.layout.store(), options, extent)?;
        let (joined, befores) = keys::put_live(sorted, extent, &small, &mut builder, &spool_dir, progress)?;
        let changes = keys::write_changes(self.db, extent, befores, &mut builder, progress)?;
        let Small { rows, leases, alarms, .. } = small;
        let stray_leases: Vec<i64> = joined.stray_leases.into_iter().collect();
        let made = stray_leases.iter().map(|id| endless_lease(*id));
        for row in rows.into_iter().chain(made).chain(cluster_rows(self.origin)) {
            builder.put_row(row.table, &row.key, &row.value)?;
        }
        builder.finish(applied(self.origin))?;
        let Extent { revision, compact_revision } = extent;
        Ok(Restored {
            file_revision: file.revision,
            revision,
            compact_revision,
            keys: joined.keys,
            changes,
            leases: leases.len(),
            stray_leases,
            alarms,
        })
    }
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
