//! What the store costs, on one thread with checkpoints behind it:
//! `cargo run --release -p quorate-mvcc --example bench -- --keys 1000000 --value 256`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement is about time and threads"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mvcc::{CheckpointJob, Done, KeyRange, LeaseId, Options, RangeQuery, SnapshotImport, Store};

/// Names and numbers of the command line.
struct Arguments {
    keys: u64,
    /// Random updates, first of few keys, then of all.
    updates: Option<u64>,
    value_bytes: usize,
    cache_bytes: usize,
    /// Only fill it.
    fill_only: bool,
    dir: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Self {
        let mut arguments = Self {
            keys: 1_000_000,
            updates: None,
            value_bytes: 256,
            cache_bytes: Options::default().cache_bytes,
            fill_only: false,
            dir: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--fill-only" {
                arguments.fill_only = true;
                continue;
            }
            let value = words.next().unwrap_or_else(|| usage());
            match word.as_str() {
                "--keys" => arguments.keys = value.parse().unwrap_or_else(|_| usage()),
                "--updates" => arguments.updates = Some(value.parse().unwrap_or_else(|_| usage())),
                "--value" => arguments.value_bytes = value.parse().unwrap_or_else(|_| usage()),
                "--cache" => arguments.cache_bytes = value.parse().unwrap_or_else(|_| usage()),
                "--dir" => arguments.dir = Some(value.into()),
                _ => usage(),
            }
        }
        arguments
    }
}

fn usage() -> ! {
    eprintln!(
        "usage: bench [--keys N] [--updates N] [--value BYTES] [--cache BYTES] [--fill-only] [--dir DIRECTORY]"
    );
    std::process::exit(2)
}

/// A store whose checkpoints are made on a thread of their own.
struct Driver {
    store: Store,
    jobs: mpsc::Sender<CheckpointJob>,
    done: mpsc::Receiver<Done>,
    is_running: bool,
    checkpoints: u64,
    /// The longest that one put took.
    slowest: Duration,
    /// Time spent waiting for the disk because too much was in memory.
    stalled: Duration,
}

impl Driver {
    fn new(store: Store) -> Self {
        let (jobs, inbox) = mpsc::channel::<CheckpointJob>();
        let (outbox, done) = mpsc::channel();
        std::thread::spawn(move || {
            for job in inbox {
                if outbox.send(job.run().expect("a checkpoint")).is_err() {
                    return;
                }
            }
        });
        Self {
            store,
            jobs,
            done,
            is_running: false,
            checkpoints: 0,
            slowest: Duration::ZERO,
            stalled: Duration::ZERO,
        }
    }

    fn put(&mut self, key: Bytes, value: Bytes) {
        let start = Instant::now();
        let mut txn = self.store.txn();
        txn.put(key, value, LeaseId(0));
        txn.commit();
        self.slowest = self.slowest.max(start.elapsed());
        self.after_command();
    }

    fn after_command(&mut self) {
        if self.is_running
            && let Ok(done) = self.done.try_recv()
        {
            self.complete(done);
        }
        if self.store.is_checkpoint_due()
            && let Some(job) = self.store.freeze()
        {
            self.is_running = true;
            self.jobs.send(job).expect("the thread lives");
        }
        // A bound, as a server would have it: the disk is slower than memory.
        if self.store.unstored_bytes() > 256 << 20 {
            let start = Instant::now();
            self.drain();
            self.stalled += start.elapsed();
        }
    }

    fn complete(&mut self, done: Done) {
        self.store.complete(done);
        self.is_running = false;
        self.checkpoints += 1;
    }

    fn drain(&mut self) {
        if self.is_running {
            let done = self.done.recv().expect("the thread lives");
            self.complete(done);
        }
    }

    fn checkpoint(&mut self) {
        self.drain();
        self.store.checkpoint().expect("a checkpoint");
    }
}

/// A number of a sequence that jumps about, the same in each run.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("/registry/pods/default/pod-{number:012}"))
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// CPU time of this thread, so that the checkpoint's thread does not count.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// CPU time of the whole process, in steps of 10 ms.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn measure(what: &str, times: u64, work: impl FnOnce()) {
    let (start, cpu, process) = (Instant::now(), thread_cpu(), process_cpu());
    work();
    let (wall, cpu, process) = (start.elapsed(), thread_cpu() - cpu, process_cpu() - process);
    let each = |total: Duration| total.as_secs_f64() * 1e6 / times as f64;
    let (cpu, process, wall) = (each(cpu), each(process), each(wall));
    println!(
        "{what:<44} {cpu:>9.3} us CPU ({process:>9.3} all threads) {wall:>9.3} us {:>6} MB RSS",
        resident_mb()
    );
}

fn main() {
    let arguments = Arguments::parse();
    let dir = arguments
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("mvcc-bench-{}", std::process::id())));
    let disk: Arc<dyn wal::Disk> = Arc::new(wal::OsDisk);
    let options = Options { cache_bytes: arguments.cache_bytes, ..Options::default() };
    let open = || Store::open(disk.clone(), &dir, options).expect("a store");
    let mut driver = Driver::new(open());
    println!(
        "{} keys of 39 bytes with values of {} bytes in {}",
        arguments.keys,
        arguments.value_bytes,
        dir.display()
    );
    fill(&mut driver, &arguments);
    if arguments.fill_only {
        return;
    }
    read(&driver.store, arguments.keys);
    churn(&mut driver, &arguments);
    transfer(&driver.store, disk.clone(), &dir, &arguments);
    let revision = driver.store.revision();
    drop(driver);
    let mut store = None;
    measure("open", 1, || store = Some(open()));
    let store = store.expect("it was opened");
    assert_eq!(store.revision(), revision);
    measure("get, random, right after opening", 10_000, || get(&store, arguments.keys, 10_000));
    measure("range of 1,000 keys, right after opening", 100, || ranges(&store, arguments.keys, 100));
    drop(store);
    if arguments.dir.is_none() {
        let _ = std::fs::remove_dir_all(&dir);
    }
}

fn fill(driver: &mut Driver, arguments: &Arguments) {
    let value = Bytes::from(vec![b'v'; arguments.value_bytes]);
    measure("put, new keys in order", arguments.keys, || {
        (0..arguments.keys).for_each(|number| driver.put(key(number), value.clone()));
    });
    driver.checkpoint();
    report(driver);
}

/// What happened behind the last measurement.
fn report(driver: &mut Driver) {
    let Driver { store, checkpoints, slowest, stalled, .. } = driver;
    println!(
        "  {checkpoints} checkpoints; slowest put {slowest:?}; {stalled:?} waiting for the disk; {} MB of versions, {} MB in files",
        store.db_size() >> 20,
        store.disk_bytes() >> 20
    );
    (driver.slowest, driver.stalled) = (Duration::ZERO, Duration::ZERO);
}

fn read(store: &Store, keys: u64) {
    measure("get, random", 1_000_000, || get(store, keys, 1_000_000));
    measure("get, random among 100,000 keys", 1_000_000, || get(store, keys.min(100_000), 1_000_000));
    measure("range of 1,000 keys (random)", 1000, || ranges(store, keys, 1000));
    let query = RangeQuery::new(KeyRange::from(key(0))).limit(1000);
    measure("range of 1,000 keys (the same)", 1000, || {
        (0..1000).for_each(|_| {
            assert_eq!(store.range(&query).expect("a range").items.len() as u64, keys.min(1000))
        });
    });
    let everything =
        RangeQuery { count_only: true, ..RangeQuery::new(KeyRange::between(key(0), key(keys - 1))) };
    measure("count of all keys but one", 100_000, || {
        (0..100_000).for_each(|_| assert_eq!(store.range(&everything).expect("a count").count, keys - 1));
    });
}

fn get(store: &Store, keys: u64, times: u64) {
    for number in 0..times {
        let found = store.get(&key(scatter(number) % keys)).expect("a get");
        assert!(found.is_some());
    }
}

fn ranges(store: &Store, keys: u64, times: u64) {
    for number in 0..times {
        let start = scatter(number) % keys.saturating_sub(1000).max(1);
        let query = RangeQuery::new(KeyRange::from(key(start))).limit(1000);
        assert_eq!(store.range(&query).expect("a range").items.len() as u64, keys.min(1000));
    }
}

/// A snapshot to another store.
fn transfer(store: &Store, disk: Arc<dyn wal::Disk>, dir: &Path, arguments: &Arguments) {
    let incoming = dir.with_extension("incoming");
    let mut bytes = 0;
    measure("snapshot: export, a key", arguments.keys, || {
        let export = store.snapshot().expect("a checkpoint");
        bytes = export.map(|chunk| chunk.expect("a sound store").len() as u64).sum();
    });
    measure("snapshot: export and import, a key", arguments.keys, || {
        let mut import =
            SnapshotImport::begin(disk.clone(), &incoming, Options::default()).expect("an empty directory");
        let export = store.snapshot().expect("a checkpoint");
        export.for_each(|chunk| import.push(chunk.expect("a sound store")).expect("a sound chunk"));
        import.finish().expect("all chunks");
    });
    println!("  {} MB of snapshot", bytes >> 20);
    let _ = std::fs::remove_dir_all(&incoming);
}

/// Where a limit cuts the items off, the count is what takes the time.
fn counts_at_an_old_revision(store: &Store, updates: u64) {
    let oldest = store.revision() - (2 * updates) as i64 * 3 / 4;
    let measure_range = |what, query: RangeQuery| {
        measure(what, 10, || {
            (0..10).for_each(|_| assert!(store.range(&query).expect("a range").more));
        });
    };
    let all = RangeQuery::new(KeyRange::from(key(0))).at(oldest);
    measure_range("the same, 3/4 of all updates ago", all.clone().limit(1000));
    measure_range("range of 1 key of all, as long ago", all.limit(1));
    let ten = RangeQuery::new(KeyRange::between(key(500), key(510))).at(oldest);
    measure_range("range of 5 keys of 10, as long ago", ten.limit(5));
    count_at(store, "count of all keys, as long ago", oldest);
}

fn count_at(store: &Store, what: &str, at: i64) {
    let keys = store.range(&RangeQuery::new(KeyRange::all()).limit(1)).expect("a range").count;
    let query = RangeQuery { count_only: true, ..RangeQuery::new(KeyRange::all()).at(at) };
    measure(what, 10, || {
        (0..10).for_each(|_| assert_eq!(store.range(&query).expect("a count").count, keys));
    });
}

/// Each ends a life of a key and begins another.
fn deletions(driver: &mut Driver, arguments: &Arguments, times: u64) {
    let value = Bytes::from(vec![b'd'; arguments.value_bytes]);
    let before = driver.store.revision();
    measure("delete and put again, random among all keys", times, || {
        for number in 0..times {
            let key = key(scatter(number) % arguments.keys);
            let mut txn = driver.store.txn();
            txn.delete_range(&KeyRange::single(key.clone()));
            txn.commit();
            driver.put(key, value.clone());
        }
    });
    report(driver);
    count_at(&driver.store, "count of all keys before that", before);
}

fn churn(driver: &mut Driver, arguments: &Arguments) {
    let value = Bytes::from(vec![b'w'; arguments.value_bytes]);
    let updates = arguments.updates.unwrap_or(arguments.keys.min(1_000_000));
    let hot = arguments.keys.min(100_000);
    measure("put, random among 100,000 keys", updates, || {
        (0..updates).for_each(|number| driver.put(key(scatter(number) % hot), value.clone()));
    });
    report(driver);
    measure("put, random among all keys", updates, || {
        (0..updates).for_each(|number| driver.put(key(scatter(number) % arguments.keys), value.clone()));
    });
    report(driver);
    let old = driver.store.revision() - updates as i64 / 2;
    let query = RangeQuery::new(KeyRange::from(key(0))).at(old).limit(1000);
    measure("range of 1,000 keys at an old revision", 20, || {
        (0..20).for_each(|_| drop(driver.store.range(&query).expect("a range")));
    });
    counts_at_an_old_revision(&driver.store, updates);
    let mut history = driver.store.view().history(old);
    measure(
        "history scan, a change",
        updates / 2,
        || while history.next_batch().expect("history").is_some() {},
    );
    measure("hash_kv", 1, || {
        assert_eq!(driver.store.view().hash_kv(None).expect("a hash").hash_revision, driver.store.revision())
    });
    deletions(driver, arguments, updates / 2);
    driver.store.compact(driver.store.revision()).expect("a compaction");
    measure("put, random, while all that is compacted", updates / 4, || {
        (0..updates / 4).for_each(|number| driver.put(key(scatter(number) % hot), value.clone()));
    });
    report(driver);
    measure("checkpoint with compaction", 1, || driver.checkpoint());
    report(driver);
}
