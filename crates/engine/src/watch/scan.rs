//! One look at the history for many watchers.
//!
//! Watchers that fall behind fall behind together: a network heals, or a client of thousands of watches starts again. If each
//! went through the history by itself, a thousand of them would read it a thousand times. So a step is made for the watcher
//! whose turn it is, and every other that waits and is not farther behind gets what the step finds for it.
//!
//! A change is matched with the watchers of single keys by a look-up, and with those of ranges as a published change is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mvcc::{Change, RangeEnd, ReadError, View};

use super::range_set::RangeSet;
use super::watcher::{CatchUpJob, CaughtUp};
use crate::limits::{
    CATCH_UP_BATCH_CHANGES, CATCH_UP_BYTES_MAX, CATCH_UP_CHANGES_MAX, CATCH_UP_EVENTS_MIN,
    CATCH_UP_STEP_BYTES_MAX,
};
use crate::memory::{HeldBytes, WatchQueues};

/// Reads one step for the first of the jobs: the changes of its range from the wanted revision on, up to a bound. Returns for
/// each job what was found, or `None` if the step did not come to where it is.
///
/// # Errors
/// Those of the disk.
pub(crate) fn read(
    view: &View,
    jobs: &[&CatchUpJob],
    queues: &Arc<WatchQueues>,
) -> Result<Vec<Option<CaughtUp>>, mvcc::Error> {
    let compact_revision = view.compact_revision();
    let Some(first) = jobs.first() else { return Ok(Vec::new()) };
    if first.from < compact_revision {
        let is_gone = |job: &&CatchUpJob| job.from < compact_revision;
        let gone = |job| is_gone(job).then_some(CaughtUp::Compacted { compact_revision });
        return Ok(jobs.iter().map(gone).collect());
    }
    let mut scan = Scan::of(jobs, !queues.are_full());
    let mut history = view.history(first.from).with_batches_of(CATCH_UP_BATCH_CHANGES);
    let mut scanned = 0;
    let mut compacted = None;
    // A batch is a few hundred changes, wanted or not; revisions are never split between batches.
    while !scan.is_full() && scanned < CATCH_UP_CHANGES_MAX {
        match history.next_batch() {
            Ok(Some(batch)) => {
                scanned += batch.len();
                batch.iter().try_for_each(|change| scan.take(change))?;
                scan.reached(history.next_revision() - 1);
            }
            Ok(None) | Err(ReadError::Future(_) | ReadError::GivenUp) => break,
            // What was read before is sent; the next step says that the rest is gone.
            Err(ReadError::Compacted(compact_revision)) => {
                compacted = (scanned == 0).then_some(compact_revision);
                break;
            }
            Err(ReadError::Store(error)) => return Err(error),
        }
    }
    // Nothing newer happened, or a whole batch was read: everything before the next revision is in.
    scan.reached(history.next_revision() - 1);
    Ok(scan.finish(compacted, queues))
}

/// What is found for whom.
struct Scan<'a> {
    jobs: Vec<Job<'a>>,
    /// Who watches a single key.
    keys: BTreeMap<&'a Bytes, Vec<usize>>,
    /// Who watches more.
    ranges: RangeSet<usize>,
    /// Whom the last change is for.
    matched: Vec<usize>,
    /// Jobs that have not found as much as they may.
    open: usize,
    /// Bytes of what was found, once for each change.
    bytes: usize,
    /// Whether there is room for large events.
    has_room: bool,
    through: i64,
}

struct Job<'a> {
    job: &'a CatchUpJob,
    found: Vec<Change>,
    bytes: usize,
    /// Through which revision it has everything, if it has found enough.
    enough: Option<i64>,
    /// Why it gets nothing.
    failed: Option<String>,
}

impl<'a> Scan<'a> {
    fn of(jobs: &[&'a CatchUpJob], has_room: bool) -> Self {
        let mut keys: BTreeMap<&Bytes, Vec<usize>> = BTreeMap::new();
        let mut ranges = RangeSet::default();
        // The first comes to all of it; one that is farther behind would have holes.
        let first = jobs[0].from;
        for (number, job) in jobs.iter().enumerate().filter(|(_, job)| job.from >= first) {
            let start = &job.range.start;
            match &job.range.end {
                RangeEnd::Single => keys.entry(start).or_default().push(number),
                RangeEnd::Before(end) => ranges.insert(start.clone(), Some(end.clone()), number),
                RangeEnd::Open => ranges.insert(start.clone(), None, number),
            }
        }
        let job = |job: &&'a CatchUpJob| Job { job, found: Vec::new(), bytes: 0, enough: None, failed: None };
        let jobs: Vec<_> = jobs.iter().map(job).collect();
        let open = jobs.len();
        Self { jobs, keys, ranges, matched: Vec::new(), open, bytes: 0, has_room, through: first - 1 }
    }

    /// Whether nobody may find more.
    fn is_full(&self) -> bool {
        // Those that are farther behind than the first find nothing.
        self.open == 0 || self.jobs[0].enough.is_some()
    }

    /// Gives a change to those who want it. What it replaced is read from the disk if one of them is shown that.
    fn take(&mut self, change: &Change) -> Result<(), mvcc::Error> {
        let revision = change.revision.main;
        let mut matched = std::mem::take(&mut self.matched);
        matched.extend(self.keys.get(&change.key).into_iter().flatten());
        self.ranges.containing(&change.key, |number| matched.push(number));
        matched.retain(|&number| {
            let job = &self.jobs[number];
            job.enough.is_none() && job.job.from <= revision
        });
        if !matched.is_empty() {
            let change = self.detach(change, &mut matched)?;
            // Encoded once for all, and not by a worker.
            let _ = change.event();
            if let [first, others @ ..] = &matched[..] {
                self.bytes += change.bytes();
                others.iter().for_each(|&number| self.jobs[number].add(change.clone()));
                self.jobs[*first].add(change);
            }
        }
        matched.clear();
        self.matched = matched;
        Ok(())
    }

    /// Returns the change in memory of its own: of what was read, one change in a hundred may be wanted. If nobody can say what the
    /// key was, those who want to know that are failed and left out.
    fn detach(&mut self, change: &Change, matched: &mut Vec<usize>) -> Result<Change, mvcc::Error> {
        if !matched.iter().any(|&number| self.jobs[number].job.prev_kv) {
            return Ok(change.detached());
        }
        match change.detached_with_before() {
            Err(error) if error.is_of_one_value() => {
                let reason = error.to_string();
                matched.retain(|&number| {
                    let job = &mut self.jobs[number];
                    if job.job.prev_kv {
                        self.open -= 1;
                        job.fail(change.revision.main, &reason);
                    }
                    !job.job.prev_kv
                });
                Ok(change.detached())
            }
            detached => detached,
        }
    }

    /// Notes that everything through a revision was given out.
    fn reached(&mut self, through: i64) {
        self.through = through;
        let is_much = !self.has_room || self.bytes >= CATCH_UP_STEP_BYTES_MAX;
        let has_enough = |job: &Job<'_>| {
            let is_little = job.job.is_alone && !is_much && job.found.len() < CATCH_UP_EVENTS_MIN;
            job.bytes >= CATCH_UP_BYTES_MAX && !is_little
        };
        let full = self.jobs.iter_mut().filter(|job| job.enough.is_none() && has_enough(job));
        for job in full {
            job.enough = Some(through);
            self.open -= 1;
        }
    }

    /// Returns what each job has found. `compacted`: nothing could be read, since everything before that revision is gone.
    fn finish(self, compacted: Option<i64>, queues: &Arc<WatchQueues>) -> Vec<Option<CaughtUp>> {
        let (last, first) = (self.through, self.jobs[0].job.from);
        let found = |(number, job): (usize, Job<'_>)| {
            if let Some(compact_revision) = compacted {
                return (number == 0).then_some(CaughtUp::Compacted { compact_revision });
            }
            // The first has had its turn, also if there was nothing; others only if they have got on.
            let is_served = number == 0 || (job.job.from >= first && job.job.from <= last);
            let through = job.enough.unwrap_or(last);
            if let Some(reason) = job.failed {
                return Some(CaughtUp::Failed { reason });
            }
            is_served.then(|| {
                let held = Some(HeldBytes::new(queues, job.bytes));
                CaughtUp::Changes { batch: job.found.into(), through, held }
            })
        };
        self.jobs.into_iter().enumerate().map(found).collect()
    }
}

impl Job<'_> {
    /// Ends it before a revision that it cannot be shown. It gets what it has found first; the next step then fails.
    fn fail(&mut self, revision: i64, reason: &str) {
        self.enough = Some(revision - 1);
        // A revision is never split.
        let is_of_it = |change: &Change| change.revision.main == revision;
        while let Some(change) = self.found.pop_if(|change| is_of_it(change)) {
            self.bytes -= change.bytes();
        }
        if self.found.is_empty() {
            tracing::error!(error = reason, revision, "a watcher cannot be shown what a key was before");
            self.failed = Some(reason.to_owned());
        }
    }

    fn add(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.found.push(change);
    }
}

/// Reads one step for one watcher.
#[cfg(test)]
pub(super) fn read_one(view: &mvcc::View, job: &CatchUpJob) -> Result<CaughtUp, mvcc::Error> {
    let queues = super::tests::room_for(usize::MAX);
    Ok(read(view, &[job], &queues)?.remove(0).expect("whose turn it is gets something"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mvcc::{KeyRange, LeaseId, Options, Store};

    use super::super::tests::room_for;
    use super::*;
    use crate::watch::watcher::{StreamId, WatcherId};

    /// A store whose revisions 2 to 301 are of ten keys in turn, three of a thousand bytes.
    fn store() -> Store {
        let options = Options { history_segment_bytes: 64 << 10, ..Options::default() };
        let mut store = Store::open(Arc::new(wal::SimDisk::new(1)), Path::new("/kv"), options).unwrap();
        for number in 0..300 {
            let mut txn = store.txn();
            let value = vec![b'v'; if number % 10 < 3 { 1000 } else { 10 }];
            txn.put(format!("k{}", number % 10).into(), value.into(), LeaseId(0));
            txn.commit();
            if number % 50 == 0 {
                store.checkpoint().unwrap();
            }
        }
        store
    }

    fn job(watcher: u64, range: KeyRange, from: i64) -> CatchUpJob {
        CatchUpJob {
            stream: StreamId(1),
            watcher: WatcherId(watcher),
            range,
            from,
            is_alone: true,
            prev_kv: false,
        }
    }

    /// The revisions found, and through which.
    fn shown(found: &CaughtUp) -> (Vec<i64>, i64) {
        match found {
            CaughtUp::Changes { batch, through, .. } => {
                (batch.iter().map(|change| change.revision.main).collect(), *through)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Serves jobs in turn, each until it is through; returns what each was given, and in how many steps all were.
    fn served(view: &View, mut jobs: Vec<CatchUpJob>, together: bool) -> (Vec<Vec<i64>>, usize) {
        let newest = view.revision();
        let mut given = vec![Vec::new(); jobs.len()];
        let mut steps = 0;
        while !jobs.is_empty() {
            steps += 1;
            let count = if together { jobs.len() } else { 1 };
            let found =
                read(view, &jobs.iter().take(count).collect::<Vec<_>>(), &room_for(usize::MAX)).unwrap();
            assert!(found[0].is_some(), "whose turn it is gets something");
            let mut later = jobs.split_off(count);
            for (job, found) in jobs.into_iter().zip(found) {
                let Some(found) = found else {
                    later.push(job);
                    continue;
                };
                let (revisions, through) = shown(&found);
                assert!(through >= job.from && revisions.iter().all(|at| (job.from..=through).contains(at)));
                given[job.watcher.0 as usize].extend(revisions);
                if through < newest {
                    later.push(CatchUpJob { from: through + 1, ..job });
                }
            }
            jobs = later;
        }
        (given, steps)
    }

    #[test]
    fn who_is_read_for_with_others_gets_what_it_gets_alone() {
        let store = store();
        let view = store.view();
        let ranges = [
            KeyRange::single("k1"),
            KeyRange::single("k7"),
            KeyRange::between("k2", "k6"),
            KeyRange::all(),
            KeyRange::from("k8"),
            KeyRange::single("absent"),
        ];
        let jobs = || {
            let starts = [2, 2, 40, 150, 299, 7].into_iter().cycle();
            let of =
                |(number, (range, from)): (usize, (&KeyRange, i64))| job(number as u64, range.clone(), from);
            ranges.iter().cycle().take(30).zip(starts).enumerate().map(of).collect::<Vec<_>>()
        };
        let (alone, each) = served(&view, jobs(), false);
        let (together, all) = served(&view, jobs(), true);
        assert_eq!(together, alone);
        assert!(all * 3 < each, "{all} steps for all, {each} for each");
    }

    #[test]
    fn what_a_key_was_and_nobody_knows_ends_those_alone_who_want_to_know_it() {
        let disk = wal::SimDisk::new(1);
        let open = || {
            let options = Options { cache_bytes: 0, ..Options::default() };
            Store::open(Arc::new(disk.clone()), Path::new("/kv"), options).unwrap()
        };
        let put = |store: &mut Store, keys: [&'static str; 2]| {
            let mut txn = store.txn();
            keys.into_iter()
                .for_each(|key| drop(txn.put(key.into(), "a value like no other".into(), LeaseId(0))));
            txn.commit();
        };
        let mut store = open();
        put(&mut store, ["a", "b"]);
        store.checkpoint().unwrap();
        drop(store);
        disk.damage(Path::new("/kv/current.redb"), |content| {
            let wanted = b"a value like no other";
            let places: Vec<_> = (0..content.len()).filter(|&at| content[at..].starts_with(wanted)).collect();
            places.into_iter().for_each(|at| content[at] ^= 1);
        });
        let mut store = open();
        put(&mut store, ["c", "d"]);
        put(&mut store, ["e", "b"]);
        let wants = |number, from| CatchUpJob { prev_kv: true, ..job(number, KeyRange::all(), from) };
        let jobs = [job(0, KeyRange::all(), 2), wants(1, 2), wants(2, 4)];
        for round in 0..2 {
            let view = store.view();
            let found = read(&view, &jobs.iter().collect::<Vec<_>>(), &room_for(usize::MAX)).unwrap();
            assert_eq!(shown(found[0].as_ref().unwrap()), (vec![2, 2, 3, 3, 4, 4], 4), "round {round}");
            // First what there is before it, and not half of a revision.
            assert_eq!(shown(found[1].as_ref().unwrap()), (vec![2, 2, 3, 3], 3), "round {round}");
            match found[2].as_ref().unwrap() {
                CaughtUp::Failed { reason } => assert!(reason.contains("key \"b\""), "{reason}"),
                other => panic!("{other:?}"),
            }
            // Then the history says so.
            store.checkpoint().unwrap();
        }
    }

    #[test]
    fn who_is_farther_behind_than_the_one_whose_turn_it_is_waits_for_its_own() {
        let store = store();
        let (near, far) = (job(0, KeyRange::all(), 250), job(1, KeyRange::all(), 2));
        let found = read(&store.view(), &[&near, &far], &room_for(usize::MAX)).unwrap();
        assert!(found[0].is_some() && found[1].is_none());
    }

    #[test]
    fn what_is_compacted_is_said_to_all_that_want_it() {
        let mut store = store();
        store.compact(100).unwrap();
        let jobs = [job(0, KeyRange::all(), 99), job(1, KeyRange::all(), 2), job(2, KeyRange::all(), 100)];
        let found = read(&store.view(), &jobs.iter().collect::<Vec<_>>(), &room_for(usize::MAX)).unwrap();
        let is_gone =
            |found: &Option<CaughtUp>| matches!(found, Some(CaughtUp::Compacted { compact_revision: 100 }));
        assert!(is_gone(&found[0]) && is_gone(&found[1]) && found[2].is_none());
    }

    /// What etcd sends in one response comes in one step (etcd's `TestWatchFragmentEnable` and its kin).
    #[test]
    fn a_few_large_changes_are_one_step_and_many_small_ones_are_several() {
        let disk = Arc::new(wal::SimDisk::new(1));
        let mut store = Store::open(disk, Path::new("/kv"), Options::default()).unwrap();
        let put = |store: &mut Store, key: &'static str, length: usize, times: usize| {
            for _ in 0..times {
                let mut txn = store.txn();
                txn.put(key.into(), vec![b'v'; length].into(), LeaseId(0));
                txn.commit();
            }
            store.checkpoint().unwrap();
        };
        put(&mut store, "large", 1 << 20, 10);
        put(&mut store, "small", 100, 1000);
        let steps = |key: &'static str| {
            let (mut from, mut counts) = (2, Vec::new());
            while from <= store.revision() {
                let found = read_one(&store.view(), &job(0, KeyRange::single(key), from)).unwrap();
                let (revisions, through) = shown(&found);
                counts.push(revisions.len());
                from = through + 1;
            }
            counts
        };
        let full = room_for(0);
        let _other = HeldBytes::new(&full, 1);
        let found = read(&store.view(), &[&job(0, KeyRange::single("large"), 2)], &full).unwrap();
        let few = shown(found[0].as_ref().unwrap()).0.len();
        assert!(few < 10, "{few}: there is no room for more");
        let is_some = |count: &usize| *count > 0;
        assert_eq!(steps("large").into_iter().filter(is_some).collect::<Vec<_>>(), [10]);
        let small: Vec<usize> = steps("small").into_iter().filter(is_some).collect();
        assert!(small.len() > 2 && small.iter().sum::<usize>() == 1000, "{small:?}");
    }
}
