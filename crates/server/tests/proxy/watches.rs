//! Watches through `grpc-proxy start`: many are one at the member, and each sees what it would see without a proxy.

use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use testkit::{Program, Server, skip};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};

use crate::support::{Proxy, await_metric, channel, member, metric, put};

const WATCHERS: &str = "etcd_debugging_mvcc_watcher_total";
const EVENTS: &str = "etcd_grpc_proxy_events_coalescing_total";
const COALESCED: &str = "etcd_grpc_proxy_watchers_coalescing_total";

/// A watch stream.
pub(crate) struct Stream {
    requests: mpsc::UnboundedSender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

pub(crate) fn create(key: &str, start_revision: i64) -> RequestUnion {
    let create = WatchCreateRequest { key: key.to_owned().into(), start_revision, ..Default::default() };
    RequestUnion::CreateRequest(create)
}

impl Stream {
    /// Opens a stream with its first request.
    pub(crate) async fn open(address: &str, first: RequestUnion) -> Stream {
        Self::of(WatchClient::new(channel(address)), first).await
    }

    async fn of(client: WatchClient<tonic::transport::Channel>, first: RequestUnion) -> Stream {
        let mut client = client.max_decoding_message_size(1 << 30);
        let (requests, receive) = mpsc::unbounded_channel();
        let _ = requests.send(WatchRequest { request_union: Some(first) });
        let request = Request::new(UnboundedReceiverStream::new(receive));
        let responses = client.watch(request).await.expect("a stream").into_inner();
        Stream { requests, responses }
    }

    pub(crate) fn send(&self, request: RequestUnion) {
        let _ = self.requests.send(WatchRequest { request_union: Some(request) });
    }

    pub(crate) async fn next(&mut self) -> WatchResponse {
        self.responses.message().await.expect("a response").expect("a stream goes on")
    }

    /// Returns the status with which the stream ends.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.responses.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }

    /// Returns the revisions of the next events.
    pub(crate) async fn revisions(&mut self, count: usize) -> Vec<i64> {
        let mut revisions = Vec::new();
        while revisions.len() < count {
            let response = self.next().await;
            assert!(!response.canceled, "{response:?}");
            revisions
                .extend(response.events.iter().map(|event| event.kv.as_ref().expect("a key").mod_revision));
        }
        revisions
    }
}

/// Opens streams with fifty watchers of a key each, and holds the member to one.
async fn are_one(member: &Server, count: usize) {
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = Stream::open(&proxy.address(), create("k", 0)).await;
        (1..50).for_each(|_| stream.send(create("k", 0)));
        for id in 0..50 {
            let created = stream.next().await;
            assert!(created.created && created.watch_id == id, "{created:?}");
        }
        streams.push(stream);
    }
    let coalesced = (50 * count - 1) as f64;
    await_metric(&member.client_address(), "/metrics", WATCHERS, 1.0).await;
    assert_eq!(metric(&proxy.address(), "/proxy/metrics", COALESCED), coalesced);
    let events_before = metric(&proxy.address(), "/proxy/metrics", EVENTS);
    let revision = put(&member.client_address(), "k", "v").await;
    for stream in &mut streams {
        assert_eq!(stream.revisions(50).await, vec![revision; 50]);
    }
    assert_eq!(metric(&proxy.address(), "/proxy/metrics", EVENTS) - events_before, coalesced);
    drop(streams);
    await_metric(&member.client_address(), "/metrics", WATCHERS, 0.0).await;
}

#[tokio::test]
async fn a_thousand_watchers_of_a_key_are_one_at_the_member() {
    are_one(&member(), 20).await;
}

#[tokio::test]
async fn watchers_of_a_key_are_one_at_a_member_of_etcd() {
    match Program::etcd() {
        Ok(etcd) => are_one(&Server::start(&etcd, &[]), 4).await,
        Err(why) => skip::announce("watchers_of_a_key_are_one_at_a_member_of_etcd", &why),
    }
}

#[tokio::test]
async fn who_wants_history_gets_it_and_then_shares() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut live = Stream::open(&proxy.address(), create("k", 0)).await;
    assert!(live.next().await.created);
    for number in 0..10 {
        put(&member.client_address(), "k", &number.to_string()).await;
    }
    let mut late = Stream::open(&proxy.address(), create("k", 5)).await;
    assert!(late.next().await.created);
    assert_eq!(live.revisions(10).await, Vec::from_iter(2..12));
    assert_eq!(late.revisions(7).await, Vec::from_iter(5..12));
    put(&member.client_address(), "k", "last").await;
    assert_eq!((live.revisions(1).await, late.revisions(1).await), (vec![12], vec![12]));
    await_metric(&member.client_address(), "/metrics", WATCHERS, 1.0).await;
    // Another range, filter or previous value is another watch.
    let prev_kv =
        WatchCreateRequest { key: "k".into(), prev_kv: true, filters: vec![1], ..Default::default() };
    late.send(RequestUnion::CreateRequest(prev_kv));
    assert_eq!(late.next().await.watch_id, 1);
    put(&member.client_address(), "k", "after").await;
    let mut previous = Vec::new();
    while previous.len() < 2 {
        let response = late.next().await;
        previous.push((response.watch_id, response.events[0].prev_kv.as_ref().map(|kv| kv.value.to_vec())));
    }
    previous.sort();
    assert_eq!(previous, [(0, None), (1, Some(b"last".to_vec()))]);
}

#[tokio::test]
async fn watchers_are_canceled_refused_and_asked_how_far_they_are() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut stream = Stream::open(&proxy.address(), create("k", 0)).await;
    assert!(stream.next().await.created);
    let revision = put(&member.client_address(), "other", "v").await;
    stream.send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
    let progress = stream.next().await;
    assert_eq!((progress.watch_id, progress.header.map(|header| header.revision)), (-1, Some(revision)));
    let chosen = |watch_id| WatchCreateRequest { key: "k".into(), watch_id, ..Default::default() };
    stream.send(RequestUnion::CreateRequest(chosen(5)));
    assert_eq!(stream.next().await.watch_id, 5);
    stream.send(RequestUnion::CreateRequest(chosen(5)));
    let refused = stream.next().await;
    assert!(refused.created && refused.canceled && refused.watch_id == -1, "{refused:?}");
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");
    let backwards = WatchCreateRequest { key: "k".into(), range_end: "a".into(), ..Default::default() };
    stream.send(RequestUnion::CreateRequest(backwards));
    assert_eq!(stream.next().await.cancel_reason, "mvcc: watcher range is empty");
    stream.send(create("k", -1));
    assert_eq!(stream.next().await.cancel_reason, "etcdserver: mvcc: required revision has been compacted");
    stream.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 5 }));
    let canceled = stream.next().await;
    assert!(canceled.canceled && canceled.watch_id == 5);
    put(&member.client_address(), "k", "v").await;
    assert_eq!(stream.next().await.watch_id, 0);
}

#[tokio::test]
async fn a_watch_from_what_is_compacted_ends() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    for _ in 0..5 {
        put(&member.client_address(), "k", "v").await;
    }
    let compaction = proto::etcdserverpb::CompactionRequest { revision: 5, physical: false };
    crate::support::kv(&proxy.address()).compact(compaction).await.unwrap();
    let mut stream = Stream::open(&proxy.address(), create("k", 2)).await;
    assert!(stream.next().await.created);
    let ended = stream.next().await;
    assert_eq!((ended.canceled, ended.watch_id, ended.compact_revision), (true, 0, 5));
}

/// The one that does not read has its watcher taken off what it shares, and goes on where it was.
#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    const PUTS: usize = 400;
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let small = Endpoint::from_shared(format!("http://{}", proxy.address())).unwrap();
    let small =
        small.initial_stream_window_size(64 << 10).initial_connection_window_size(64 << 10).connect_lazy();
    let mut slow = Stream::of(WatchClient::new(small), create("k", 0)).await;
    assert!(slow.next().await.created);
    let mut quick = Stream::open(&proxy.address(), create("k", 0)).await;
    assert!(quick.next().await.created);
    let value = "x".repeat(64 << 10);
    let puts = async {
        for _ in 0..PUTS {
            put(&member.client_address(), "k", &value).await;
        }
    };
    let (revisions, ()) = tokio::join!(quick.revisions(PUTS), puts);
    assert_eq!(revisions, Vec::from_iter(2..2 + PUTS as i64));
    // It shares nothing any more.
    assert_eq!(metric(&proxy.address(), "/proxy/metrics", COALESCED), 0.0);
    assert_eq!(slow.revisions(PUTS).await, Vec::from_iter(2..2 + PUTS as i64));
    let last = put(&member.client_address(), "k", "v").await;
    assert_eq!((quick.revisions(1).await, slow.revisions(1).await), (vec![last], vec![last]));
    await_metric(&member.client_address(), "/metrics", WATCHERS, 1.0).await;
}
