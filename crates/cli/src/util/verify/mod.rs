//! `verify`: everything that is wrong with a data directory, with file and offset. Writes nothing.
//!
//! Two passes. The first *inspects*: every file from its beginning to its end, every checksum, and what the files say of each
//! other; it goes on behind damage. Each crate inspects what it has written ([`wal::inspect()`], [`raft::durable::inspect()`],
//! [`mvcc::inspect`], [`machine::inspect`]), so nothing about formats is known here. The second *opens* log and store as a
//! member does at its start, on a disk that keeps writes in memory: what a start would refuse is damage, whatever the first
//! pass thought of it.

mod collected;
mod member;
mod opening;
mod report;

use std::path::Path;
use std::sync::Arc;

use clap::ArgMatches;
use datadir::State;
use machine::inspect::Row;
use mvcc::inspect::Checkpoint;
use wal::{Disk, Finding};

use self::collected::Collected;
use self::report::{LogReport, Report, StateReport};
use super::arguments::{Globals, directories};
use super::disk::ReadOnlyDisk;
use super::failure::Failure;
use super::held::Held;

pub(super) fn run(
    globals: &Globals,
    matches: &ArgMatches,
    out: &mut dyn std::io::Write,
) -> Result<(), Failure> {
    let format = globals.format()?;
    let (root, wal) = directories(matches);
    let held = Held::shared(&root, wal, globals.timeout, "verify")?;
    let report = quietly(|| inspect(&held));
    report.print(format, out)?;
    match report.damages() {
        0 => Ok(()),
        1 => Err(Failure::error(format!("1 thing is wrong with data directory {}", root.display()))),
        many => {
            Err(Failure::error(format!("{many} things are wrong with data directory {}", root.display())))
        }
    }
}

/// Runs what may panic on damage, and catches it, without the panic's message: what is said is the report.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = work();
    std::panic::set_hook(hook);
    done
}

fn inspect(held: &Held) -> Report {
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk::default());
    let mut collected = Collected::of(&[&held.layout.member(), &held.wal]);
    let marker = member::inspect(&held.layout, &held.wal, &*disk, &mut collected);
    let state = marker.as_ref().map(|marker| marker.state);
    let mut identity = marker.as_ref().map(|marker| marker.origin.identity.numbers());
    if state == Some(State::Founding) && !held.wal.exists() {
        let what = "the member has not been founded yet: there is neither log nor store";
        collected.add(Finding::note(&held.layout.member(), 0, 0, what));
        return Report { identity, log: None, state: None, collected };
    }
    let log = inspect_log(held, &*disk, identity, &mut collected);
    identity = identity.or(log.as_ref().and_then(|log| log.identity));
    let state = inspect_state(held, &disk, identity, log.as_ref(), &mut collected);
    Report { identity, log, state, collected }
}

fn inspect_log(
    held: &Held,
    disk: &dyn Disk,
    identity: Option<[u64; 2]>,
    collected: &mut Collected,
) -> Option<LogReport> {
    use raft::durable::Seen;
    let mut entries = 0;
    let inspected = raft::durable::inspect(disk, &held.wal, identity, &mut |seen| match seen {
        Seen::Read(bytes) => collected.read(bytes),
        Seen::Finding(finding) => collected.add(finding),
        Seen::Entry(..) => entries += 1,
        Seen::HardState { .. } | Seen::Segment(_) => {}
    });
    match inspected {
        Ok(inspected) => Some(LogReport::of(&inspected, entries)),
        Err(error) => {
            collected.add(Finding::damage(&held.wal, 0, 0, error.to_string()));
            None
        }
    }
}

fn inspect_state(
    held: &Held,
    disk: &Arc<dyn Disk>,
    identity: Option<[u64; 2]>,
    log: Option<&LogReport>,
    collected: &mut Collected,
) -> Option<StateReport> {
    let dir = held.layout.store();
    let checkpoint = inspect_checkpoint(&dir, disk, identity, collected);
    let machine = identity.and_then(|identity| opening::open(held, identity, log, collected));
    let store = machine.as_ref().map(|machine| machine.store());
    let mut see = |seen: mvcc::inspect::Seen<'_>| collected.see(seen);
    let changes = mvcc::inspect::inspect_history(&**disk, &dir, checkpoint.as_ref(), store, &mut see);
    let changes = changes.unwrap_or_else(|error| {
        collected.add(Finding::damage(&dir, 0, 0, error.to_string()));
        0
    });
    checkpoint.map(|checkpoint| StateReport { mark: checkpoint.mark().clone(), changes })
}

fn inspect_checkpoint(
    dir: &Path,
    disk: &Arc<dyn Disk>,
    identity: Option<[u64; 2]>,
    collected: &mut Collected,
) -> Option<Checkpoint> {
    let checkpoint = Checkpoint::open(disk.clone(), dir, identity, &mut |seen| collected.see(seen))?;
    checkpoint.inspect(&mut |seen| {
        if let mvcc::inspect::Seen::Row(table, key, value) = seen
            && let Err(malformed) = Row::decode(table, key, value)
        {
            collected.add(Finding::damage(checkpoint.path(), 0, 0, malformed.to_string()));
        }
        collected.see(seen);
    });
    Some(checkpoint)
}
