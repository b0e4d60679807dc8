//! How fast a full backup and pieces are written, read back and restored from, and in how much
//! memory.
//!
//! `cargo run --release -p quorate-archive --example archive_throughput [KEYS [CHANGES]]`: a store
//! with so many keys (200,000 by default) in values of 1 KiB, and after a full backup so many
//! changes (half as many). The archive is in a temporary directory, on the disk that `TMPDIR` is
//! on.

use std::cell::RefCell;
use std::error::Error;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::{Address, Event, Keep, Keeper, Reign, S3Options, Settings, Source, Stop, Wanted};
use backup::Frozen;
use machine::{Applied, Machine};
use mvcc::{Options, View};
use proto::etcdserverpb::{InternalRaftRequest, PutRequest};
use wal::OsDisk;

const CLUSTER: u64 = 1;
const HOUR: u64 = 3_600_000;

/// Changes between two checkpoints.
const CHECKPOINT: u64 = 10_000;

struct Lone(Rc<RefCell<Machine>>);

impl Source for Lone {
    fn leads(&self) -> Option<Reign> {
        Some(Reign { term: 1, store: 0 })
    }

    fn catch_up(&self) -> Result<(), String> {
        Ok(())
    }

    fn freeze(&self) -> Result<Frozen, String> {
        Ok(Frozen::of(&self.0.borrow(), |_| None))
    }

    fn view(&self) -> View {
        self.0.borrow().view()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let keys: u64 = arguments.next().map_or(Ok(200_000), |keys| keys.parse())?;
    let changes: u64 = arguments.next().map_or(Ok(keys / 2), |changes| changes.parse())?;
    let place = tempfile::tempdir()?;
    let store = mvcc::Store::open(Arc::new(OsDisk), &place.path().join("kv"), Options::default())?;
    let machine = Rc::new(RefCell::new(Machine::open(store)?));
    let mut index = 0;
    put(&machine, &mut index, keys, keys)?;
    let address = Address::Directory(place.path().join("archive"));
    let open = || address.open(&S3Options::default(), Stop::never());
    let settings = Settings {
        cluster: CLUSTER,
        member: 1,
        version: "example".to_owned(),
        interval: Duration::from_secs(86_400),
        piece_interval: Some(Duration::from_secs(1)),
        keep: Keep::Count(1),
        spool_dir: place.path().to_owned(),
    };
    let mut keeper = Keeper::new(Lone(machine.clone()), open()?, settings);
    let mut now = HOUR;
    println!("memory before: {} MiB", peak_mib());
    timed("full backup, read back", &mut keeper, now);
    put(&machine, &mut index, changes, keys)?;
    now += 10_000;
    timed("pieces, read back", &mut keeper, now);
    let mut file =
        File::options().read(true).write(true).create(true).truncate(true).open(place.path().join("out"))?;
    let started = Instant::now();
    let extracted = archive::extract(&*open()?, CLUSTER, Wanted::Newest, place.path(), &mut file)?;
    let bytes = file.metadata()?.len();
    show("extracted", bytes, started.elapsed());
    println!("revision {}; memory at most {} MiB", extracted.revision, peak_mib());
    Ok(())
}

/// Puts keys in turn, and stores them.
fn put(machine: &RefCell<Machine>, index: &mut u64, puts: u64, keys: u64) -> Result<(), Box<dyn Error>> {
    for number in 0..puts {
        *index += 1;
        let key = format!("registry/pods/default/pod-{:010}", number % keys * 1_000_003 % keys);
        let put = PutRequest { key: key.into(), value: vec![b'v'; 1024].into(), ..PutRequest::default() };
        let command = InternalRaftRequest { put: Some(put), ..InternalRaftRequest::default() };
        let mut machine = machine.borrow_mut();
        machine.apply(Applied { index: *index, term: 1 }, &command)?;
        if (*index).is_multiple_of(CHECKPOINT) || number + 1 == puts {
            let store = machine.store_mut();
            if let Some(job) = store.freeze() {
                let done = job.run()?;
                store.complete(done);
            }
        }
    }
    Ok(())
}

fn timed(what: &str, keeper: &mut Keeper<Lone>, now: u64) {
    let (mut bytes, started) = (0, Instant::now());
    keeper.turn(now, &mut |event| match event {
        Event::Full { bytes: more, .. } | Event::Piece { bytes: more, .. } => bytes += more,
        Event::Failed { error, .. } => println!("failed: {error}"),
        _ => {}
    });
    show(what, bytes, started.elapsed());
}

fn show(what: &str, bytes: u64, took: Duration) {
    let rate = bytes as f64 / took.as_secs_f64() / 1e6;
    println!("{what}: {:.1} MB in {:.2} s, {rate:.0} MB/s", bytes as f64 / 1e6, took.as_secs_f64());
}

/// The most memory that this process has had.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
