//! Random histories of a hub against the plainest model of a watch: the list of all changes, and for each watcher the
//! ones that it asked for.
//!
//! Whatever the order of commits, publishing, catch-up answers, compactions and reads by clients: a watcher gets exactly
//! its events in order, none twice and none left out; a revision arrives whole unless its client permits pieces; nobody
//! is told of progress beyond what it was sent; and once everybody reads, nothing is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mvcc::{Change, KeyRange};
use proptest::prelude::*;

use super::{Op, TIGHT, World, key};
use crate::watch::bounds::Bounds;
use crate::watch::reply::{Fragment, Kind, QueuedEvent, WatchReply};
use crate::watch::scan;
use crate::watch::watcher::{CatchUpJob, CaughtUp, CreateWatch, Options, StreamId};

const STREAMS: usize = 2;
const BOUNDS: Bounds = Bounds { fragment_bytes: 150, response_bytes: 150, ..TIGHT };

#[derive(Debug, Clone)]
enum Start {
    Now,
    /// So many revisions before the newest.
    Past(i64),
    Future(i64),
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Op>),
    Publish(u8),
    /// A snapshot replaces the store.
    Restore,
    Checkpoint,
    /// To so many revisions before the newest.
    Compact(i64),
    Create {
        stream: usize,
        keys: (u8, u8),
        start: Start,
        options: Options,
        watch_id: Option<i64>,
    },
    Cancel {
        stream: usize,
        watch_id: i64,
    },
    Progress(usize),
    Tick(usize),
    Close(usize),
    /// The client reads so many messages.
    Read {
        stream: usize,
        messages: u8,
    },
    /// The catch-up thread does a job.
    Work(prop::sample::Index),
    /// A worker gets what the thread found, perhaps only the first part of it.
    Answer {
        which: prop::sample::Index,
        cut: Option<u8>,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..4, 0u16..60).prop_map(|(key, len)| Op::Put(key, len)),
        2 => (0u8..4).prop_map(Op::Delete),
        1 => Just(Op::DeleteAll),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let rarely = || prop::bool::weighted(0.2);
    (rarely(), rarely(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(no_put, no_delete, prev_kv, fragment, progress_notify)| Options {
            no_put,
            no_delete,
            prev_kv,
            fragment,
            progress_notify,
        },
    )
}

fn create() -> impl Strategy<Value = Step> {
    let start = prop_oneof![
        2 => Just(Start::Now),
        4 => (0i64..30).prop_map(Start::Past),
        1 => (1i64..5).prop_map(Start::Future),
    ];
    let watch_id = prop::option::weighted(0.3, 1i64..4);
    (0..STREAMS, (0u8..4, 0u8..6), start, options(), watch_id).prop_map(
        |(stream, keys, start, options, watch_id)| Step::Create { stream, keys, start, options, watch_id },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..STREAMS;
    prop_oneof![
        12 => prop::collection::vec(op(), 1..4).prop_map(Step::Commit),
        8 => (1u8..4).prop_map(Step::Publish),
        1 => Just(Step::Restore),
        1 => Just(Step::Checkpoint),
        1 => (0i64..12).prop_map(Step::Compact),
        4 => create(),
        2 => (stream.clone(), 0i64..5).prop_map(|(stream, watch_id)| Step::Cancel { stream, watch_id }),
        2 => stream.clone().prop_map(Step::Progress),
        1 => stream.clone().prop_map(Step::Tick),
        1 => stream.clone().prop_map(Step::Close),
        6 => (stream, 1u8..8).prop_map(|(stream, messages)| Step::Read { stream, messages }),
        4 => any::<prop::sample::Index>().prop_map(Step::Work),
        4 => (any::<prop::sample::Index>(), prop::option::of(0u8..5))
            .prop_map(|(which, cut)| Step::Answer { which, cut }),
    ]
}

/// A watcher as its client sees it.
#[derive(Debug, Clone)]
struct Watcher {
    range: KeyRange,
    options: Options,
    /// First revision that it wants.
    start: i64,
    /// What was asked for, if anything.
    requested: Option<i64>,
    /// Place in the log of the next change to look at.
    next: usize,
    last_revision: i64,
    is_compacted: bool,
}

impl Watcher {
    fn wants(&self, change: &Change) -> bool {
        let passes = if change.is_put() { !self.options.no_put } else { !self.options.no_delete };
        passes && change.revision.main >= self.start && self.range.contains(&change.key)
    }

    /// The next event that it must get, and its place.
    fn expected<'a>(&self, log: &'a [Change]) -> Option<(usize, &'a Change)> {
        (self.next..log.len()).map(|at| (at, &log[at])).find(|(_, change)| self.wants(change))
    }

    fn has_everything_through(&self, log: &[Change], revision: i64) -> bool {
        self.expected(log).is_none_or(|(_, change)| change.revision.main > revision)
    }
}

/// An answer to a request, in the order of the requests.
#[derive(Debug)]
enum Control {
    Created { watch_id: i64, revision: i64, watcher: Box<Watcher> },
    Refused { revision: i64 },
    Canceled { watch_id: i64, revision: i64 },
}

struct Client {
    id: StreamId,
    /// Ids that the server has in use, as of the requests sent.
    taken: BTreeSet<i64>,
    next_id: i64,
    control: VecDeque<Control>,
    /// As of the answers read.
    watchers: BTreeMap<i64, Watcher>,
}

struct Run {
    world: World,
    log: Vec<Change>,
    clients: Vec<Client>,
    answers: Vec<(CatchUpJob, CaughtUp)>,
    /// Compactions that the hub has yet to hear of, each with the transactions that it hears of before.
    compactions: VecDeque<(i64, i64)>,
}

impl Run {
    fn new(revisions: u16) -> Self {
        let mut world = World::with_history(BOUNDS, revisions);
        let mut history = world.store.view().history(1);
        let log = history.next_batch().unwrap().unwrap_or_default();
        let clients = (0..STREAMS).map(|_| Self::client(&mut world)).collect();
        Self { world, log, clients, answers: Vec::new(), compactions: VecDeque::new() }
    }

    fn client(world: &mut World) -> Client {
        Client {
            id: world.hub.open(),
            taken: BTreeSet::new(),
            next_id: 0,
            control: VecDeque::new(),
            watchers: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(ops) => {
                if let Some(changes) = self.world.commit(&ops) {
                    self.log.extend(changes.iter().map(|change| change.detached_with_before().unwrap()));
                }
            }
            Step::Publish(transactions) => (0..transactions).for_each(|_| self.publish()),
            Step::Restore => {
                self.world.restore();
                self.compactions.clear();
            }
            Step::Checkpoint => self.world.store.checkpoint().unwrap(),
            Step::Compact(back) => {
                let newest = self.world.store.revision();
                if self.world.store.compact(newest - back).is_ok() {
                    self.compactions.push_back((newest, newest - back));
                }
            }
            Step::Create { stream, keys, start, options, watch_id } => {
                self.create(stream, keys, &start, options, watch_id);
            }
            Step::Cancel { stream, watch_id } => {
                let revision = self.world.store.revision();
                let client = &mut self.clients[stream];
                self.world.hub.cancel(client.id, watch_id, revision);
                if client.taken.remove(&watch_id) {
                    client.control.push_back(Control::Canceled { watch_id, revision });
                }
            }
            Step::Progress(stream) => self.world.hub.progress_request(self.clients[stream].id),
            Step::Tick(stream) => self.world.hub.progress_tick(self.clients[stream].id),
            Step::Close(stream) => {
                self.world.hub.close(self.clients[stream].id);
                self.clients[stream] = Self::client(&mut self.world);
            }
            Step::Read { stream, messages } => {
                (0..messages).for_each(|_| drop(self.read(stream)));
            }
            Step::Work(which) => {
                if !self.world.jobs.is_empty() {
                    let job = self.world.jobs.remove(which.index(self.world.jobs.len())).unwrap();
                    let found = scan::read_one(&self.world.store.view(), &job).unwrap();
                    self.answers.push((job, found));
                }
            }
            Step::Answer { which, cut } => {
                if !self.answers.is_empty() {
                    let (job, found) = self.answers.remove(which.index(self.answers.len()));
                    let found = shortened(&job, found, cut);
                    self.world.answer(&job, found);
                }
            }
        }
    }

    fn publish(&mut self) {
        let newest = self.world.unpublished.front().map(|changes| changes[0].revision.main);
        self.world.publish_one();
        let published = newest.unwrap_or(self.world.store.revision());
        while let Some((_, revision)) = self.compactions.pop_front_if(|(after, _)| *after <= published) {
            self.world.hub.compacted(revision);
        }
    }

    fn create(
        &mut self,
        stream: usize,
        (from, to): (u8, u8),
        start: &Start,
        options: Options,
        watch_id: Option<i64>,
    ) {
        let revision = self.world.store.revision();
        let requested = match start {
            Start::Now => None,
            Start::Past(back) => Some((revision - back).max(1)),
            Start::Future(ahead) => Some(revision + ahead),
        };
        let range = match to {
            5 => KeyRange::all(),
            _ if from == to => KeyRange::single(key(from)),
            _ => KeyRange::between(key(from), key(to)),
        };
        let request =
            CreateWatch { range: range.clone(), start_revision: requested, watch_id, user: None, options };
        self.world.create(self.clients[stream].id, request);

        let client = &mut self.clients[stream];
        let is_empty = to != 5 && to < from;
        if is_empty || watch_id.is_some_and(|id| client.taken.contains(&id)) {
            return client.control.push_back(Control::Refused { revision });
        }
        let watch_id = watch_id.unwrap_or_else(|| {
            while client.taken.contains(&client.next_id) {
                client.next_id += 1;
            }
            client.next_id += 1;
            client.next_id - 1
        });
        client.taken.insert(watch_id);
        let watcher = Watcher {
            range,
            options,
            start: requested.unwrap_or(revision + 1),
            requested,
            next: 0,
            last_revision: 0,
            is_compacted: false,
        };
        client.control.push_back(Control::Created { watch_id, revision, watcher: Box::new(watcher) });
    }

    /// The client reads a message and checks it; `None` if there is none.
    fn read(&mut self, stream: usize) -> Option<Kind> {
        let reply = self.world.next(self.clients[stream].id)?;
        let newest = self.world.store.revision();
        let compacted = self.world.store.compact_revision();
        assert!(reply.header.revision <= newest);
        let client = &mut self.clients[stream];
        match &reply.kind {
            Kind::Created | Kind::Refused { .. } | Kind::Canceled => client.answered(&reply),
            Kind::Failed { reason } => panic!("{reason}"),
            Kind::Events { events, fragment } => {
                client.events(&reply, events, *fragment, &self.log, compacted);
            }
            Kind::Compacted { compact_revision } => {
                assert_eq!(reply.header.revision, 0);
                assert!(*compact_revision <= compacted);
                let watcher = client.watchers.get_mut(&reply.watch_id).expect("it was created");
                let next_at_least = watcher.start.max(watcher.last_revision + 1);
                assert!(!watcher.is_compacted && next_at_least < *compact_revision, "{watcher:?}");
                watcher.is_compacted = true;
            }
            Kind::Progress => client.progress(&reply, &self.log),
        }
        Some(reply.kind)
    }

    /// Everything is published, every client reads, the catch-up thread is done: nothing may be missing.
    fn settle(&mut self) {
        self.publish();
        while !self.world.unpublished.is_empty() {
            self.publish();
        }
        loop {
            for stream in 0..STREAMS {
                while self.read(stream).is_some() {}
            }
            if self.world.jobs.is_empty() && self.answers.is_empty() {
                break;
            }
            for (job, found) in std::mem::take(&mut self.answers) {
                self.world.answer(&job, found);
            }
            self.world.answer_all();
        }
        let newest = self.world.store.revision();
        assert_eq!(self.world.hub.slow_watcher_count(), 0);
        for stream in 0..STREAMS {
            let client = &self.clients[stream];
            assert!(client.control.is_empty(), "never answered: {:?}", client.control);
            let live: Vec<&Watcher> =
                client.watchers.values().filter(|watcher| !watcher.is_compacted).collect();
            for watcher in &live {
                assert!(watcher.expected(&self.log).is_none(), "{watcher:?} was not sent everything");
            }
            let is_due = !live.is_empty() && live.iter().all(|watcher| watcher.start <= newest + 1);
            let is_asked_for =
                live.iter().all(|watcher| watcher.requested.is_none_or(|start| start <= newest));
            self.world.hub.progress_request(client.id);
            let told = self.read(stream);
            if is_due && is_asked_for {
                assert!(matches!(told, Some(Kind::Progress)), "{told:?}");
            }
        }
    }
}

impl Client {
    fn answered(&mut self, reply: &WatchReply) {
        let expected = self.control.pop_front().expect("an answer answers a request");
        let revision = match (expected, &reply.kind) {
            (Control::Created { watch_id, revision, watcher }, Kind::Created) => {
                assert_eq!(reply.watch_id, watch_id);
                assert!(self.watchers.insert(watch_id, *watcher).is_none());
                revision
            }
            (Control::Refused { revision }, Kind::Refused { .. }) => {
                assert_eq!(reply.watch_id, -1);
                revision
            }
            (Control::Canceled { watch_id, revision }, Kind::Canceled) => {
                assert_eq!(reply.watch_id, watch_id);
                assert!(self.watchers.remove(&watch_id).is_some());
                revision
            }
            (expected, kind) => panic!("{expected:?} was answered by {kind:?}"),
        };
        assert_eq!(reply.header.revision, revision);
    }

    fn events(
        &mut self,
        reply: &WatchReply,
        events: &[QueuedEvent],
        fragment: Fragment,
        log: &[Change],
        compacted: i64,
    ) {
        let watcher = self.watchers.get_mut(&reply.watch_id).expect("it was created and is not cancelled");
        assert!(!watcher.is_compacted && !events.is_empty());
        assert!(watcher.options.fragment || fragment == Fragment::Whole);
        let mut revisions = BTreeSet::new();
        for event in events {
            let (at, expected) = watcher.expected(log).expect("no event that never happened");
            let with_previous = QueuedEvent::of(expected, true).unwrap();
            let alone = QueuedEvent::of(expected, false).unwrap();
            let is_gone = event.revision <= compacted;
            match watcher.options.prev_kv {
                true => assert!(*event == with_previous || (*event == alone && is_gone), "{watcher:?}"),
                false => assert_eq!(*event, alone, "{watcher:?}"),
            }
            watcher.next = at + 1;
            watcher.last_revision = event.revision;
            revisions.insert(event.revision);
        }
        assert!(reply.header.revision >= watcher.last_revision);
        assert!(revisions.len() <= BOUNDS.response_revisions);
        if fragment != Fragment::Further {
            let last = watcher.last_revision;
            assert!(watcher.has_everything_through(log, last), "revision {last} was split");
        }
    }

    fn progress(&self, reply: &WatchReply, log: &[Change]) {
        let told: Vec<&Watcher> = match reply.watch_id {
            -1 => self.watchers.values().filter(|watcher| !watcher.is_compacted).collect(),
            id => vec![&self.watchers[&id]],
        };
        assert!(!told.is_empty());
        for watcher in told {
            assert!(!watcher.is_compacted && (reply.watch_id == -1 || watcher.options.progress_notify));
            assert!(watcher.has_everything_through(log, reply.header.revision), "{watcher:?}");
            assert!(watcher.requested.is_none_or(|start| start <= reply.header.revision), "{watcher:?}");
        }
    }
}

/// What the thread found, ended earlier between two revisions: where a step ends is its own business.
fn shortened(job: &CatchUpJob, found: CaughtUp, cut: Option<u8>) -> CaughtUp {
    match (found, cut) {
        (CaughtUp::Changes { batch, through, held }, Some(ahead)) => {
            let through = through.min(job.from + i64::from(ahead));
            let batch = batch.iter().filter(|change| change.revision.main <= through).cloned().collect();
            CaughtUp::Changes { batch, through, held }
        }
        (found, _) => found,
    }
}

fn cases() -> u32 {
    std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn every_watcher_gets_exactly_what_it_asked_for(
        revisions in 0u16..12,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut run = Run::new(revisions);
        for step in steps {
            run.step(step);
        }
        run.settle();
    }
}
