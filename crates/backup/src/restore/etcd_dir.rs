//! Restoring from the data directory of an etcd that does not run.
//!
//! Its database is not all that it has: etcd commits it ten times a second, and what came since is in its log. So the
//! entries that were committed behind the database are applied to a store that is made of it, by the state machine that
//! applies ours (they are the same commands), and the result is restored as any other state.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use dbfile::Db;
use dbfile::etcd::{Member, MetaRows, bucket};
use machine::Machine;
use mvcc::{Applied, Store};
use prost::Message;
use proto::etcdserverpb::InternalRaftRequest;
use wal::{Disk, OsDisk};

use super::error::io_error;
use super::etcd_log::{Entry, EtcdLog};
use super::place::Place;
use super::{NewStore, Origin, Progress, RestoreError, Restored, Restoring, Target, Verification, exported};

/// The kind of an entry that has a command.
const COMMAND: i32 = 0;

/// Restores the state of an etcd that does not run, from its data directory, and its log if that lies elsewhere. Nothing there is
/// written to.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_etcd(
    dir: &Path,
    wal_dir: Option<&Path>,
    origin: &Origin,
    target: &Target,
    raise_revision: u64,
    progress: &mut Progress<'_>,
) -> Result<Restored, RestoreError> {
    target.check()?;
    let path = dir.join("member/snap/db");
    let file = File::open(&path).map_err(io_error("open", &path))?;
    lock(&file, &path)?;
    let db = Db::open(file)?;
    db.check()?;
    let meta = MetaRows::read(&db)?;
    let applied = Applied { index: meta.consistent_index.unwrap_or(0), term: meta.term.unwrap_or(0) };
    let wal_dir = wal_dir.map_or_else(|| dir.join("member/wal"), Path::to_owned);
    let entries = committed(EtcdLog::read(&wal_dir, applied.index)?, is_alone(&db)?);
    let place = Place::take(Arc::new(OsDisk), target)?;
    let restoring = Restoring { origin, raise: raise_revision };
    if entries.iter().all(|entry| entry.kind != COMMAND || entry.data.is_empty()) {
        return restoring.run(&db, place, &mut Verification::none(), progress);
    }
    let source = place.layout.member().join("source");
    let (state, stray_leases) = state(&db, &entries, applied, &place, &source, progress)?;
    drop(db);
    std::fs::remove_dir_all(&source).map_err(io_error("remove", &source))?;
    let restored = restoring.run(&state, place, &mut Verification::none(), progress)?;
    Ok(Restored { stray_leases, ..restored })
}

/// Refuses the database of an etcd that runs.
fn lock(file: &File, path: &Path) -> Result<(), RestoreError> {
    match file.try_lock_shared() {
        Ok(()) => Ok(()),
        Err(TryLockError::Error(source)) => Err(io_error("lock", path)(source)),
        Err(TryLockError::WouldBlock) => {
            let what = format!("{} is in use: stop the etcd, or take a snapshot of it", path.display());
            Err(RestoreError::Contradiction(what))
        }
    }
}

/// Whether the member is the only one with a vote.
fn is_alone(db: &Db<File>) -> Result<bool, RestoreError> {
    let Some(members) = db.bucket(bucket::MEMBERS)? else { return Ok(false) };
    let mut rows = members.rows()?;
    let mut voters = 0;
    while let Some(row) = rows.next_row()? {
        let member = Member::parse(row.value)
            .map_err(|fault| super::small::refused(bucket::MEMBERS, &row, fault.to_string()))?;
        voters += usize::from(!member.is_learner);
    }
    Ok(voters == 1)
}

/// The entries that count. A member alone has committed what is in its log, whether it noted that or not.
fn committed(log: EtcdLog, is_alone: bool) -> Vec<Entry> {
    let EtcdLog { commit, mut entries } = log;
    entries.retain(|entry| is_alone || entry.index <= commit);
    entries
}

/// The state behind the entries, as a database, and the leases that had to be made for it.
fn state(
    db: &Db<File>,
    entries: &[Entry],
    applied: Applied,
    place: &Place,
    dir: &Path,
    progress: &mut Progress<'_>,
) -> Result<(Db<File>, Vec<i64>), RestoreError> {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let spool_dir = place.layout.member();
    let new = NewStore {
        dir: dir.to_owned(),
        spool_dir: spool_dir.clone(),
        identity: [0, 0],
        applied,
        rows: Vec::new(),
    };
    let Restored { stray_leases, .. } = new.write(&disk, db, 0, &mut Verification::none(), progress)?;
    let mut machine = Machine::open(Store::open(disk, dir, new.options())?)?;
    for entry in entries {
        apply(&mut machine, entry)?;
    }
    Ok((exported(&machine, &spool_dir)?, stray_leases))
}

fn apply(machine: &mut Machine, entry: &Entry) -> Result<(), RestoreError> {
    let applied = Applied { index: entry.index, term: entry.term };
    if entry.kind != COMMAND || entry.data.is_empty() || is_of_version_2(&entry.data) {
        machine.skip(applied);
        return Ok(());
    }
    let wrong = |what: &str| RestoreError::Contradiction(format!("entry {} of the log {what}", entry.index));
    let command = InternalRaftRequest::decode(entry.data.clone())
        .map_err(|_| wrong("is no command of an etcd that is known here"))?;
    if has_plain_password(&command) {
        let what = "has a password as etcd 3.4 writes it: start this etcd once more and stop it, so that its database has it";
        return Err(wrong(what));
    }
    // What is refused was refused there, too.
    machine.apply(applied, &command)?;
    Ok(())
}

fn has_plain_password(command: &InternalRaftRequest) -> bool {
    let is_plain = |password: &str, hash: &str| !password.is_empty() && hash.is_empty();
    let added = command.auth_user_add.as_ref();
    let changed = command.auth_user_change_password.as_ref();
    added.is_some_and(|user| is_plain(&user.password, &user.hashed_password))
        || changed.is_some_and(|user| is_plain(&user.password, &user.hashed_password))
}

/// What etcd 3.4 to 3.5 say of themselves and of their version, in the form of etcd 2.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(string, tag = "3")]
    path: String,
}

fn is_of_version_2(data: &[u8]) -> bool {
    Request::decode(data).is_ok_and(|request| !request.method.is_empty() && request.path.starts_with("/0"))
}

#[cfg(test)]
mod tests {
    use proto::etcdserverpb as pb;

    use super::*;

    #[test]
    fn requests_of_etcd_2_are_told_from_commands() {
        let old = Request { method: "PUT".to_owned(), path: "/0/version".to_owned() };
        assert!(is_of_version_2(&old.encode_to_vec()));
        let put = pb::PutRequest { key: "/0/version".into(), value: "v".into(), ..Default::default() };
        let command = InternalRaftRequest { id: 7, put: Some(put), ..Default::default() };
        assert!(!is_of_version_2(&command.encode_to_vec()));
        let range = pb::RangeRequest { key: "/0".into(), ..Default::default() };
        let command = InternalRaftRequest { id: 7, range: Some(range.into()), ..Default::default() };
        assert!(!is_of_version_2(&command.encode_to_vec()));
    }
}
