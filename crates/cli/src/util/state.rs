//! The state of a member that does not run, as the member would have it after its next start: its last checkpoint, and the
//! committed entries of its log behind that. Nothing is written.

use std::path::Path;
use std::sync::Arc;

use datadir::Marker;
use machine::{Applied, Machine};
use mvcc::Store;
use prost::Message;
use proto::etcdserverpb::InternalRaftRequest;
use raft::durable::{Facts, Seen, inspect};
use raft::{Entry, NodeId, Payload};
use wal::{Disk, Finding, Severity};

use super::disk::ReadOnlyDisk;
use super::failure::Failure;
use super::held::Held;

/// A state that was opened. The directory stays locked for as long as it lives.
pub(super) struct State {
    pub(super) machine: Machine,
    _held: Held,
}

impl State {
    /// Opens the state in a directory that is held.
    pub(super) fn open(held: Held, root: &Path) -> Result<Self, Failure> {
        let machine = open(&held).map_err(|what| {
            Failure::error(format!("cannot open the state in data directory {}: {what}", root.display()))
        })?;
        Ok(Self { machine, _held: held })
    }
}

fn open(held: &Held) -> Result<Machine, String> {
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk::default());
    let marker = Marker::read(&*disk, &held.layout.marker()).map_err(|error| error.to_string())?;
    let marker = marker.ok_or("there is no marker that says whose it is")?;
    if marker.state != datadir::State::Complete {
        return Err("log and store are not complete: start the member once more and stop it".to_owned());
    }
    let identity = marker.origin.identity;
    let options = mvcc::Options { identity: identity.numbers(), ..mvcc::Options::default() };
    let store =
        Store::open(disk.clone(), &held.layout.store(), options).map_err(|error| error.to_string())?;
    let mut machine = Machine::open(store).map_err(|error| error.to_string())?;
    let applied = machine.store().applied().index;
    for entry in committed(&*disk, held, NodeId(identity.member.0), applied)? {
        apply(&mut machine, &entry)?;
    }
    Ok(machine)
}

/// The committed entries behind an index. A member alone has committed what is in its log, whether it noted that or not.
fn committed(disk: &dyn Disk, held: &Held, own: NodeId, applied: u64) -> Result<Vec<Entry>, String> {
    let (mut entries, mut damage) = (Vec::new(), None);
    let mut members = None;
    let inspected = inspect(disk, &held.wal, None, &wal::InTurn, &mut |seen| match seen {
        Seen::HardState { facts, .. } => members = Some(facts.membership.clone()),
        Seen::Entry(_, entry) => {
            if let Payload::Membership(change) = &entry.payload {
                members = Some(change.membership.clone());
            }
            if entry.index.0 > applied {
                entries.push(entry.clone());
            }
        }
        Seen::Finding(Finding { severity: Severity::Damage, path, offset, what, .. }) => {
            damage.get_or_insert_with(|| format!("{}, offset {offset}: {what}", path.display()));
        }
        _ => {}
    });
    let facts = inspected.map_err(|error| error.to_string())?.facts;
    if let Some(damage) = damage {
        return Err(damage);
    }
    let commit = facts.map_or(0, |facts: Facts| facts.commit.index.0);
    let is_alone = members.is_some_and(|members| members.is_lone_voter(own));
    entries.retain(|entry| is_alone || entry.index.0 <= commit);
    let first = entries.first().map_or(applied + 1, |entry| entry.index.0);
    if first != applied + 1 {
        return Err(format!("its log begins with entry {first}, and its state ends with entry {applied}"));
    }
    Ok(entries)
}

fn apply(machine: &mut Machine, entry: &Entry) -> Result<(), String> {
    let applied = Applied { index: entry.index.0, term: entry.term.0 };
    let command = match &entry.payload {
        Payload::Command(bytes) => bytes.clone(),
        Payload::Membership(change) => change.context.clone(),
        Payload::Empty => bytes::Bytes::new(),
    };
    if command.is_empty() {
        machine.skip(applied);
        return Ok(());
    }
    match InternalRaftRequest::decode(command) {
        Ok(command) => machine.apply(applied, &command).map(drop).map_err(|error| error.to_string()),
        // As in a member: it changes nothing.
        Err(_) => {
            machine.skip(applied);
            Ok(())
        }
    }
}
