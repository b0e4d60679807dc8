//! Members that are nothing but a transport, and record what reaches them.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::note::PeerNote;
use engine::peers::{Inbound, Incoming, Peer, Peers, SnapshotFault, SnapshotOffer, SnapshotSink};
use parking_lot::{Condvar, Mutex};
use raft::{Body, Entry, EntryId, Incarnation, Index, Message, NodeId, Payload, Session, Term};

use super::super::*;
use crate::config::MetricsDetail;
use crate::ids::{ClusterId, Identity, MemberId};
use crate::metrics::Metrics;

/// How long a test waits for what must come; a failure, not a measurement.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Messages that a recorder remembers.
const MESSAGES_KEPT: usize = 2000;

/// What has reached an engine.
#[derive(Default)]
pub(super) struct Received {
    /// The last messages: not all of a million.
    pub(super) messages: Vec<Message>,
    /// How many there were.
    pub(super) count: u64,
    pub(super) notes: Vec<(NodeId, PeerNote)>,
    pub(super) removed_by: BTreeSet<NodeId>,
    /// Batches that the engine keeps in hand, if it is slow.
    pub(super) held: Option<Vec<Incoming>>,
    /// Snapshots that were offered, and what became of them.
    pub(super) sinks: Vec<SinkState>,
    /// A chunk with this number is refused.
    pub(super) refuse_chunk: Option<usize>,
    /// The sinks do not take more chunks than these.
    pub(super) chunks_max: Option<usize>,
}

/// What a snapshot's sink has seen.
#[derive(Default)]
pub(super) struct SinkState {
    pub(super) chunks: Vec<Bytes>,
    pub(super) finished: Option<Message>,
    pub(super) is_dropped: bool,
}

/// An engine that only remembers.
#[derive(Default)]
pub(super) struct Recorder {
    state: Mutex<Received>,
    changed: Condvar,
}

impl Recorder {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Received) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until something has happened.
    pub(super) fn wait_for<T>(&self, what: &str, happened: impl Fn(&Received) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        loop {
            if let Some(result) = happened(&state) {
                return result;
            }
            assert!(!self.changed.wait_until(&mut state, deadline).timed_out(), "waited in vain for {what}");
        }
    }
}

/// A snapshot's sink that only remembers.
struct RecordingSink {
    engine: Arc<Recorder>,
    place: usize,
}

impl SnapshotSink for RecordingSink {
    fn push(&mut self, chunk: Bytes) -> Result<(), SnapshotFault> {
        let number = self.engine.change(|state| {
            state.sinks[self.place].chunks.push(chunk);
            state.sinks[self.place].chunks.len() - 1
        });
        self.engine.wait_for("leave to go on", |state| {
            state.chunks_max.is_none_or(|max| number < max).then_some(())
        });
        let is_refused = self.engine.change(|state| state.refuse_chunk == Some(number));
        if is_refused { Err("this chunk is damaged".into()) } else { Ok(()) }
    }

    fn finish(self: Box<Self>, message: Message) -> Result<(), SnapshotFault> {
        self.engine.change(|state| state.sinks[self.place].finished = Some(message));
        Ok(())
    }
}

impl Drop for RecordingSink {
    fn drop(&mut self) {
        self.engine.change(|state| state.sinks[self.place].is_dropped = true);
    }
}

struct Engine(Arc<Recorder>);

impl Inbound for Engine {
    fn received(&self, mut batch: Incoming) {
        self.0.change(|state| {
            let from = batch.from;
            state.count += batch.messages.len() as u64;
            if state.messages.len() > MESSAGES_KEPT {
                state.messages.clear();
            }
            state.messages.append(&mut batch.messages);
            state.notes.extend(batch.notes.drain(..).map(|note| (from, note)));
            if let Some(held) = &mut state.held {
                held.push(batch);
            }
        });
    }

    fn removed_by(&self, peer: NodeId) {
        self.0.change(|state| state.removed_by.insert(peer));
    }

    fn snapshot_offered(&self, _: &SnapshotOffer) -> Result<Box<dyn SnapshotSink>, SnapshotFault> {
        let place = self.0.change(|state| {
            state.sinks.push(SinkState::default());
            state.sinks.len() - 1
        });
        Ok(Box::new(RecordingSink { engine: self.0.clone(), place }))
    }
}

/// What a member answers to tools.
pub(super) fn http() -> PeerHttp {
    let body = || crate::grpc::body::ResponseBody::Full(Some("http".into()));
    Arc::new(move |_| Box::pin(async move { http::Response::new(body()) }))
}

/// The recorder as the transport has it.
pub(super) fn inbound(engine: Arc<Recorder>) -> Arc<dyn Inbound> {
    Arc::new(Engine(engine))
}

/// A member's transport, running.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    pub(super) engine: Arc<Recorder>,
    pub(super) metrics: Arc<Metrics>,
    thread: Option<JoinHandle<()>>,
}

pub(super) const CLUSTER: u64 = 0xc1;

impl Member {
    pub(super) fn start(id: u64) -> Member {
        Member::with(id, CLUSTER, TcpListener::bind("127.0.0.1:0").unwrap(), Arc::default())
    }

    pub(super) fn with(id: u64, cluster: u64, listener: TcpListener, engine: Arc<Recorder>) -> Member {
        Member::with_timeouts(id, cluster, listener, engine, [PATIENCE; 2])
    }

    /// One that gives connections up soon.
    pub(super) fn impatient(id: u64, [read, write]: [Duration; 2]) -> Member {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Member::with_timeouts(id, CLUSTER, listener, Arc::default(), [read, write])
    }

    fn with_timeouts(
        id: u64,
        cluster: u64,
        listener: TcpListener,
        engine: Arc<Recorder>,
        [read_timeout, write_timeout]: [Duration; 2],
    ) -> Member {
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity { cluster: ClusterId(cluster), member: MemberId(id) };
        let advertised = vec![format!("http://{address}")];
        let connector = crate::tls::Connector::for_tests();
        let settings = Settings { identity, advertised, read_timeout, write_timeout, connector };
        let metrics = Arc::new(crate::metrics::of_server(MetricsDetail::Basic));
        let transport = Transport::default();
        let thread = TransportThread::new(
            transport.clone(),
            settings,
            Listeners { plain: vec![crate::tls::Listener::Tcp(listener)], secure: None },
            http(),
            inbound(engine.clone()),
            metrics.clone(),
        );
        let thread = thread.unwrap();
        let thread = Some(std::thread::spawn(move || thread.run()));
        Member { id: NodeId(id), address, transport, engine, metrics, thread }
    }

    pub(super) fn peer(&self) -> Peer {
        Peer { id: self.id, urls: vec![format!("http://{}", self.address)] }
    }

    /// Waits until the link to a peer stands.
    pub(super) fn wait_connected(&self, peer: NodeId) {
        wait_until(&format!("{} connects to {peer}", self.id), || {
            self.transport.active_since(peer).is_some()
        });
    }

    pub(super) fn wait_disconnected(&self, peer: NodeId) {
        wait_until(&format!("{} loses {peer}", self.id), || self.transport.active_since(peer).is_none());
    }

    pub(super) fn stop(mut self) -> Arc<Recorder> {
        self.stop_thread();
        self.engine.clone()
    }

    fn stop_thread(&mut self) {
        self.transport.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop_thread();
        }
    }
}

/// Looks again and again, for what nobody announces.
pub(super) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Two members that know each other, connected.
pub(super) fn pair() -> (Member, Member) {
    let (one, two) = (Member::start(1), Member::start(2));
    one.transport.set_peers(vec![one.peer(), two.peer()]);
    two.transport.set_peers(vec![one.peer(), two.peer()]);
    one.wait_connected(two.id);
    two.wait_connected(one.id);
    (one, two)
}

/// An append with one command.
pub(super) fn append(from: &Member, to: NodeId, number: u64, command: impl Into<Bytes>) -> Message {
    let payload = Payload::Command(command.into());
    let entry = Entry { term: Term(1), index: Index(number), payload };
    let body = Body::Append {
        session: Session(1),
        previous: EntryId::new(Index(number - 1), Term(1)),
        entries: vec![entry],
        commit: Index(0),
    };
    Message { from: from.id, incarnation: Incarnation(1), to, term: Term(1), body }
}

/// The index of an append's first entry.
pub(super) fn number(message: &Message) -> u64 {
    let Body::Append { previous, .. } = &message.body else { panic!("{message:?}") };
    previous.index.0 + 1
}

impl Received {
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.messages.iter().map(number).collect()
    }
}
