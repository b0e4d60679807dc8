//! Stores on simulated disks.

use std::path::Path;
use std::sync::Arc;

use machine::{Machine, Outcome, Reply};
use mvcc::{Options, Store};
use wal::SimDisk;

/// Opens the machine that the disk holds, or makes one.
pub(crate) fn open(disk: &SimDisk) -> Machine {
    // Small segments: a test opens many stores, and a segment is allocated whole.
    let options = Options { history_segment_bytes: 1 << 20, ..Options::default() };
    let store = Store::open(Arc::new(disk.clone()), Path::new("/member/store"), options).unwrap();
    Machine::open(store).unwrap()
}

/// A machine on a disk of its own.
pub(crate) fn fresh() -> Machine {
    open(&SimDisk::new(1))
}

/// Makes everything applied so far durable.
pub(crate) fn checkpoint(machine: &mut Machine) {
    let store = machine.store_mut();
    if let Some(job) = store.freeze() {
        let done = job.run().unwrap();
        store.complete(done);
    }
}

/// An outcome whose reply is whole: what was left to be read for it is read.
pub(crate) fn whole(mut outcome: Outcome) -> Outcome {
    if let Some(unread) = outcome.unread.take() {
        let body = unread.read(&mvcc::ToTheEnd).unwrap();
        outcome.result = outcome.result.map(|reply| Reply { body, ..reply });
    }
    outcome
}
