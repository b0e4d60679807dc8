//! Log and store opened as a member opens them at its start, and what they say of each other.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use machine::Machine;
use mvcc::Store;
use raft::durable::{Log, Options};
use raft::{EntryId, Incarnation, Index, Membership, Term};
use wal::{Disk, Finding};

use super::collected::Found;
use crate::util::disk::ReadOnlyDisk;
use crate::util::held::Held;

/// Opens the state, and the log against it. Returns the state, unless it cannot be opened, and what is wrong.
pub(super) fn open(held: &Held, identity: [u64; 2]) -> (Option<Machine>, Vec<Found>) {
    let mut found = Vec::new();
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk::default());
    let dir = held.layout.store();
    let machine = match open_machine(disk.clone(), &dir, identity) {
        Ok(machine) => Some(machine),
        Err(what) => {
            found.push(would_not_start(&dir, &what));
            None
        }
    };
    if let Some(machine) = &machine {
        check_machine(machine, identity, &dir, &mut found);
    }
    check_log(disk, held, identity, machine.as_ref(), &mut found);
    (machine, found)
}

fn would_not_start(place: &Path, what: &str) -> Found {
    Found::UnlessKnown(place.to_owned(), format!("a member would not start: {what}"))
}

fn damage(dir: &Path, what: String) -> Found {
    Found::Finding(Finding::damage(dir, 0, 0, what))
}

fn open_machine(disk: Arc<dyn Disk>, dir: &Path, identity: [u64; 2]) -> Result<Machine, String> {
    let options = mvcc::Options { identity, ..mvcc::Options::default() };
    let store = guarded(|| Store::open(disk, dir, options).map_err(|error| error.to_string()))?;
    guarded(|| {
        store.check_invariants();
        Ok(())
    })?;
    Machine::open(store).map_err(|error| error.to_string())
}

/// Makes an error of a panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_owned()));
        Err(what.unwrap_or_else(|| "it contradicts itself".to_owned()))
    })
}

fn check_machine(machine: &Machine, identity: [u64; 2], dir: &Path, found: &mut Vec<Found>) {
    let [cluster, member] = identity;
    let mut wrong = |what: String| found.push(damage(dir, what));
    machine::inspect::contradictions(machine).into_iter().for_each(&mut wrong);
    if let Some(id) = machine.cluster_id().filter(|id| *id != cluster) {
        wrong(format!("its state is of cluster {id:x}, and its files are of cluster {cluster:x}"));
    }
    if machine.removed_members().any(|id| id == member) {
        let what = "this member was removed from its cluster: it does not start any more";
        found.push(Found::Finding(Finding::note(dir, 0, 0, what)));
    }
}

/// Opens the log as a member does, which holds it against the state, and holds its configuration against the members.
fn check_log(
    disk: Arc<dyn Disk>,
    held: &Held,
    identity: [u64; 2],
    machine: Option<&Machine>,
    found: &mut Vec<Found>,
) {
    let opened = guarded(|| {
        let mut opened = Log::open(disk, &held.wal, options(identity)).map_err(|error| error.to_string())?;
        if let Some(machine) = machine {
            let applied = machine.store().applied();
            let applied = EntryId::new(Index(applied.index), Term(applied.term));
            opened.log.restore_at(applied).map_err(|error| error.to_string())?;
        }
        Ok(opened.log)
    });
    match (opened, machine) {
        (Ok(log), Some(machine)) => check_members(&log, machine, &held.layout.store(), found),
        (Ok(_), None) => {}
        (Err(what), _) => found.push(would_not_start(&held.wal, &what)),
    }
}

fn options(identity: [u64; 2]) -> Options {
    Options {
        identity,
        // Of a new file of entries; none is made.
        segment_bytes: 1 << 20,
        tail_bytes_max: 0,
        membership: Membership::default(),
        incarnation: Incarnation(1),
    }
}

/// The members of the state must be those of the log's configuration at the applied entry, between two changes.
fn check_members(log: &Log, machine: &Machine, dir: &Path, found: &mut Vec<Found>) {
    let applied = Index(machine.store().applied().index).max(log.base().index);
    let configured = log.memberships().at(applied);
    let known: BTreeSet<u64> = machine.members().map(|member| member.id).collect();
    if known.is_empty() || configured.is_joint() {
        return;
    }
    let nodes: BTreeSet<u64> = configured.members().map(|node| node.0).collect();
    if nodes != known && !nodes.is_empty() {
        let list =
            |ids: &BTreeSet<u64>| ids.iter().map(|id| format!("{id:x}")).collect::<Vec<_>>().join(", ");
        let what = format!("its members are {}, and those of the log are {}", list(&known), list(&nodes));
        found.push(damage(dir, what));
    }
}
