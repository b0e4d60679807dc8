//! A member: a node, a disk in memory, and a log writer that gets its work done only when the test says so.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use raft::{
    Boot, Config, Entry, EntryId, Fetch, FetchPurpose, HardState, History, Incarnation, Index, Loss,
    Membership, MembershipEntry, Message, Node, Payload, Persist, Ready, Restored, SnapshotMeta, Term,
    TermRuns,
};

/// What a member's disk holds.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Store {
    pub(crate) hard_state: HardState,
    pub(crate) incarnation: Incarnation,
    pub(crate) boot: Boot,
    /// What it threw away, until it got it back.
    pub(crate) loss: Option<Loss>,
    /// The last entry that is noted as committed. The note comes with whatever else is written beside the entries.
    pub(crate) commit: EntryId,
    /// The last entry that the log writer knows to be committed, which a crash makes it forget.
    pub(crate) known: EntryId,
    pub(crate) snapshot: SnapshotMeta,
    /// What the state machine had applied at the snapshot.
    pub(crate) state: Vec<Entry>,
    pub(crate) entries: Vec<Entry>,
}

impl Store {
    pub(crate) fn new(membership: Membership) -> Store {
        Store {
            hard_state: HardState::default(),
            incarnation: Incarnation(1),
            boot: Boot(0),
            loss: None,
            commit: EntryId::ZERO,
            known: EntryId::ZERO,
            snapshot: SnapshotMeta { last: EntryId::ZERO, membership },
            state: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.snapshot.last, Entry::id)
    }

    /// Whether the disk has this entry, or a snapshot beyond it; or knows that it may have had it: then this member helps
    /// nobody to lead without it.
    pub(crate) fn holds(&self, entry: EntryId) -> bool {
        entry.index <= self.snapshot.last.index
            || self.loss.is_some_and(|loss| entry.index <= loss.until && entry.term <= loss.term)
            || self.entries.iter().any(|held| held.id() == entry)
    }

    fn truncate_from(&mut self, first: Index) {
        self.entries.retain(|entry| entry.index < first);
    }

    fn append(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.last().index.next(), "a gap in the durable log");
        self.entries.push(entry.clone());
    }

    /// Writes a piece of work, or a part of it, in the order of the durable log's `append`.
    fn write(&mut self, persist: &Persist, part: Written) {
        if part == Written::Nothing {
            return;
        }
        self.write_promises(persist);
        let Written::Entries(entries) = part else { return };
        if let Some(first) = persist.truncate_from {
            assert!(first > self.known.index, "a cut from {first} of what is committed, {}", self.known);
            self.truncate_from(first);
        }
        persist.entries.iter().take(entries).for_each(|entry| self.append(entry));
        if persist.commit.index > self.known.index && self.last().index >= persist.commit.index {
            self.known = persist.commit;
        }
        let until = persist.commit.index.min(self.last().index);
        self.loss = self.loss.filter(|loss| until < loss.until && self.last().term <= loss.term);
    }

    /// Writes term, vote and loss if they changed, and with them what is known to be committed.
    fn write_promises(&mut self, persist: &Persist) {
        if persist.hard_state.is_some() || persist.loss.is_some() {
            self.commit = self.known;
        }
        if let Some(next) = persist.hard_state {
            let now = self.hard_state;
            assert!(next.term >= now.term, "a term that falls on disk");
            let forgets = next.term == now.term && now.vote.is_some() && now.vote != next.vote;
            assert!(!forgets, "two votes in one term on disk: {now:?}, {next:?}");
            self.hard_state = next;
        }
        if let Some(found) = persist.loss {
            let known = self.loss.unwrap_or(found);
            self.loss = Some(Loss { until: known.until.max(found.until), term: known.term.max(found.term) });
        }
    }

    /// Throws the log and the state away, and keeps term and vote.
    pub(crate) fn forget(&mut self) {
        let before = self.loss.map_or(Index(0), |loss| loss.until);
        let loss = Loss { until: before.max(self.last().index), term: self.hard_state.term };
        *self = Store {
            hard_state: self.hard_state,
            incarnation: Incarnation(self.incarnation.0 + 1),
            boot: self.boot,
            loss: Some(loss),
            ..Store::new(Membership::default())
        };
    }

    pub(crate) fn install(&mut self, snapshot: SnapshotMeta, state: Vec<Entry>) {
        self.entries.clear();
        let last = snapshot.last;
        self.loss = self.loss.filter(|loss| last.index < loss.until && last.term <= loss.term);
        (self.commit, self.known) = (last, last);
        self.snapshot = snapshot;
        self.state = state;
    }

    /// What a node finds here, with this many entries in memory.
    fn restored(&self, tail: usize) -> Restored {
        let base = self.snapshot.last;
        let mut terms = TermRuns::new(base);
        let mut memberships = History::new(base.index, self.snapshot.membership.clone());
        for entry in &self.entries {
            terms.append(entry.id());
            if let Payload::Membership(change) = &entry.payload {
                memberships.append(entry.index, change.membership.clone());
            }
        }
        let tail = self.entries[self.entries.len().saturating_sub(tail)..].to_vec();
        Restored {
            hard_state: self.hard_state,
            incarnation: self.incarnation,
            boot: self.boot,
            terms,
            tail,
            memberships,
            commit: self.commit.index.max(base.index),
            applied: base.index,
            loss: self.loss,
        }
    }

    pub(crate) fn read(&self, fetch: &Fetch) -> Vec<Entry> {
        let wanted = |entry: &&Entry| entry.index >= fetch.first && entry.index <= fetch.last;
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let room = bytes < fetch.bytes_max;
            bytes += entry.weight();
            room
        };
        self.entries.iter().filter(wanted).take_while(fits).cloned().collect()
    }
}

/// How much of a piece of work is on the disk when the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Nothing,
    /// Term, vote and loss; nothing is cut off yet.
    Promises,
    /// The log is cut, and so many entries are appended.
    Entries(usize),
}

/// Work that the disk has not done yet.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Persist(Persist),
    Install(SnapshotMeta, Vec<Entry>),
}

/// A message, and the snapshot's contents if it is about one.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Packet {
    pub(crate) message: Message,
    pub(crate) contents: Option<Vec<Entry>>,
}

#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) config: Config,
    pub(crate) node: Option<Node>,
    pub(crate) store: Store,
    pub(crate) queue: VecDeque<Work>,
    /// What the state machine has applied since the beginning.
    pub(crate) state: Vec<Entry>,
    /// The contents of the snapshot that the node may ask to install.
    pub(crate) received: Option<Vec<Entry>>,
}

impl Hash for Work {
    /// Without its number.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Work::Persist(persist) => {
                (persist.hard_state, persist.loss, persist.truncate_from).hash(hasher);
                (&persist.entries, persist.commit).hash(hasher);
                persist.then_send.hash(hasher);
            }
            Work::Install(snapshot, contents) => (snapshot, contents.len()).hash(hasher),
        }
    }
}

impl Hash for Member {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.node, &self.store, &self.queue, self.state.len(), self.received.is_some()).hash(hasher);
    }
}

impl Member {
    pub(crate) fn new(config: Config, membership: Membership) -> Member {
        let mut member = Member {
            config,
            node: None,
            store: Store::new(membership),
            queue: VecDeque::new(),
            state: Vec::new(),
            received: None,
        };
        member.start(usize::MAX);
        member
    }

    pub(crate) fn start(&mut self, tail: usize) {
        self.store.boot = Boot(self.store.boot.0 + 1);
        self.store.known = self.store.commit;
        self.state = self.store.state.clone();
        let config = Config { seed: self.config.seed ^ self.store.boot.0, ..self.config.clone() };
        self.node = Some(Node::new(config, self.store.restored(tail)));
    }

    /// Stops at once; of the piece being written, a part may be on the disk.
    pub(crate) fn crash(&mut self, written: Written) {
        if let Some(Work::Persist(persist)) = self.queue.front() {
            self.store.write(persist, written);
        }
        self.queue.clear();
        self.node = None;
        self.received = None;
        self.state = self.store.state.clone();
    }

    /// Lets the disk finish the oldest piece of work; what may be sent then.
    pub(crate) fn work(&mut self) -> Vec<Message> {
        let Some(node) = self.node.as_mut() else { return Vec::new() };
        match self.queue.pop_front() {
            None => Vec::new(),
            Some(Work::Persist(persist)) => {
                self.store.write(&persist, Written::Entries(usize::MAX));
                node.persisted(persist.ack);
                persist.then_send
            }
            Some(Work::Install(snapshot, state)) => {
                self.store.install(snapshot.clone(), state.clone());
                self.state = state;
                node.installed(&snapshot);
                Vec::new()
            }
        }
    }

    /// Applies what is committed. Entries must come in order, each once.
    pub(crate) fn apply(&mut self, ready: &mut Ready) {
        let Some(node) = self.node.as_mut() else { return };
        for entry in std::mem::take(&mut ready.committed) {
            let expected = self.state.last().map_or(Index(1), |last| last.index.next());
            assert_eq!(entry.index, expected, "applied out of order");
            node.applied(entry.index);
            self.state.push(entry);
        }
    }

    /// Makes a checkpoint of everything applied and durable, and forgets the log before it, but for some entries.
    pub(crate) fn compact(&mut self, keep: u64) {
        let Some(node) = self.node.as_mut() else { return };
        let status = node.status();
        let index = Index(status.applied.0.min(self.store.last().index.0).saturating_sub(keep));
        if index <= self.store.snapshot.last.index || index > status.stable {
            return;
        }
        let term = node.term_at(index).expect("an applied entry's term");
        let membership = node.membership_at(index).clone();
        node.compact_to(index);
        self.store.commit = self.store.known;
        self.store.snapshot = SnapshotMeta { last: EntryId::new(index, term), membership };
        self.store.state = self.state[..index.0 as usize].to_vec();
        self.store.entries.retain(|entry| entry.index > index);
    }

    pub(crate) fn fetched(&mut self, fetch: &Fetch, fails: bool) {
        let entries = if fails { Vec::new() } else { self.store.read(fetch) };
        if let Some(node) = self.node.as_mut() {
            assert!(fails || !entries.is_empty() || fetch.purpose != FetchPurpose::Apply, "nothing to fetch");
            node.fetched(fetch, entries);
        }
    }
}

pub(crate) fn command(number: u64) -> Bytes {
    Bytes::from(format!("c{number}"))
}

/// A log of entries of these terms: the first is the configuration, the others are named by term and place.
pub(crate) fn entries_of(terms: &[Term], membership: &Membership) -> Vec<Entry> {
    let entry = |(place, term): (usize, &Term)| {
        let change = MembershipEntry { membership: membership.clone(), context: Bytes::new() };
        let payload = match place {
            0 => Payload::Membership(Arc::new(change)),
            _ => Payload::Command(Bytes::from(format!("t{term}"))),
        };
        Entry { term: *term, index: Index(place as u64 + 1), payload }
    };
    terms.iter().enumerate().map(entry).collect()
}
