//! The client to whom nothing may happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// Written over and over, and watched.
const KEY: &str = "neighbour";
/// Attached to the lease.
const LOCK: &str = "lock";
const LEASE: i64 = 7;
/// Seconds. A member that serves nobody for so long has failed whatever the machine.
const TTL: i64 = 10;
/// Writes between which the lease is renewed.
const WRITES_PER_RENEWAL: i64 = 50;
/// Writes after everything heavy is over.
const LAST_WRITES: i64 = 50;

/// Runs on a thread of its own until it is finished.
pub(crate) struct Neighbour {
    thread: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
    written: Arc<AtomicI64>,
}

impl Neighbour {
    /// Returns when it has written something.
    pub(crate) fn start(address: String) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicI64::new(0));
        let (over, count) = (is_over.clone(), written.clone());
        let thread = std::thread::spawn(move || crate::runtime().block_on(live(&address, &over, &count)));
        let neighbour = Self { thread, is_over, written };
        testkit::wait::until("the neighbour writes", || {
            assert!(!neighbour.thread.is_finished(), "the neighbour has ended");
            (neighbour.written.load(Ordering::Relaxed) > 0).then_some(())
        });
        neighbour
    }

    /// Has it write some more, and look at what it has.
    pub(crate) async fn finish(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await.expect("a thread that waits");
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    }
}

async fn live(address: &str, is_over: &AtomicBool, count: &AtomicI64) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let channel = endpoint.connect().await.expect("a server that serves accepts a connection");
    let mut kv = KvClient::new(channel.clone());
    let mut events = read_on(watch(channel.clone()).await);
    let mut lease = Lease::grant(channel, &mut kv).await;
    let mut left = LAST_WRITES;
    let mut written = Vec::new();
    while left > 0 {
        let number = written.len() as i64;
        written.push(write_and_read(&mut kv, number).await);
        count.store(number + 1, Ordering::Relaxed);
        if number % WRITES_PER_RENEWAL == 0 {
            lease.renew().await;
        }
        left -= i64::from(is_over.load(Ordering::Relaxed));
    }
    let mut shown = Vec::new();
    while shown.len() < written.len() {
        let response = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        let response =
            response.expect("events arrive").expect("the watch goes on").expect("the watch goes on");
        assert!(!response.canceled, "{}", response.cancel_reason);
        shown.extend(response.events.into_iter().map(|event| {
            let kv = event.kv.expect("a key");
            (kv.value.to_vec(), kv.mod_revision)
        }));
    }
    assert_eq!(shown, written, "every write is shown once, in order");
    lease.renew().await;
    let lock = kv.range(pb::RangeRequest { key: LOCK.into(), ..Default::default() }).await.expect("a read");
    assert_eq!(lock.into_inner().count, 1, "the lock is there");
}

/// Writes the key, and returns what was written at which revision.
async fn write_and_read(kv: &mut KvClient<Channel>, number: i64) -> (Vec<u8>, i64) {
    let value = number.to_string().into_bytes();
    let put = pb::PutRequest { key: KEY.into(), value: value.clone().into(), ..Default::default() };
    let revision = kv.put(put).await.expect("a write").into_inner().header.expect("a header").revision;
    let found = kv.range(pb::RangeRequest { key: KEY.into(), ..Default::default() }).await.expect("a read");
    let found = &found.into_inner().kvs[0];
    assert_eq!((&found.value[..], found.mod_revision), (&value[..], revision));
    (value, revision)
}

type Events = tonic::Streaming<pb::WatchResponse>;

async fn watch(channel: Channel) -> Events {
    let create = pb::WatchCreateRequest { key: KEY.into(), ..Default::default() };
    let union = pb::watch_request::RequestUnion::CreateRequest(create);
    let (requests, receiver) = mpsc::channel(1);
    requests.send(pb::WatchRequest { request_union: Some(union) }).await.expect("a receiver");
    // The stream of requests stays open: its end would be that of the watch.
    let requests = ReceiverStream::new(receiver).chain(tokio_stream::once(requests).filter_map(|_| None));
    let mut events = WatchClient::new(channel).watch(requests).await.expect("a stream").into_inner();
    assert!(events.next().await.expect("an answer").expect("an answer").created);
    events
}

/// Reads a watch while others write: h2 closes a connection on which too many small frames wait to be read.
fn read_on(mut events: Events) -> mpsc::UnboundedReceiver<Result<pb::WatchResponse, tonic::Status>> {
    let (read, responses) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(response) = events.next().await {
            // Nobody wants to know any more.
            if read.send(response).is_err() {
                return;
            }
        }
    });
    responses
}

/// A lease with a lock on it, and the stream that renews it.
struct Lease {
    requests: mpsc::Sender<pb::LeaseKeepAliveRequest>,
    answers: tonic::Streaming<pb::LeaseKeepAliveResponse>,
}

impl Lease {
    async fn grant(channel: Channel, kv: &mut KvClient<Channel>) -> Self {
        let mut client = LeaseClient::new(channel);
        client.lease_grant(pb::LeaseGrantRequest { ttl: TTL, id: LEASE }).await.expect("a lease");
        let lock = pb::PutRequest { key: LOCK.into(), lease: LEASE, ..Default::default() };
        kv.put(lock).await.expect("a write");
        let (requests, receiver) = mpsc::channel(1);
        requests.send(pb::LeaseKeepAliveRequest { id: LEASE }).await.expect("a receiver");
        let answers = client.lease_keep_alive(ReceiverStream::new(receiver)).await.expect("a stream");
        let mut lease = Self { requests, answers: answers.into_inner() };
        lease.renewed().await;
        lease
    }

    async fn renew(&mut self) {
        self.requests.send(pb::LeaseKeepAliveRequest { id: LEASE }).await.expect("a stream that is open");
        self.renewed().await;
    }

    async fn renewed(&mut self) {
        let answer = self.answers.next().await.expect("an answer").expect("an answer");
        assert_eq!((answer.id, answer.ttl), (LEASE, TTL), "the lease lives");
    }
}
