//! Snapshots: what is exported is imported as the same store, whatever goes on meanwhile, and nothing else ever is.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod model;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use model::strategies::{op, range};
use model::{Command, Model, Op, check};
use mvcc::snapshot::{ImportError, discard_incoming, incoming_dir, replace_store};
use mvcc::*;
use proptest::prelude::*;
use wal::{Crash, Disk, Fault, SimDisk};

const CHUNK_BYTES: usize = 700;

#[allow(clippy::disallowed_methods, reason = "the test's size is the environment's affair")]
fn budget() -> u32 {
    std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|budget| budget.parse().ok()).unwrap_or(1)
}

/// The exporting member's: small segments, so that there are runs.
fn options() -> Options {
    Options { cache_bytes: 1000, checkpoint_bytes: 1 << 20, history_segment_bytes: 8 << 10, identity: [1, 2] }
}

/// The importing member's, whose segments have another length.
fn importer() -> Options {
    Options { history_segment_bytes: 12 << 10, identity: [1, 3], ..options() }
}

fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new("/data/kv"), options()).unwrap()
}

fn open_imported(disk: &SimDisk, dir: &Path) -> Store {
    Store::open(Arc::new(disk.clone()), dir, importer()).unwrap()
}

fn import_dir() -> PathBuf {
    incoming_dir(Path::new("/data"), 1)
}

fn begin(disk: &SimDisk) -> Result<SnapshotImport, Error> {
    SnapshotImport::begin(Arc::new(disk.clone()), &import_dir(), importer())
}

fn import(disk: &SimDisk, chunks: &[Bytes]) -> Result<SnapshotId, ImportError> {
    let mut import = begin(disk)?;
    for chunk in chunks {
        import.push(chunk.clone())?;
    }
    import.finish()
}

fn chunks_of(store: &Store) -> Vec<Bytes> {
    store.snapshot().unwrap().with_chunk_bytes(CHUNK_BYTES).map(Result::unwrap).collect()
}

/// A store with the number of the last command it had, and its model.
struct Source {
    disk: SimDisk,
    store: Store,
    model: Model,
}

impl Source {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        Self { store: open(&disk), disk, model: Model::default() }
    }

    fn command(&mut self, command: &Command) {
        self.model.apply(command);
        Model::command(&mut self.store, command, self.model.commands);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Command(command) => self.command(command),
            Step::Compact(part) => {
                let revision = self.model.revision() * (i64::from(*part) + 1) / 256;
                self.command(&Command::Compact(revision));
            }
            Step::Checkpoint => self.store.checkpoint().unwrap(),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Command(Command),
    /// Compact at so many 256ths of the revisions.
    Compact(u8),
    Checkpoint,
}

fn step() -> impl Strategy<Value = Step> {
    let row = || prop::sample::select(vec![b"x".to_vec(), b"y".to_vec(), vec![0; 300]]);
    let large = (any::<u8>(), 0..3000usize).prop_map(|(byte, length)| {
        vec![Op::Put { key: vec![byte], value: vec![byte; length], lease: i64::from(byte) }]
    });
    prop_oneof![
        20 => op().prop_map(|op| Step::Command(Command::Txn(vec![op]))),
        3 => large.prop_map(|ops| Step::Command(Command::Txn(ops))),
        4 => prop::collection::vec(op(), 2..12).prop_map(|ops| Step::Command(Command::Txn(ops))),
        2 => (0..3u8, row(), row()).prop_map(|(table, key, value)| Step::Command(Command::SidePut(table, key, value))),
        1 => (0..3u8, row()).prop_map(|(table, key)| Step::Command(Command::SideDelete(table, key))),
        1 => any::<u8>().prop_map(Step::Compact),
        2 => Just(Step::Checkpoint),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24 * budget(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_imported_is_the_checkpoint_whatever_the_source_does_meanwhile(
        before in prop::collection::vec(step(), 0..150),
        meanwhile in prop::collection::vec(step(), 0..150),
        mut ranges in prop::collection::vec(range(), 2),
    ) {
        ranges.push(KeyRange::all());
        let mut source = Source::new();
        before.iter().for_each(|step| source.step(step));
        source.store.checkpoint().unwrap();
        let (model, state_hash) = (source.model.clone(), source.store.state_hash());
        let undisturbed = chunks_of(&source.store);

        let export = source.store.snapshot().unwrap().with_chunk_bytes(CHUNK_BYTES);
        let id = export.id();
        prop_assert_eq!((id.applied, id.state_hash), (source.store.applied(), state_hash));
        let mut chunks = Vec::new();
        let mut steps = meanwhile.iter();
        for chunk in export {
            chunks.push(chunk.unwrap());
            steps.by_ref().take(meanwhile.len() / undisturbed.len() + 1).for_each(|step| source.step(step));
        }
        prop_assert!(chunks == undisturbed, "the chunks follow from the checkpoint alone");

        let disk = SimDisk::new(2);
        prop_assert_eq!(import(&disk, &chunks).unwrap(), id);
        let disk = disk.crash(Crash::LoseAll);
        let mut store = open_imported(&disk, &import_dir());
        prop_assert_eq!((store.applied(), store.state_hash()), (id.applied, state_hash));
        check(&store, &model, &ranges, 0..=model.revision());
        // Of the same checkpoint every member makes the same chunks.
        prop_assert!(chunks_of(&store) == chunks, "an imported store exports the same");
        // It goes on like any other.
        let mut model = model;
        for step in &meanwhile {
            let command = match step {
                Step::Command(command) => command.clone(),
                Step::Compact(part) => Command::Compact(model.revision() * (i64::from(*part) + 1) / 256),
                Step::Checkpoint => { store.checkpoint().unwrap(); continue }
            };
            model.apply(&command);
            Model::command(&mut store, &command, model.commands);
        }
        check(&store, &model, &ranges, 0..=model.revision());
        store.checkpoint().unwrap();
        drop(store);
        check(&open_imported(&disk.restart(), &import_dir()), &model, &ranges, 0..=model.revision());
    }
}

/// A store with something of everything in several runs.
fn filled(rounds: usize) -> Source {
    let mut source = Source::new();
    let put = |key: usize, len: usize| Op::Put {
        key: format!("key{key:02}").into_bytes(),
        value: vec![len as u8; len],
        lease: (key % 3) as i64,
    };
    for round in 0..rounds {
        for number in 0..60 {
            source.command(&Command::Txn(vec![put((number * 7 + round) % 29, 20 + number)]));
        }
        let delete = Op::Delete(KeyRange::prefix(format!("key{round}")));
        source.command(&Command::Txn(vec![delete, put(20 + round, 900), put(1, 3)]));
        source.command(&Command::SidePut(round as u8 % 3, vec![round as u8; 40], vec![7; 50]));
        source.command(&Command::Compact(round as i64 * 30));
        source.store.checkpoint().unwrap();
    }
    source
}

#[test]
fn a_transfer_goes_on_where_it_broke_off() {
    let source = filled(4);
    let chunks = chunks_of(&source.store);
    assert!(chunks.len() > 20, "{} chunks", chunks.len());
    for broken_at in [0, 1, chunks.len() / 2, chunks.len() - 1, chunks.len()] {
        let disk = SimDisk::new(2);
        let mut import = begin(&disk).unwrap();
        chunks[..broken_at].iter().for_each(|chunk| import.push(chunk.clone()).unwrap());
        assert_eq!(import.next_chunk() as usize, broken_at);
        let mut again = source.store.snapshot().unwrap().with_chunk_bytes(CHUNK_BYTES);
        assert!(import.id().is_none_or(|id| id == again.id()));
        again.skip_to(import.next_chunk()).unwrap();
        assert_eq!(again.next_chunk(), import.next_chunk());
        again.for_each(|chunk| import.push(chunk.unwrap()).unwrap());
        assert!(import.is_complete());
        import.finish().unwrap();
        let imported = open_imported(&disk, &import_dir());
        assert_eq!(imported.state_hash(), source.store.state_hash());
    }
}

#[test]
fn a_chunk_that_is_damaged_or_not_the_next_one_is_refused_and_the_right_one_is_taken_then() {
    let source = filled(2);
    let chunks = chunks_of(&source.store);
    let disk = SimDisk::new(2);
    let mut import = begin(&disk).unwrap();
    for (number, chunk) in chunks.iter().enumerate() {
        let step = (chunk.len() * 8 / (60 * budget() as usize)).max(1);
        for bit in (0..chunk.len() * 8).step_by(step) {
            let mut damaged = chunk.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let refused = import.push(damaged.into());
            assert!(matches!(refused, Err(ImportError::Chunk { .. })), "bit {bit} of chunk {number}");
        }
        let other = chunks[(number + 1) % chunks.len()].clone();
        assert!(matches!(import.push(other), Err(ImportError::Chunk { .. })));
        assert!(import.push(chunk.slice(..chunk.len() - 1)).is_err());
        import.push(chunk.clone()).unwrap();
    }
    assert!(import.push(chunks[0].clone()).is_err(), "nothing follows the end");
    import.finish().unwrap();
    assert_eq!(open_imported(&disk, &import_dir()).state_hash(), source.store.state_hash());
}

/// A chunk with this payload that is in order but for its content.
fn signed(number: u32, payload: &[u8]) -> Bytes {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(payload);
    [&number.to_le_bytes()[..], &crc.finalize().to_le_bytes(), payload].concat().into()
}

#[test]
fn content_that_was_changed_before_its_checksum_was_made_is_refused_too() {
    let source = filled(2);
    let chunks = chunks_of(&source.store);
    for (number, chunk) in chunks.iter().enumerate() {
        let payload = &chunk[8..];
        for byte in (0..payload.len()).step_by(37 / budget().min(36) as usize) {
            let mut changed = payload.to_vec();
            changed[byte] = changed[byte].wrapping_add(1 + byte as u8 % 3);
            let mut forged = chunks.clone();
            forged[number] = signed(number as u32, &changed);
            assert!(import(&SimDisk::new(2), &forged).is_err(), "byte {byte} of chunk {number}");
        }
    }
}

#[test]
fn an_import_without_its_end_is_no_store() {
    let source = filled(1);
    let chunks = chunks_of(&source.store);
    let disk = SimDisk::new(2);
    for length in 0..chunks.len() {
        assert!(matches!(import(&disk, &chunks[..length]), Err(ImportError::Chunk { .. })));
        let refused = replace_store(&disk, Path::new("/data/kv"), &import_dir());
        assert!(matches!(refused, Err(Error::Corrupt { .. })));
    }
}

#[test]
fn after_a_crash_at_any_point_of_an_import_there_is_the_whole_store_or_none() {
    let source = filled(2);
    let chunks = chunks_of(&source.store);
    let operations = {
        let disk = SimDisk::new(3);
        import(&disk, &chunks).unwrap();
        disk.operations()
    };
    let mut whole = 0;
    let is_tried = |halt: &u64| budget() > 1 || halt.is_multiple_of(3) || halt + 5 > operations;
    for halt in (0..=operations).filter(is_tried) {
        let disk = SimDisk::new(3);
        disk.halt_after(halt);
        let result = import(&disk, &chunks);
        for crash in [Crash::LoseAll, Crash::KeepAll, Crash::Random(halt), Crash::TearLast(halt)] {
            let disk = disk.crash(crash);
            if disk.exists(&import_dir().join("current.redb")).unwrap() {
                whole += 1;
                let store = open_imported(&disk, &import_dir());
                check(&store, &source.model, &[KeyRange::all()], [60, source.model.revision()].into_iter());
            } else {
                assert!(result.is_err(), "what is finished is durable: {crash:?} after {halt}");
            }
            discard_incoming(&disk, Path::new("/data")).unwrap();
            assert_eq!(disk.crash(Crash::LoseAll).files(), Vec::<PathBuf>::new());
            import(&disk, &chunks).unwrap();
        }
    }
    assert!(whole > 0);
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let source = filled(2);
    let chunks = chunks_of(&source.store);
    let disk = SimDisk::new(2);
    for room in (0..20).map(|number| number * 10_000) {
        disk.set_capacity(Some(room));
        match import(&disk, &chunks) {
            Err(ImportError::Store(error)) => assert!(error.is_retryable(), "{room}: {error}"),
            other => panic!("{room}: {other:?}"),
        }
        discard_incoming(&disk, Path::new("/data")).unwrap();
    }
    disk.set_capacity(None);
    import(&disk, &chunks).unwrap();
}

#[test]
fn a_damaged_source_is_an_error_and_never_shipped() {
    let source = filled(3);
    let chunks = chunks_of(&source.store);
    let model = source.model.clone();
    let disk = source.disk.clone();
    drop(source);
    std::panic::set_hook(Box::new(|info| {
        if info.location().is_some_and(|location| !location.file().contains("redb")) {
            eprintln!("{info}");
        }
    }));
    let (mut flips, mut noticed) = (0, 0);
    for path in disk.files() {
        let bits = disk.content(&path).unwrap().len() * 8;
        for bit in (0..bits).step_by((bits / (60 * budget() as usize)) | 1) {
            let damaged = disk.fork();
            damaged.damage(&path, |content| content[bit / 8] ^= 1 << (bit % 8));
            let Ok(store) = Store::open(Arc::new(damaged), Path::new("/data/kv"), options()) else {
                continue;
            };
            flips += 1;
            assert_eq!(store.revision(), model.revision());
            let exported: Result<Vec<Bytes>, Error> = match store.snapshot() {
                Ok(export) => export.with_chunk_bytes(CHUNK_BYTES).collect(),
                Err(error) => Err(error),
            };
            match exported {
                Ok(exported) => assert!(exported == chunks, "bit {bit} of {path:?} was shipped"),
                Err(_) => noticed += 1,
            }
        }
    }
    drop(std::panic::take_hook());
    assert!(noticed * 10 > flips, "{noticed} of {flips} flips were noticed: the check checks nothing");
}

/// A disk with an old store, and a new one imported beside it.
fn with_import(old: &Source, chunks: &[Bytes]) -> SimDisk {
    let disk = old.disk.crash(Crash::LoseAll);
    import(&disk, chunks).unwrap();
    disk.restart()
}

#[test]
fn after_a_crash_at_any_point_of_a_replacement_there_is_the_old_store_or_the_new_one() {
    let (old, new) = (filled(1), filled(3));
    let chunks = chunks_of(&new.store);
    let dir = Path::new("/data/kv");
    let operations = {
        let disk = with_import(&old, &chunks);
        replace_store(&disk, dir, &import_dir()).unwrap();
        disk.operations()
    };
    let (mut olds, mut news) = (0, 0);
    for halt in 0..=operations {
        let disk = with_import(&old, &chunks);
        disk.halt_after(halt);
        let replaced = replace_store(&disk, dir, &import_dir()).is_ok();
        let random = (0..4 * u64::from(budget())).map(Crash::Random);
        for crash in [Crash::LoseAll, Crash::KeepAll].into_iter().chain(random) {
            let disk = disk.crash(crash);
            // Another crash while the first is being settled changes nothing.
            let again = disk.fork();
            again.halt_after(halt % 3);
            drop(Store::open(Arc::new(again.clone()), dir, importer()));
            for disk in [disk, again.crash(crash)] {
                let is_old = Store::open(Arc::new(disk.clone()), dir, options()).is_ok();
                let (options, source) = if is_old { (options(), &old) } else { (importer(), &new) };
                let store = Store::open(Arc::new(disk.clone()), dir, options).unwrap();
                assert_eq!(store.state_hash(), source.store.state_hash(), "{crash:?} after {halt}");
                assert!(!(is_old && replaced), "a replacement that is done is durable");
                *(if is_old { &mut olds } else { &mut news }) += 1;
                drop(store);
                discard_incoming(&disk, Path::new("/data")).unwrap();
                let strays = disk.files().into_iter().filter(|path| !path.starts_with(dir)).count();
                assert_eq!(strays, 0, "{:?}", disk.files());
            }
        }
    }
    assert!(olds > 10 && news > 10, "{olds} old ones, {news} new ones");
}

#[test]
fn a_store_is_replaced_again_and_again_and_where_there_was_none() {
    let (first, second) = (filled(1), filled(2));
    let disk = SimDisk::new(5);
    let dir = Path::new("/data/kv");
    for source in [&first, &second, &first] {
        import(&disk, &chunks_of(&source.store)).unwrap();
        replace_store(&disk, dir, &import_dir()).unwrap();
        let mut store = open_imported(&disk, dir);
        assert_eq!(store.state_hash(), source.store.state_hash());
        Model::command(&mut store, &Command::SidePut(1, vec![9], vec![9]), source.model.commands + 1);
        store.checkpoint().unwrap();
    }
}

#[test]
fn it_is_the_same_on_the_disk_of_the_operating_system() {
    let source = filled(2);
    let parent = tempfile::tempdir().unwrap();
    let (dir, incoming) = (parent.path().join("kv"), incoming_dir(parent.path(), 7));
    let disk = Arc::new(wal::OsDisk);
    for _ in 0..2 {
        // The second one replaces the first.
        let mut import = SnapshotImport::begin(disk.clone(), &incoming, importer()).unwrap();
        chunks_of(&source.store).into_iter().for_each(|chunk| import.push(chunk).unwrap());
        import.finish().unwrap();
        replace_store(&*disk, &dir, &incoming).unwrap();
        let store = Store::open(disk.clone(), &dir, importer()).unwrap();
        check(&store, &source.model, &[KeyRange::all()], [40, source.model.revision()].into_iter());
    }
    let unfinished = SnapshotImport::begin(disk.clone(), &incoming, importer()).unwrap();
    drop(unfinished);
    discard_incoming(&*disk, parent.path()).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["kv"]);
}

#[test]
fn an_export_that_outlives_its_database_says_so() {
    let mut source = filled(2);
    let mut export = source.store.snapshot().unwrap().with_chunk_bytes(CHUNK_BYTES);
    let expected = chunks_of(&source.store);
    let first = export.next().unwrap().unwrap();
    // redb is opened anew when it has run out of space, and then writes over what the export reads.
    source.command(&Command::Txn(vec![Op::Put { key: b"a".to_vec(), value: vec![1; 3000], lease: 0 }]));
    source.disk.inject_after(Fault::WriteNoSpace, 3);
    while source.store.checkpoint().is_ok() {
        source.command(&Command::Txn(vec![Op::Put { key: b"a".to_vec(), value: vec![2; 3000], lease: 0 }]));
    }
    for number in 0..40 {
        source.command(&Command::Txn(vec![Op::Put { key: vec![number], value: vec![3; 3000], lease: 0 }]));
        source.store.checkpoint().unwrap();
    }
    let mut exported = vec![first];
    for chunk in export {
        match chunk {
            Ok(chunk) => exported.push(chunk),
            Err(error) => return assert!(matches!(error, Error::Outdated), "{error}"),
        }
    }
    assert!(exported == expected, "what is written over is not shipped");
}

/// A receiver that takes its time must not make the database grow: pages that are freed meanwhile are used again.
#[test]
fn a_database_does_not_grow_by_what_is_written_while_somebody_reads_a_snapshot() {
    let options = Options { cache_bytes: 0, ..options() };
    let disk = SimDisk::new(1);
    let mut store = Store::open(Arc::new(disk.clone()), Path::new("/data/kv"), options).unwrap();
    let keys = 200;
    let write = |store: &mut Store, round: usize| {
        for number in 0..keys {
            let mut txn = store.txn();
            let value = vec![round as u8; 2000];
            txn.put(format!("{number:04}").into(), value.into(), LeaseId(0));
            txn.commit();
        }
        store.checkpoint().unwrap();
    };
    let file_bytes = || disk.content(Path::new("/data/kv/current.redb")).unwrap().len();
    (0..4).for_each(|round| write(&mut store, round));
    let settled = file_bytes();
    let then =
        store.snapshot().unwrap().with_chunk_bytes(CHUNK_BYTES).map(Result::unwrap).collect::<Vec<_>>();

    let mut slow = store.snapshot().unwrap().with_chunk_bytes(CHUNK_BYTES);
    let mut received: Vec<_> = slow.by_ref().take(10).map(Result::unwrap).collect();
    (4..24).for_each(|round| write(&mut store, round));
    assert!(file_bytes() <= settled, "{settled} bytes became {}", file_bytes());
    received.extend(slow.map(Result::unwrap));
    assert!(received == then, "it is the same snapshot, byte by byte");
}
