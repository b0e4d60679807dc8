//! Three members, whole: node, durable log and a state machine's checkpoint on one simulated disk each, driven as a server drives
//! them. Disks stop at any operation, machines crash with what was not synced lost, reordered or torn; logs are released,
//! snapshots installed, a member throws its log away. What was applied anywhere is never contradicted and never lost.

use std::collections::VecDeque;

use super::*;
use raft::{Body, Message, Persisted, Ready, RoleName, SnapshotWanted};

const STATE: &str = "/state";

/// A message, and the snapshot's content if it is about one.
struct Packet {
    message: Message,
    content: Option<Vec<EntryId>>,
    wanted: Option<SnapshotWanted>,
}

/// A process.
struct Running {
    log: Log,
    node: Node,
    /// Appended, and not synced yet.
    unsynced: VecDeque<(Persisted, Vec<Message>)>,
    /// What the state machine has applied since the beginning.
    state: Vec<EntryId>,
    /// The content of the snapshot that came last.
    received: Vec<EntryId>,
}

struct Member {
    id: NodeId,
    disk: SimDisk,
    process: Option<Running>,
}

fn write_state(disk: &SimDisk, state: &[EntryId]) -> Result<(), Error> {
    let numbers = state.iter().flat_map(|entry| [entry.index.0, entry.term.0]);
    let content: Vec<u8> = numbers.flat_map(u64::to_le_bytes).chain(*b"end").collect();
    wal::replace_file(disk, Path::new(STATE), &content).map_err(|source| io("write", source))
}

fn io(op: &'static str, source: std::io::Error) -> Error {
    Error::Io { path: STATE.into(), op, source }
}

fn read_state(disk: &SimDisk) -> Vec<EntryId> {
    let Some(content) = disk.content(Path::new(STATE)) else { return Vec::new() };
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let entries = content.chunks_exact(16);
    entries.map(|entry| EntryId::new(Index(number(&entry[..8])), Term(number(&entry[8..])))).collect()
}

impl Running {
    /// What a server does when it starts.
    fn start(id: NodeId, disk: &SimDisk) -> Result<Running, Error> {
        let options = Options {
            identity: [IDENTITY[0], id.0],
            membership: Membership::new([1, 2, 3].map(NodeId), []),
            ..options()
        };
        let mut log = Log::open(Arc::new(disk.clone()), Path::new(DIR), options)?.log;
        // What is read may be there for this process and not for the next machine: the log forgets what the state has.
        wal::Disk::sync_dir(disk, Path::new("/")).map_err(|source| io("sync", source))?;
        let mut state = read_state(disk);
        let restored = match log.restore_at(state.last().copied().unwrap_or_default()) {
            // The log was thrown away, and the crash came before the state was.
            Err(Error::StateForgotten { .. }) => {
                state.clear();
                write_state(disk, &state)?;
                log.restore_at(EntryId::ZERO)?
            }
            other => other?,
        };
        let limits = raft::Limits { tail_entries_max: 4, append_bytes_max: 100, ..raft::Limits::default() };
        let config = Config { election_ticks: 4, limits, ..Config::new(id, restored.boot.0) };
        let node = Node::new(config, restored);
        Ok(Running { log, node, unsynced: VecDeque::new(), state, received: Vec::new() })
    }

    /// Carries out what the node wants, but for syncs.
    fn settle(&mut self, disk: &SimDisk, sent: &mut Vec<Packet>) -> Result<(), Error> {
        while let Some(ready) = self.node.ready() {
            let Ready { send, persist, committed, fetches, snapshots, install, .. } = ready;
            sent.extend(send.into_iter().map(|message| Packet { message, content: None, wanted: None }));
            if let Some(persist) = persist {
                self.log.append(&persist)?;
                self.unsynced.push_back((persist.ack, persist.then_send));
            }
            for fetch in &fetches {
                let entries = self.log.fetch(fetch).map_or(Ok(Vec::new()), |job| job.run())?;
                self.node.fetched(fetch, entries);
            }
            for entry in committed {
                self.state.push(entry.id());
                self.node.applied(entry.index);
            }
            for wanted in snapshots {
                self.send_snapshot(disk, wanted, sent);
            }
            if let Some(snapshot) = install {
                self.install(disk, &snapshot, sent)?;
            }
        }
        self.node.check_invariants();
        Ok(())
    }

    /// The checkpoint as it is on the disk.
    fn send_snapshot(&mut self, disk: &SimDisk, wanted: SnapshotWanted, sent: &mut Vec<Packet>) {
        let content = read_state(disk);
        match content.last() {
            Some(last) if last.index.next() >= wanted.first => {
                let membership = self.node.membership_at(last.index).clone();
                let message = wanted.message(SnapshotMeta { last: *last, membership });
                sent.push(Packet { message, content: Some(content), wanted: Some(wanted) });
            }
            _ => self.node.snapshot_sent(&wanted, None),
        }
    }

    fn install(
        &mut self,
        disk: &SimDisk,
        snapshot: &SnapshotMeta,
        sent: &mut Vec<Packet>,
    ) -> Result<(), Error> {
        self.sync(sent)?;
        self.log.expect_snapshot(snapshot)?;
        self.state = std::mem::take(&mut self.received);
        assert_eq!(self.state.last(), Some(&snapshot.last));
        write_state(disk, &self.state)?;
        self.log.reset_to(snapshot)?;
        self.node.installed(snapshot);
        Ok(())
    }

    /// One sync for everything appended; what waited for it leaves.
    fn sync(&mut self, sent: &mut Vec<Packet>) -> Result<(), Error> {
        self.log.sync()?;
        for (ack, then_send) in self.unsynced.drain(..) {
            self.node.persisted(ack);
            sent.extend(then_send.into_iter().map(|message| Packet { message, content: None, wanted: None }));
        }
        Ok(())
    }

    /// A checkpoint of what is applied, once the log has it durably; then the log need not keep it.
    fn checkpoint(&mut self, disk: &SimDisk, keep: u64) -> Result<(), Error> {
        let through = self.node.stable().min(self.node.applied_index());
        if through == Index(0) {
            return Ok(());
        }
        write_state(disk, &self.state[..through.0 as usize])?;
        let release = Index(through.0.saturating_sub(keep));
        self.log.release(release)?;
        self.node.compact_to(release);
        Ok(())
    }
}

struct Cluster {
    members: Vec<Member>,
    mail: Vec<Packet>,
    random: Random,
    /// What was applied, by whoever was first.
    history: Vec<EntryId>,
    proposals: u64,
    crashes: u64,
    installs: u64,
    forgets: u64,
}

impl Cluster {
    fn new(seed: u64) -> Cluster {
        let member = |id: u64| Member { id: NodeId(id), disk: SimDisk::new(seed * 3 + id), process: None };
        let mut cluster = Cluster {
            members: (1..=3).map(member).collect(),
            mail: Vec::new(),
            random: Random(seed),
            history: Vec::new(),
            proposals: 0,
            crashes: 0,
            installs: 0,
            forgets: 0,
        };
        (0..3).for_each(|place| cluster.start(place));
        cluster
    }

    fn start(&mut self, place: usize) {
        let member = &mut self.members[place];
        if member.process.is_none() {
            // A disk that stops while it is opened is one more crash.
            member.process = Running::start(member.id, &member.disk).ok();
            if member.process.is_none() {
                self.crash(place);
            }
        }
    }

    /// The machine stops, and its disk comes back with what it made of what was not synced.
    fn crash(&mut self, place: usize) {
        self.crashes += 1;
        let number = self.random.below(u64::MAX);
        let member = &mut self.members[place];
        member.process = None;
        member.disk = match number % 5 {
            0 => member.disk.crash(Crash::LoseAll),
            1 => member.disk.crash(Crash::KeepAll),
            2 => member.disk.crash(Crash::TearLast(number)),
            3 => member.disk.restart(),
            _ => member.disk.crash(Crash::Random(number)),
        };
    }

    /// Does something to a running member; an error of its disk ends the process.
    fn at(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut Running, &SimDisk, &mut Vec<Packet>) -> Result<(), Error>,
    ) {
        let Member { disk, process, .. } = &mut self.members[place];
        let Some(running) = process else { return };
        let sent = &mut self.mail;
        let done = act(running, disk, sent).and_then(|()| running.settle(disk, sent));
        let state = running.state.clone();
        for (entry, known) in state.iter().zip(&self.history) {
            assert_eq!(entry, known, "two histories");
        }
        if state.len() > self.history.len() {
            self.history = state;
        }
        if done.is_err() {
            self.crash(place);
        }
    }

    fn event(&mut self) {
        let place = self.random.below(3) as usize;
        let lot = self.random.below(1000);
        let keep = self.random.below(4);
        match lot {
            0..450 => self.deliver(lot < 20),
            450..700 => self.at(place, |running, _, sent| running.sync(sent)),
            700..800 => self.at(place, |running, _, _| {
                running.node.tick();
                Ok(())
            }),
            800..920 => self.propose(place),
            920..960 => self.at(place, |running, disk, _| running.checkpoint(disk, keep)),
            960..990 => self.start(place),
            990..995 => {
                let operations = self.random.below(25);
                self.members[place].disk.halt_after(operations);
            }
            995..997 => self.crash(place),
            997..999 => self.forget(place),
            _ => {}
        }
        if self.mail.len() > 100 {
            self.lose(0);
        }
    }

    fn propose(&mut self, place: usize) {
        self.proposals += 1;
        let command = Bytes::from(format!("command {}", self.proposals));
        self.at(place, |running, _, _| {
            let _ = running.node.propose(command);
            Ok(())
        });
    }

    fn lose(&mut self, place: usize) {
        let packet = self.mail.remove(place);
        self.report(&packet, None);
    }

    /// Tells the sender of a snapshot how it ended.
    fn report(&mut self, packet: &Packet, reached: Option<Index>) {
        let Some(wanted) = &packet.wanted else { return };
        self.at(packet.message.from.0 as usize - 1, |running, _, _| {
            running.node.snapshot_sent(wanted, reached);
            Ok(())
        });
    }

    fn deliver(&mut self, is_lost: bool) {
        if self.mail.is_empty() {
            return;
        }
        let place = self.random.below(self.mail.len().min(8) as u64) as usize;
        if is_lost {
            return self.lose(place);
        }
        let packet = self.mail.remove(place);
        let reached = match &packet.message.body {
            Body::InstallSnapshot { snapshot, .. } => Some(snapshot.last.index),
            _ => None,
        };
        self.report(&packet, reached);
        let Packet { message, content, .. } = packet;
        self.installs += u64::from(content.is_some());
        self.at(message.to.0 as usize - 1, |running, _, _| {
            running.received = content.unwrap_or_default();
            running.node.step(message).expect("correct nodes send correct messages");
            Ok(())
        });
    }

    /// The member throws its log away, and then its state, if the other two are not in trouble themselves.
    fn forget(&mut self, place: usize) {
        let is_whole =
            |member: &Member| member.process.as_ref().is_some_and(|running| running.node.loss().is_none());
        if !self.members.iter().all(is_whole) {
            return;
        }
        self.forgets += 1;
        let Member { disk, process, id } = &mut self.members[place];
        let mut running = process.take().expect("a process that runs");
        let forgotten = running.log.forget_entries().and_then(|()| write_state(disk, &[]));
        drop(running);
        match forgotten.and_then(|()| Running::start(*id, disk)) {
            Ok(running) => *process = Some(running),
            Err(_) => self.crash(place),
        }
    }

    /// What each member is at, or why it does not start.
    fn show(&self) -> Vec<String> {
        let show = |member: &Member| match &member.process {
            Some(running) => format!("{:?} {:?}", running.node.status(), running.node.loss()),
            None => match Running::start(member.id, &member.disk) {
                Ok(_) => format!("{} is down", member.id),
                Err(error) => format!("{} does not start: {error}", member.id),
            },
        };
        self.members.iter().map(show).collect()
    }

    /// Everything works from now on: a leader is elected, everybody gets everything.
    fn heal(&mut self, seed: u64) {
        for place in 0..3 {
            self.members[place].process = None;
            self.members[place].disk = self.members[place].disk.restart();
        }
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(
                rounds < 3000,
                "seed {seed}: the healed cluster does not come to rest: {:#?}",
                self.show()
            );
            for place in 0..3 {
                self.start(place);
                self.at(place, |running, _, _| {
                    running.node.tick();
                    Ok(())
                });
            }
            for _ in 0..60 {
                self.deliver(false);
                (0..3).for_each(|place| self.at(place, |running, _, sent| running.sync(sent)));
            }
            let leader = self.members.iter().position(|member| {
                member.process.as_ref().is_some_and(|running| running.node.role() == RoleName::Leader)
            });
            let Some(leader) = leader.filter(|_| rounds > 100) else { continue };
            if rounds % 50 == 0 {
                self.propose(leader);
            }
            let all_have_all = self.members.iter().all(|member| {
                member.process.as_ref().is_some_and(|running| running.state.len() == self.history.len())
            });
            if all_have_all && rounds > 200 {
                return;
            }
        }
    }
}

/// A number from the environment: the tests' budget and seed may come from there, consensus' inputs may not.
#[allow(clippy::disallowed_methods, reason = "a test's own option")]
fn option(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn three_members_lose_nothing_whatever_their_disks_do() {
    let seeds = match option("QUORATE_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..40 * option("QUORATE_TEST_BUDGET").unwrap_or(1),
    };
    let (mut applied, mut crashes, mut installs, mut forgets) = (0, 0, 0, 0);
    for seed in seeds.clone() {
        println!("QUORATE_TEST_SEED={seed}");
        let mut cluster = Cluster::new(seed);
        (0..4000).for_each(|_| cluster.event());
        cluster.heal(seed);
        applied += cluster.history.len();
        crashes += cluster.crashes;
        installs += cluster.installs;
        forgets += cluster.forgets;
    }
    println!(
        "{seeds:?}: {applied} applied, {crashes} crashes, {installs} snapshots, {forgets} logs thrown away"
    );
    let enough = applied > 1000 && crashes > 500 && installs > 20 && forgets > 5;
    assert!(enough || seeds.end - seeds.start < 40, "too little happened to prove anything");
}
