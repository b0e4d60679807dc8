//! Writers, readers and a watcher on all members, while something happens to one of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use testkit::{Cluster, Random, wait};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::client::channel;
use crate::history::{Known, Note, Tape, follow};
use crate::writer::{Load, Writer};

/// Writers on each member.
const WRITERS: usize = 2;

/// A client that was refused does not come back at once.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients at work.
pub(crate) struct Traffic {
    notes: UnboundedReceiver<Note>,
    stop: Arc<AtomicBool>,
    end_of_watch: oneshot::Sender<()>,
    watcher: JoinHandle<Tape>,
    writers: Vec<JoinHandle<BTreeSet<String>>>,
    readers: Vec<JoinHandle<BTreeSet<String>>>,
    /// Reads that were answered, of each member.
    reads: Vec<Arc<AtomicUsize>>,
    /// The newest revision that was acknowledged: what every read that begins now must see.
    acknowledged: Arc<AtomicI64>,
}

impl Traffic {
    /// Sets clients to work; `watched` is the member that the watcher asks. What they find is to be taken over into
    /// `known`, which forgets what was acknowledged before.
    pub(crate) fn start(
        cluster: &Cluster,
        load: Load,
        name: &str,
        mut random: Random,
        watched: usize,
        known: &mut Known,
    ) -> Traffic {
        known.acknowledged.clear();
        let seen = Arc::new(AtomicI64::new(known.seen()));
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicI64::new(known.newest));
        let (send, notes) = unbounded_channel();
        let (end_of_watch, ended) = oneshot::channel::<()>();
        let channels: Vec<Channel> = cluster.members().iter().map(channel).collect();
        let watcher = follow(channels[watched].clone(), seen.clone(), async move { drop(ended.await) });
        let writers = (0..WRITERS * channels.len()).map(|number| {
            let job = Job {
                channel: channels[number % channels.len()].clone(),
                load,
                name: format!("{name}w{number}"),
                seen: seen.clone(),
                notes: send.clone(),
            };
            tokio::spawn(job.write(Random::stream(random.draw(), number as u64), stop.clone()))
        });
        let writers = writers.collect();
        let reads: Vec<Arc<AtomicUsize>> = channels.iter().map(|_| Arc::default()).collect();
        let readers = channels.into_iter().zip(&reads).map(|(channel, answered)| {
            tokio::spawn(read(channel, acknowledged.clone(), answered.clone(), stop.clone()))
        });
        let readers = readers.collect();
        let watcher = tokio::spawn(watcher);
        Traffic { notes, stop, end_of_watch, watcher, writers, readers, reads, acknowledged }
    }

    /// Waits until so many more writes have been acknowledged.
    pub(crate) async fn go_on(&mut self, known: &mut Known, writes: usize) {
        let enough = known.acknowledged.len() + writes;
        while known.acknowledged.len() < enough {
            let mut clients = self.writers.iter().chain(&self.readers);
            assert!(!clients.any(JoinHandle::is_finished), "a client saw something wrong");
            let note = tokio::time::timeout(wait::DEADLINE, self.notes.recv()).await;
            self.take(known, note.expect("writes are acknowledged").expect("writers write"));
        }
    }

    /// Waits until each of these members has answered another read.
    pub(crate) async fn read_on(&mut self, known: &mut Known, members: &[usize]) {
        let count = |traffic: &Traffic, member: usize| traffic.reads[member].load(Ordering::Relaxed);
        // The read that is under way now may have begun earlier.
        let enough: Vec<usize> = members.iter().map(|member| count(self, *member) + 2).collect();
        while members.iter().zip(&enough).any(|(member, enough)| count(self, *member) < *enough) {
            self.go_on(known, 1).await;
        }
    }

    fn take(&self, known: &mut Known, note: Note) {
        known.take(note);
        self.acknowledged.store(known.newest, Ordering::Relaxed);
    }

    /// Waits for everybody to finish. What clients were told instead of an answer, sorted.
    pub(crate) async fn stop(mut self, known: &mut Known) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(note) = self.notes.recv().await {
            self.take(known, note);
        }
        let mut refusals = BTreeSet::new();
        for client in self.writers.into_iter().chain(self.readers) {
            refusals.extend(client.await.expect("a client sees nothing wrong"));
        }
        drop(self.end_of_watch);
        known.followed.append(&mut self.watcher.await.expect("the watcher sees nothing wrong"));
        refusals.into_iter().collect()
    }
}

/// What a writer is told.
struct Job {
    channel: Channel,
    load: Load,
    name: String,
    seen: Arc<AtomicI64>,
    notes: UnboundedSender<Note>,
}

impl Job {
    /// Writes until told to stop. After a failure it goes on with new values: what came of the last one is not known.
    async fn write(self, mut random: Random, stop: Arc<AtomicBool>) -> BTreeSet<String> {
        let mut refusals = BTreeSet::new();
        for life in 0_u64.. {
            let (seen, notes) = (self.seen.clone(), self.notes.clone());
            let random = Random::stream(random.draw(), life);
            let name = format!("{}l{life}", self.name);
            let writer = Writer::new(&self.channel, self.load, name, random, seen, notes);
            let Some(status) = writer.run(stop.clone()).await else { break };
            refusals.insert(refusal(&status));
            tokio::time::sleep(PAUSE).await;
        }
        refusals
    }
}

/// Reads from one member again and again. What it answers must not be older than what was acknowledged before it was asked.
async fn read(
    channel: Channel,
    acknowledged: Arc<AtomicI64>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> BTreeSet<String> {
    let mut kv = KvClient::new(channel);
    let mut refusals = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        let due = acknowledged.load(Ordering::Relaxed);
        match kv.range(pb::RangeRequest { key: "key/0".into(), ..pb::RangeRequest::default() }).await {
            Ok(reply) => {
                let shown = reply.into_inner().header.expect("a reply has a header").revision;
                assert!(shown >= due, "a read shows r{shown}, and r{due} was acknowledged before it");
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => drop(refusals.insert(refusal(&status))),
        }
        tokio::time::sleep(PAUSE).await;
    }
    refusals
}

/// What a client is told must be etcd's, or come of a connection that broke.
pub(crate) fn refusal(status: &Status) -> String {
    let text = status.message();
    let is_told = match status.code() {
        Code::Unavailable | Code::ResourceExhausted => text.starts_with("etcdserver: "),
        // Nobody led for as long as a request waits.
        Code::DeadlineExceeded => text == "context deadline exceeded" || text.starts_with("etcdserver: "),
        _ => false,
    };
    // A status that did not come from a server has a source.
    let is_broken = std::error::Error::source(status).is_some();
    assert!(is_told || is_broken, "{status}");
    if is_told { text.to_owned() } else { "a broken connection".to_owned() }
}
