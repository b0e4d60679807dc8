//! The durable log against a disk that crashes at every operation, loses, reorders and tears what was not synced.
//!
//! Whatever happens, a reopened log shows what was acknowledged, and of what was under way a state that it went
//! through; never anything else.

mod commit;
mod full_disk;
mod inspect;
mod members;
mod start_over;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use raft::durable::{Error, Log, Opened, Options};
use raft::{
    Config, Entry, EntryId, Fetch, FetchPurpose, HardState, Incarnation, Index, Membership, Node, NodeId,
    Payload, Persist, Restored, SnapshotMeta, Term,
};
use wal::{Crash, Fault, SimDisk};

const DIR: &str = "/raft";
const IDENTITY: [u64; 2] = [0xc0ffee, 1];

fn options() -> Options {
    Options {
        identity: IDENTITY,
        segment_bytes: 4 * wal::SEGMENT_BYTES_MIN,
        tail_bytes_max: 1000,
        membership: Membership::new([NodeId(1)], []),
        incarnation: Incarnation(1),
    }
}

fn open(disk: &SimDisk) -> Result<Opened, Error> {
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options())
}

/// A `Persist` cannot be made outside of a node, so a node makes them: one that follows whoever leads it.
struct Follower {
    node: Node,
    term: Term,
    last: EntryId,
    /// What its leader says is committed.
    commit: Index,
}

/// What a log shows.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    hard_state: HardState,
    base: EntryId,
    entries: Vec<Entry>,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} base {} entries", self.hard_state, self.base)?;
        self.entries.iter().try_for_each(|entry| write!(f, " {}", entry.id()))
    }
}

fn show(log: &mut Log) -> Shown {
    let fetch = Fetch {
        purpose: FetchPurpose::Apply,
        first: log.base().index.next(),
        last: log.last().index,
        bytes_max: usize::MAX,
    };
    let entries = if fetch.first > fetch.last {
        Vec::new()
    } else {
        log.fetch(&fetch).expect("entries of the log").run().expect("intact entries")
    };
    assert_eq!(entries.len() as u64, log.last().index.since(log.base().index), "every entry can be read");
    Shown { hard_state: log.hard_state(), base: log.base(), entries }
}

impl Follower {
    fn new(restored: Restored) -> Follower {
        let term = restored.hard_state.term;
        let (last, commit) = (restored.terms.last(), restored.commit);
        Follower { node: Node::new(Config::new(NodeId(1), 1), restored), term, last, commit }
    }

    /// Appends after `keep` (truncating what follows) `count` entries of the follower's term, or of the next one.
    fn append(&mut self, keep: EntryId, count: usize, new_term: bool, bytes: usize) -> Persist {
        self.term = if new_term { self.term.next() } else { self.term };
        let entry = |place: usize| Entry {
            term: self.term,
            index: keep.index.plus(place + 1),
            payload: Payload::Command(Bytes::from(vec![place as u8; bytes])),
        };
        let entries: Vec<Entry> = (0..count).map(entry).collect();
        self.last = entries.last().map_or(keep, Entry::id);
        let body =
            raft::Body::Append { session: raft::Session(1), previous: keep, entries, commit: self.commit };
        let message = raft::Message {
            from: NodeId(2),
            incarnation: Incarnation(1),
            to: NodeId(1),
            term: self.term,
            body,
        };
        self.node.step(message).expect("a sound message");
        self.node.ready().and_then(|ready| ready.persist).expect("something to persist")
    }
}

/// Splitmix64, as elsewhere: one seed, one history.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// What the log may show after a crash now: any of these. And what was ever committed: of nothing else may it say so.
struct Allowed(Vec<Shown>, Vec<EntryId>);

impl Allowed {
    fn now(&self) -> Shown {
        self.0.last().expect("at least one state").clone()
    }

    fn may(&mut self, change: impl FnOnce(&mut Shown)) {
        let mut next = self.now();
        change(&mut next);
        self.0.push(next);
    }

    /// Only the newest: it was acknowledged.
    fn must(&mut self) {
        self.0.drain(..self.0.len() - 1);
    }

    /// A piece of work begins: the hard state may get to the disk before entries that were appended earlier and not
    /// synced.
    fn persist(&mut self, persist: &Persist) {
        if let Some(hard_state) = persist.hard_state {
            let with = |shown: &Shown| Shown { hard_state, ..shown.clone() };
            let more: Vec<Shown> = self.0.iter().map(with).collect();
            self.0.extend(more);
        }
        if let Some(first) = persist.truncate_from {
            self.may(|shown| shown.entries.retain(|entry| entry.index < first));
        }
        for entry in &persist.entries {
            self.may(|shown| shown.entries.push(entry.clone()));
        }
    }

    /// Everything up to `commit` is committed, as the log is when what is under way is done.
    fn committed(&mut self, commit: Index) {
        let now = self.now();
        let names = now.entries.iter().filter(|entry| entry.index <= commit).map(Entry::id);
        self.1.extend(names);
    }

    /// Checks what a start finds as committed: by name, for the same index may hold another entry.
    fn check_commit(&self, restored: &Restored, case: &str) {
        for index in restored.terms.base().index.0 + 1..=restored.commit.0 {
            let term = restored.terms.at(Index(index)).expect("what is committed is in the log");
            let found = EntryId::new(Index(index), term);
            assert!(self.1.contains(&found), "{case}: {found} was never committed");
        }
    }

    /// The piece is appended: its hard state and its truncation are durable.
    fn appended(&mut self, persist: &Persist) {
        let now = self.now();
        self.0.retain(|shown| shown.hard_state == now.hard_state);
        if persist.truncate_from.is_some() {
            self.0.drain(..self.0.len() - 1 - persist.entries.len());
        }
    }
}

/// Does random things to a log until the disk stops; what it may show afterwards.
fn work(disk: &SimDisk, seed: u64, steps: usize) -> Option<Allowed> {
    let mut random = Random(seed);
    let mut log = open(disk).ok()?.log;
    let mut allowed = Allowed(vec![show(&mut log)], Vec::new());
    let mut follower = Follower::new(log.restore(Index::ZERO).expect("a new log"));
    let mut resets = 0;
    for _ in 0..steps {
        let done = match random.below(10) {
            0..6 => append(&mut log, &mut follower, &mut allowed, &mut random),
            6 => release(&mut log, &follower, &mut allowed, &mut random),
            7 if resets == 0 && random.below(3) == 0 => {
                resets += 1;
                reset(&mut log, &mut follower, &mut allowed)
            }
            _ => log.sync().map(|_| allowed.must()),
        };
        if done.is_err() {
            return Some(allowed);
        }
    }
    Some(allowed)
}

fn append(
    log: &mut Log,
    follower: &mut Follower,
    allowed: &mut Allowed,
    random: &mut Random,
) -> Result<(), Error> {
    let shown = allowed.now();
    let truncates = random.below(4) == 0;
    // What is committed is never cut off.
    let final_entries = shown.entries.iter().filter(|entry| entry.index <= follower.commit).count();
    let may_go = (shown.entries.len() - final_entries) as u64;
    let keep =
        if truncates { final_entries + random.below(may_go + 1) as usize } else { shown.entries.len() };
    let keep = shown.entries[..keep].last().map_or(shown.base, Entry::id);
    let new_term = truncates || follower.term == Term(0) || random.below(4) == 0;
    let count = 1 + random.below(4) as usize;
    // Often with what is to be written only now, or with what is to be cut off first.
    if random.below(2) == 0 {
        let last = keep.index.plus(count);
        follower.commit = Index(last.0 - random.below(last.since(follower.commit) + 1));
    }
    let persist = follower.append(keep, count, new_term, random.below(3000) as usize);
    allowed.persist(&persist);
    allowed.committed(follower.commit);
    log.append(&persist)?;
    allowed.appended(&persist);
    if random.below(2) == 0 {
        log.sync()?;
        allowed.must();
    }
    Ok(())
}

fn release(
    log: &mut Log,
    follower: &Follower,
    allowed: &mut Allowed,
    random: &mut Random,
) -> Result<(), Error> {
    log.sync()?;
    allowed.must();
    let shown = allowed.now();
    let committed = shown.entries.iter().filter(|entry| entry.index <= follower.commit).count();
    let through = random.below(committed as u64 + 1) as usize;
    let Some(base) = shown.entries[..through].last().map(Entry::id) else { return Ok(()) };
    allowed.may(|shown| {
        shown.base = base;
        shown.entries.drain(..through);
    });
    log.release(base.index)?;
    allowed.must();
    Ok(())
}

fn reset(log: &mut Log, follower: &mut Follower, allowed: &mut Allowed) -> Result<(), Error> {
    log.sync()?;
    allowed.must();
    // The core installs no snapshot that its log reaches and agrees with.
    let last = EntryId::new(log.last().index.plus(5), follower.term);
    allowed.may(|shown| {
        shown.base = last;
        shown.entries.clear();
    });
    log.reset_to(&SnapshotMeta { last, membership: Membership::new([NodeId(1)], []) })?;
    allowed.must();
    let restored = log.restore(last.index).expect("state and log meet at the snapshot");
    *follower = Follower::new(restored);
    Ok(())
}

#[test]
fn a_crash_at_any_operation_shows_what_was_acknowledged_and_nothing_else() {
    let (mut images, mut commits) = (0, 0);
    for seed in 0..12 {
        let whole = SimDisk::new(seed);
        work(&whole, seed, 30);
        for operations in 0..whole.operations() {
            let disk = SimDisk::new(seed);
            disk.halt_after(operations);
            let allowed = work(&disk, seed, 30);
            let crashes =
                [Crash::LoseAll, Crash::KeepAll, Crash::Random(operations), Crash::TearLast(operations)];
            for crash in crashes {
                images += 1;
                let after = disk.crash(crash);
                let case = format!("seed {seed}, {operations} operations, {crash:?}");
                let mut log = open(&after).unwrap_or_else(|error| panic!("{case}: {error}")).log;
                let shown = show(&mut log);
                if let Some(allowed) = &allowed {
                    let states: Vec<String> = allowed.0.iter().map(Shown::to_string).collect();
                    assert!(allowed.0.contains(&shown), "{case}: {shown}, allowed {states:#?}");
                    let restored = log.restore(log.base().index).expect("state and log meet at the base");
                    commits += u64::from(restored.commit > log.base().index);
                    allowed.check_commit(&restored, &case);
                }
                drop(log);
                let again = show(&mut open(&after.crash(Crash::LoseAll)).expect("opens again").log);
                assert_eq!(again, shown, "{case}: what a log shows once is durable");
            }
        }
    }
    assert!(images > 2000 && commits > 500, "{images} images, {commits} with a commit");
    println!("{images} images, {commits} with a commit");
}

/// A lone member with its log: proposes, syncs, and counts what was committed, until the disk stops.
fn lone_member(disk: &SimDisk, proposals: u64) -> Result<Vec<Bytes>, Error> {
    let mut committed = Vec::new();
    let Opened { mut log, .. } = open(disk)?;
    let restored = log.restore(Index::ZERO)?;
    let mut node = Node::new(Config::new(NodeId(1), 1), restored);
    let mut proposed = 0;
    let mut run = |node: &mut Node, committed: &mut Vec<Bytes>| -> Result<bool, Error> {
        let Some(ready) = node.ready() else { return Ok(false) };
        if let Some(persist) = ready.persist {
            log.append(&persist)?;
            log.sync()?;
            node.persisted(persist.ack);
        }
        for fetch in &ready.fetches {
            let entries = log.fetch(fetch).map_or(Ok(Vec::new()), |job| job.run())?;
            node.fetched(fetch, entries);
        }
        for entry in ready.committed {
            node.applied(entry.index);
            if let Payload::Command(command) = entry.payload {
                committed.push(command);
            }
        }
        Ok(true)
    };
    loop {
        node.tick();
        loop {
            match run(&mut node, &mut committed) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return Ok(committed), // The process ends.
            }
        }
        if proposed >= proposals {
            return Ok(committed);
        }
        for _ in 0..3 {
            let command = Bytes::from(format!("command {proposed}"));
            proposed += u64::from(node.propose(command).is_ok());
        }
    }
}

#[test]
fn a_lone_member_has_after_any_crash_what_it_had_committed() {
    let whole = SimDisk::new(1);
    let all = lone_member(&whole, 24).expect("a disk that works");
    assert_eq!(all.len(), 24);
    for operations in 0..whole.operations() {
        let disk = SimDisk::new(1);
        disk.halt_after(operations);
        let Ok(before) = lone_member(&disk, 24) else { continue };
        let after = disk.crash(Crash::Random(operations));
        let found = lone_member(&after, 0).expect("opens again");
        assert!(found.starts_with(&before), "{operations} operations: {before:?}, found {found:?}");
        assert!(all.starts_with(&found), "{operations} operations: invented {found:?}");
    }
}

fn filled(disk: &SimDisk, entries: usize) -> Opened {
    let mut opened = open(disk).expect("opens");
    let restored = opened.log.restore(Index::ZERO).expect("a new log");
    let mut follower = Follower::new(restored);
    let persist = follower.append(EntryId::ZERO, entries, true, 500);
    opened.log.append(&persist).expect("appends");
    opened.log.sync().expect("syncs");
    opened
}

#[test]
fn old_entries_are_read_back_in_pieces_and_go_when_they_are_released() {
    let disk = SimDisk::new(1);
    let mut log = filled(&disk, 300).log;
    let fetch = |first: u64, last: u64, bytes_max: usize| Fetch {
        purpose: FetchPurpose::Apply,
        first: Index(first),
        last: Index(last),
        bytes_max,
    };
    let indexes = |log: &Log, fetch: Fetch| {
        log.fetch(&fetch).map(|job| {
            let entries = job.run().expect("intact entries");
            (entries[0].index.0, entries[entries.len() - 1].index.0)
        })
    };
    assert_eq!(indexes(&log, fetch(97, 205, usize::MAX)), Some((97, 205)));
    assert_eq!(indexes(&log, fetch(97, 205, 1)), Some((97, 97)));
    assert_eq!(indexes(&log, fetch(290, 301, 1)), None, "not there yet");
    let bytes = log.bytes();
    log.release(Index(200)).expect("releases");
    assert!(log.bytes() < bytes, "files were unlinked");
    assert_eq!(indexes(&log, fetch(200, 201, 1)), None, "not there any more");
    assert_eq!(indexes(&log, fetch(201, 300, usize::MAX)), Some((201, 300)));
    drop(log);
    let mut log = open(&disk).expect("opens").log;
    assert_eq!((log.base().index, log.last().index), (Index(200), Index(300)));
    assert!(matches!(log.restore(Index(199)), Err(Error::StateBehind { .. })));
    assert!(matches!(log.restore(Index(301)), Err(Error::StateAhead { .. })));
    let restored = log.restore(Index(250)).expect("state and log meet");
    assert_eq!((restored.commit, restored.tail.last().map(Entry::id)), (Index(250), Some(log.last())));
}

/// A start would take the log to begin behind entries that the disk never had.
#[test]
fn what_is_not_synced_is_not_released() {
    let disk = SimDisk::new(1);
    let mut log = filled(&disk, 10).log;
    let mut follower = Follower::new(log.restore(Index::ZERO).expect("nothing is applied"));
    let persist = follower.append(log.last(), 5, true, 100);
    log.append(&persist).expect("appends");
    log.release(Index(15)).expect("releases what it may");
    assert_eq!((log.base().index, log.synced()), (Index(10), Index(10)));
    log.sync().expect("syncs");
    log.release(Index(15)).expect("releases");
    assert_eq!((log.base().index, log.synced()), (Index(15), Index(15)));
}

/// The limit that is refused by is the log's own: what is as long as it says is stored, in the middle of a file too, and what
/// is longer comes to no log.
#[test]
fn an_entry_as_long_as_the_log_takes_is_stored() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk).expect("opens").log;
    let max = log.entry_bytes_max();
    assert!((6000..8192).contains(&max), "{max}");
    let restored = log.restore(Index::ZERO).expect("a new log");
    let limits = raft::Limits { entry_bytes_max: max, ..raft::Limits::default() };
    let mut node = Node::new(Config { limits, ..Config::new(NodeId(1), 1) }, restored);
    let settle = |node: &mut Node, log: &mut Log| {
        while let Some(persist) = node.ready().and_then(|ready| ready.persist) {
            log.append(&persist).expect("appends");
            log.sync().expect("syncs");
            node.persisted(persist.ack);
        }
    };
    node.campaign();
    settle(&mut node, &mut log);
    for bytes in [10, max, max, 10] {
        node.propose(Bytes::from(vec![7; bytes])).expect("fits");
        settle(&mut node, &mut log);
        assert!(node.propose(Bytes::from(vec![7; max + 1])).is_err());
    }
    drop(log);
    let lengths: Vec<usize> = show(&mut open(&disk).expect("opens").log)
        .entries
        .iter()
        .map(|entry| entry.payload.log_bytes())
        .filter(|bytes| *bytes >= 10)
        .collect();
    assert!(lengths.ends_with(&[10, max, max, 10]), "{lengths:?}");
}

#[test]
fn a_full_disk_delays_a_vote_and_a_release_and_changes_nothing() {
    let disk = SimDisk::new(1);
    let mut log = filled(&disk, 10).log;
    let before = show(&mut log);
    for writes_before in [0, 1] {
        disk.inject_after(Fault::WriteNoSpace, writes_before);
        assert!(log.release(Index(5)).is_err_and(|error| error.is_no_space()));
        assert_eq!(show(&mut log), before);
    }
    log.release(Index(5)).expect("there is space again");
    assert_eq!(log.base().index, Index(5));
    let mut follower = Follower::new(open(&disk).expect("opens").log.restore(Index(5)).expect("they meet"));
    let persist = follower.append(before.entries[9].id(), 1, true, 10);
    disk.inject(Fault::WriteNoSpace);
    let term = log.hard_state().term;
    assert!(log.append(&persist).is_err_and(|error| error.is_no_space()));
    assert_eq!(log.hard_state().term, term, "the new term is not durable, so it is not there");
    log.append(&persist).expect("there is space again");
    log.sync().expect("syncs");
    drop(log);
    assert_eq!(open(&disk).expect("opens").log.hard_state().term, term.next());
}

#[test]
fn releasing_what_is_released_already_takes_nothing_else_along() {
    let disk = SimDisk::new(1);
    let mut log = filled(&disk, 300).log;
    log.release(Index(200)).expect("releases");
    drop(log);
    // After a start, nothing is known of the entries before the base.
    let mut log = open(&disk).expect("opens").log;
    for through in [0, 150, 199, 200] {
        log.release(Index(through)).expect("releases");
        assert_eq!(show(&mut log).entries.len(), 100, "released {through} once more");
    }
}

#[test]
fn a_log_that_a_snapshot_replaces_is_gone_as_a_whole_or_still_there() {
    let whole = SimDisk::new(1);
    let mut log = filled(&whole, 10).log;
    let before = show(&mut log);
    drop(log);
    let snapshot = SnapshotMeta {
        last: EntryId::new(Index(5), Term(2)),
        membership: Membership::new([NodeId(1), NodeId(2)], []),
    };
    let after = Shown { base: snapshot.last, entries: Vec::new(), ..before.clone() };
    let mut ends = [0, 0];
    for operations in 0.. {
        let disk = whole.restart();
        let mut log = open(&disk).expect("opens").log;
        disk.halt_after(operations);
        let done = log.reset_to(&snapshot).is_ok();
        drop(log);
        let crashed = disk.crash(Crash::Random(operations));
        let mut log = open(&crashed).expect("opens").log;
        let shown = show(&mut log);
        assert!(shown == after || (!done && shown == before), "{operations} operations: {shown}");
        assert!(shown == before || log.memberships().current().voters().len() == 2);
        ends[usize::from(shown == after)] += 1;
        if shown == after {
            // The log goes on behind the snapshot, whatever is left of the old one.
            let mut follower = Follower::new(log.restore(Index(5)).expect("state and log meet"));
            follower.term = Term(2);
            let persist = follower.append(EntryId::new(Index(5), Term(2)), 2, false, 10);
            log.append(&persist).expect("appends");
            log.sync().expect("syncs");
            drop(log);
            let reopened = show(&mut open(&crashed).expect("opens again").log);
            assert_eq!(reopened.entries, persist.entries, "{operations} operations");
        }
        if done {
            break;
        }
    }
    assert!(ends[0] > 0 && ends[1] > 0, "{ends:?}");
}

#[test]
fn what_others_committed_and_this_disk_never_had_is_not_missed() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk).expect("opens").log;
    let mut follower = Follower::new(log.restore(Index::ZERO).expect("a new log"));
    follower.commit = Index(3);
    let persist = follower.append(EntryId::ZERO, 3, true, 10);
    assert_eq!((persist.commit.index, persist.entries.len()), (Index(3), 3));
    log.append(&persist).expect("appends, and writes the term");
    let mut log = open(&disk.crash(Crash::LoseAll)).expect("opens").log;
    let shown = show(&mut log);
    assert_eq!((shown.hard_state.term, shown.entries.len()), (Term(1), 0));
}

#[test]
fn a_lost_log_is_an_error_and_not_an_empty_log() {
    let disk = SimDisk::new(1);
    drop(filled(&disk, 20));
    let entries: Vec<PathBuf> =
        disk.files().into_iter().filter(|path| path.starts_with("/raft/entries")).collect();
    entries.iter().for_each(|path| disk.lose(path));
    assert!(matches!(open(&disk), Err(Error::EntriesLost { .. })));
}

#[test]
fn lost_votes_are_an_error_and_not_a_new_member() {
    let disk = SimDisk::new(1);
    drop(filled(&disk, 20));
    disk.lose(Path::new("/raft/hard-state-a"));
    assert!(open(&disk).is_ok(), "the other copy has it all");
    disk.lose(Path::new("/raft/hard-state-a"));
    disk.lose(Path::new("/raft/hard-state-b"));
    assert!(matches!(open(&disk), Err(Error::IdentityLost { .. })));
}

#[test]
fn no_two_starts_have_the_same_boot() {
    let disk = SimDisk::new(1);
    let boots: Vec<u64> = (0..3)
        .map(|_| open(&disk).expect("opens").log.restore(Index::ZERO).expect("restores").boot.0)
        .collect();
    assert_eq!(boots, [1, 2, 3]);
}
