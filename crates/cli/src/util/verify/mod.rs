//! `verify`: everything that is wrong with a data directory, with file and offset. Writes nothing.
//!
//! Two passes. The first *inspects*: every file from its beginning to its end, every checksum, and what the files say of each
//! other; it goes on behind damage. Each crate inspects what it has written ([`wal::inspect()`], [`raft::durable::inspect()`],
//! [`mvcc::inspect`], [`machine::inspect`]), so nothing about formats is known here. The second *opens* log and store as a
//! member does at its start, on a disk that keeps writes in memory: what a start would refuse is damage, whatever the first
//! pass thought of it.
//!
//! Log, database and opening are looked at side by side, and of a log several files: what is computed keeps up with the disk
//! on two cores, and with one would not. The report is the same as with one thread: each part collects its findings, and they
//! are put together in the order above.

mod ahead;
mod collected;
mod member;
mod opening;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use clap::ArgMatches;
use datadir::State;
use machine::inspect::Row;
use mvcc::inspect::Checkpoint;
use wal::{Disk, Finding};

use self::ahead::Ahead;
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
    let (log, state) = inspect_parts(held, &disk, &mut identity, &mut collected);
    Report { identity, log, state, collected }
}

/// Looks at the log and the state. Where the marker does not say whose they are, the log does.
fn inspect_parts(
    held: &Held,
    disk: &Arc<dyn Disk>,
    identity: &mut Option<[u64; 2]>,
    collected: &mut Collected,
) -> (Option<LogReport>, Option<StateReport>) {
    let dir = held.layout.store();
    let (mut of_log, mut of_checkpoint) = (collected.part(), collected.part());
    let (marked, mut log) = (*identity, None);
    let (store_dir, seen_of_checkpoint) = (&dir, &mut of_checkpoint);
    let (checkpoint, machine, opening) = thread::scope(|scope| {
        let reading = scope.spawn(|| inspect_log(held, &**disk, marked, &mut of_log));
        let reading = match marked {
            Some(_) => Some(reading),
            None => {
                log = joined(reading);
                *identity = log.as_ref().and_then(|log: &LogReport| log.identity);
                None
            }
        };
        let identity = *identity;
        let checking = scope.spawn(move || inspect_checkpoint(store_dir, disk, identity, seen_of_checkpoint));
        let (machine, opening) =
            identity.map_or_else(Default::default, |identity| opening::open(held, identity));
        log = reading.and_then(joined).or(log.take());
        (joined(checking), machine, opening)
    });
    collected.take(of_log);
    collected.take(of_checkpoint);
    opening.into_iter().for_each(|found| collected.settle(found));
    let store = machine.as_ref().map(|machine| machine.store());
    let mut see = |seen: mvcc::inspect::Seen<'_>| collected.see(seen);
    let readers = Ahead::of_this_machine();
    let checkpoint = checkpoint.as_ref();
    let changes = mvcc::inspect::inspect_history(&**disk, &dir, checkpoint, store, &readers, &mut see);
    let changes = changes.unwrap_or_else(|error| {
        collected.add(Finding::damage(&dir, 0, 0, error.to_string()));
        0
    });
    (log, checkpoint.map(|checkpoint| StateReport { mark: checkpoint.mark().clone(), changes }))
}

/// Returns what a thread has returned, and goes on with its panic if it has panicked.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn inspect_log(
    held: &Held,
    disk: &dyn Disk,
    identity: Option<[u64; 2]>,
    collected: &mut Collected,
) -> Option<LogReport> {
    use raft::durable::Seen;
    let mut entries = 0;
    let inspected = raft::durable::inspect(
        disk,
        &held.wal,
        identity,
        &Ahead::of_this_machine(),
        &mut |seen| match seen {
            Seen::Read(bytes) => collected.read(bytes),
            Seen::Finding(finding) => collected.add(finding),
            Seen::Entry(..) => entries += 1,
            Seen::HardState { .. } | Seen::Segment(_) => {}
        },
    );
    match inspected {
        Ok(inspected) => Some(LogReport::of(&inspected, entries)),
        Err(error) => {
            collected.add(Finding::damage(&held.wal, 0, 0, error.to_string()));
            None
        }
    }
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
