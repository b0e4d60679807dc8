//! Reading segments of a log ahead, in threads: what is seen, and its order, is as with one thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use wal::{Batch, Part, Readers};

/// Most threads that read one log: each holds a segment in memory, and a disk is not faster for more.
const THREADS_MAX: usize = 4;

/// Batches of a segment that wait to be looked at.
const BATCHES_AHEAD: usize = 16;

/// Reads as many segments at the same time as there are threads for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    threads: usize,
}

impl Ahead {
    /// Returns what has a thread for each core, up to a limit.
    pub(super) fn of_this_machine() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { threads: cores.min(THREADS_MAX) }
    }
}

impl Readers for Ahead {
    fn read<'a>(&self, parts: &[Part<'a>], take: &mut dyn FnMut(Batch<'a>)) {
        let (ways_in, ways_out): (Vec<_>, Vec<_>) = parts.iter().map(|_| way()).unzip();
        let next = AtomicUsize::new(0);
        let read_parts = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let (Some(part), Some(way)) = (parts.get(number), ways_in.get(number)) else { return };
                // Closed at the end of the part, which is how its end is known.
                let Some(way) = way.lock().take() else { return };
                // An error: whoever takes has panicked.
                part.read(&mut |batch| drop(way.send(batch)));
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.threads.min(parts.len()) {
                scope.spawn(read_parts);
            }
            ways_out.into_iter().flatten().for_each(take);
        });
    }
}

type WayIn<'a> = Mutex<Option<SyncSender<Batch<'a>>>>;

/// The way of the batches of one part.
fn way<'a>() -> (WayIn<'a>, Receiver<Batch<'a>>) {
    let (sender, receiver) = sync_channel(BATCHES_AHEAD);
    (Mutex::new(Some(sender)), receiver)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wal::{Disk as _, Head, InTurn, SimDisk, Wal, inspect};

    use super::*;

    const DIR: &str = "/log";

    /// A log of a dozen segments, in some of which a byte is not what it was, and one of which is missing.
    fn subject() -> SimDisk {
        let disk = SimDisk::new(1);
        let options = wal::Options { segment_bytes: 64 << 10, identity: [1, 2] };
        let mut log = Wal::open(std::sync::Arc::new(disk.clone()), Path::new(DIR), options).unwrap().0;
        let mut number = 0;
        while log.end().segment < 12 {
            number += 1;
            log.append(Head { kind: 1, number, tag: 0 }, &[&[number as u8; 100]]).unwrap();
        }
        log.sync().unwrap();
        drop(log);
        let mut paths = disk.list(Path::new(DIR)).unwrap();
        paths.sort();
        for (path, offset) in [(&paths[2], 5_000), (&paths[2], 40_000), (&paths[7], 10), (&paths[9], 600)] {
            disk.open(path).unwrap().write_at(offset, b"\xff").unwrap();
        }
        disk.remove(&paths[4]).unwrap();
        disk
    }

    fn seen(disk: &SimDisk, readers: &dyn Readers) -> Vec<String> {
        let mut all = Vec::new();
        inspect(disk, Path::new(DIR), Some([1, 2]), readers, &mut |seen| all.push(format!("{seen:?}")))
            .unwrap();
        all
    }

    #[test]
    fn what_is_seen_is_the_same_with_any_number_of_threads() {
        let disk = subject();
        let expected = seen(&disk, &InTurn);
        let findings = expected.iter().filter(|seen| seen.starts_with("Finding")).count();
        assert!(findings >= 5 && expected.len() > 1_000, "{findings} of {}", expected.len());
        for threads in [1, 2, 3, 50] {
            assert_eq!(seen(&disk, &Ahead { threads }), expected, "{threads}");
        }
    }
}
