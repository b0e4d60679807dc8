//! Bad neighbours: requests that cost much, beside a client that has a lease, a watch, and writes and reads small keys.
//!
//! What is looked at are results and never times: the lease lives, the watch shows every write once and in order, what is read
//! is what was written, and the member is there afterwards. How fast it is meanwhile, `cargo xtask bench` shows.

mod neighbour;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::watch_client::WatchClient;
use testkit::{Program, Server};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

use self::neighbour::Neighbour;

/// Keys of the heavy client, each written twice.
const KEYS: usize = 20_000;
const VALUE_BYTES: usize = 512;
const KEYS_IN_A_TRANSACTION: usize = 100;
/// Operations in a transaction, by default.
const OPERATIONS_MAX: usize = 128;
const PREFIX: &str = "heavy/";
const PREFIX_END: &str = "heavy0";

fn subject() -> Result<Program, String> {
    Program::subject(env!("CARGO_BIN_EXE_quorate"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL");
    endpoint.connect().await.expect("a server that serves accepts a connection")
}

/// The heavy client: one connection, and a reply may have any length.
async fn heavy(server: &Server) -> KvClient<Channel> {
    KvClient::new(connect(server).await).max_decoding_message_size(usize::MAX)
}

fn all() -> pb::RangeRequest {
    pb::RangeRequest { key: PREFIX.into(), range_end: PREFIX_END.into(), ..Default::default() }
}

fn operation(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn put(key: String, value: Vec<u8>) -> Request {
    Request::RequestPut(pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() })
}

/// Writes every key once, and returns the revision.
async fn fill(kv: &mut KvClient<Channel>, byte: u8) -> i64 {
    let mut revision = 0;
    for first in (0..KEYS).step_by(KEYS_IN_A_TRANSACTION) {
        let put = |number| operation(put(format!("{PREFIX}{number:08}"), vec![byte; VALUE_BYTES]));
        let success = (first..first + KEYS_IN_A_TRANSACTION).map(put).collect();
        let response = kv.txn(pb::TxnRequest { success, ..Default::default() }).await.expect("a write");
        revision = response.into_inner().header.expect("a header").revision;
    }
    revision
}

/// Does something heavy beside a neighbour, to whom nothing may happen.
fn beside(test: &str, heavy: impl AsyncFnOnce(&Server, i64)) {
    beside_within(test, &[], heavy);
}

/// The same, with a server that has these flags.
fn beside_within(test: &str, flags: &[&str], heavy: impl AsyncFnOnce(&Server, i64)) {
    let program = match subject() {
        Ok(program) => program,
        Err(why) => return testkit::skip::excuse(test, &why),
    };
    let server = Server::start(&program, flags);
    runtime().block_on(async {
        let mut kv = self::heavy(&server).await;
        let past = fill(&mut kv, b'a').await;
        fill(&mut kv, b'b').await;
        let neighbour = Neighbour::start(server.client_address());
        heavy(&server, past).await;
        neighbour.finish().await;
    });
}

#[test]
fn lists_of_everything() {
    beside("neighbours::lists", async |server, past| {
        let mut kv = heavy(server).await;
        for revision in [0, past, 0, past] {
            let found = kv.range(pb::RangeRequest { revision, ..all() }).await.expect("a list").into_inner();
            let byte = if revision == 0 { b'b' } else { b'a' };
            assert_eq!((found.count, found.kvs.len(), found.more), (KEYS as i64, KEYS, false));
            assert!(found.kvs.iter().all(|kv| kv.value.len() == VALUE_BYTES && kv.value[0] == byte));
        }
        let (order, target) = (SortOrder::Descend as i32, SortTarget::Mod as i32);
        let sorted = pb::RangeRequest { sort_order: order, sort_target: target, limit: 3, ..all() };
        let found = kv.range(sorted).await.expect("a sorted list").into_inner();
        assert_eq!((found.count, found.kvs.len(), found.more), (KEYS as i64, 3, true));
        assert!(found.kvs.is_sorted_by_key(|kv| -kv.mod_revision));
    });
}

#[test]
fn many_lists_at_once_and_some_that_nobody_waits_for() {
    beside("neighbours::many", async |server, past| {
        let mut lists = tokio::task::JoinSet::new();
        for number in 0..24 {
            let mut kv = heavy(server).await;
            lists.spawn(async move {
                let revision = if number % 2 == 0 { past } else { 0 };
                let list = kv.range(pb::RangeRequest { revision, ..all() });
                if number % 3 == 0 {
                    // It is on its way when its client has gone.
                    let _ = tokio::time::timeout(std::time::Duration::from_millis(number), list).await;
                    return KEYS;
                }
                list.await.expect("a list").into_inner().kvs.len()
            });
        }
        assert!(lists.join_all().await.into_iter().all(|keys| keys == KEYS));
    });
}

#[test]
fn streams_in_any_order() {
    beside("neighbours::streams", async |server, past| {
        let mut kv = heavy(server).await;
        for (revision, target) in [(0, SortTarget::Key), (past, SortTarget::Key), (0, SortTarget::Value)] {
            let asked = pb::RangeRequest { revision, sort_target: target as i32, ..all() };
            let stream = kv.range_stream(asked).await.expect("a stream").into_inner();
            let parts: Vec<_> =
                stream.map(|part| part.expect("a part").range_response.expect("one")).collect().await;
            assert_eq!(parts.iter().map(|part| part.kvs.len()).sum::<usize>(), KEYS);
            assert_eq!(parts.last().expect("a last part").count, KEYS as i64);
        }
    });
}

/// A transaction that only reads is not in the log; what it shows is of one moment.
#[test]
fn a_transaction_of_as_many_lists_as_there_may_be() {
    beside("neighbours::reads", async |server, _| {
        let mut kv = heavy(server).await;
        let list = || operation(Request::RequestRange(pb::RangeRequest { keys_only: true, ..all() }));
        let success = std::iter::repeat_with(list).take(OPERATIONS_MAX).collect();
        let reply = kv.txn(pb::TxnRequest { success, ..Default::default() }).await.expect("a reply");
        let counts = lists(reply.into_inner()).map(|found| found.kvs.len());
        assert_eq!(counts.collect::<Vec<_>>(), [KEYS; OPERATIONS_MAX]);
    });
}

/// A transaction that writes is applied by everybody, and by nobody are its lists made while others wait for theirs.
#[test]
fn lists_in_a_transaction_that_writes() {
    beside("neighbours::writes", async |server, _| {
        let mut kv = heavy(server).await;
        let list = || operation(Request::RequestRange(all()));
        let more = || operation(put(format!("{PREFIX}more"), b"c".to_vec()));
        let (key, range_end) = (PREFIX.into(), format!("{PREFIX}0000000").into());
        let delete =
            Request::RequestDeleteRange(pb::DeleteRangeRequest { key, range_end, ..Default::default() });
        let success = vec![list(), more(), list(), operation(delete), list()];
        let reply =
            kv.txn(pb::TxnRequest { success, ..Default::default() }).await.expect("a reply").into_inner();
        let revision = reply.header.expect("a header").revision;
        let shown: Vec<_> = lists(reply)
            .map(|found| (found.kvs.len(), found.count, found.header.expect("a header").revision))
            .collect();
        let row = |keys: usize, revision| (keys, keys as i64, revision);
        assert_eq!(shown, [row(KEYS, revision - 1), row(KEYS + 1, revision), row(KEYS + 1, revision)]);
    });
}

/// The lists in the reply to a transaction.
fn lists(reply: pb::TxnResponse) -> impl Iterator<Item = pb::RangeResponse> {
    reply.responses.into_iter().filter_map(|response| match response.response {
        Some(Response::ResponseRange(found)) => Some(found),
        _ => None,
    })
}

#[test]
fn compares_over_everything() {
    beside("neighbours::compares", async |server, _| {
        let mut kv = heavy(server).await;
        let compare = || pb::Compare {
            key: PREFIX.into(),
            range_end: PREFIX_END.into(),
            target: CompareTarget::Create as i32,
            result: CompareResult::Greater as i32,
            target_union: Some(TargetUnion::CreateRevision(0)),
        };
        let compare: Vec<_> = std::iter::repeat_with(compare).take(OPERATIONS_MAX).collect();
        let success = vec![operation(put("compared".to_owned(), b"yes".to_vec()))];
        let reply = kv.txn(pb::TxnRequest { compare, success, ..Default::default() }).await.expect("a reply");
        assert!(reply.into_inner().succeeded);
    });
}

#[test]
fn hashes_of_everything() {
    beside("neighbours::hashes", async |server, past| {
        let mut hashes = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut maintenance = MaintenanceClient::new(connect(server).await);
            hashes.spawn(async move {
                let asked = pb::HashKvRequest { revision: past };
                maintenance.hash_kv(asked).await.expect("a hash").into_inner().hash
            });
        }
        let hashes = hashes.join_all().await;
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    });
}

#[test]
fn a_deletion_of_everything() {
    beside("neighbours::deletion", async |server, past| {
        let mut kv = heavy(server).await;
        let delete =
            pb::DeleteRangeRequest { key: PREFIX.into(), range_end: PREFIX_END.into(), prev_kv: true };
        let deleted = kv.delete_range(delete).await.expect("a deletion").into_inner();
        assert_eq!((deleted.deleted, deleted.prev_kvs.len()), (KEYS as i64, KEYS));
        let found = kv.range(all()).await.expect("a list").into_inner();
        assert_eq!((found.count, found.kvs.len()), (0, 0));
        let found =
            kv.range(pb::RangeRequest { revision: past, ..all() }).await.expect("a list").into_inner();
        assert_eq!((found.count, found.kvs.len()), (KEYS as i64, KEYS));
    });
}

/// Watches that nobody reads, on connections of their own. What waits for them is more than there is memory for.
#[test]
fn many_watches_that_are_not_read() {
    const STREAMS: usize = 40;
    const WATCHED: usize = 4_000;
    let flags = ["--memory-limit=134217728"];
    beside_within("neighbours::watches", &flags, async |server, _| {
        let mut watches = Vec::new();
        for _ in 0..STREAMS {
            watches.push(watch_from_the_start(connect(server).await, WATCHED).await);
        }
        let newest = fill(&mut heavy(server).await, b'c').await;
        let exceeded = || {
            let metrics = testkit::http::get(&server.client_address(), "/metrics").body;
            let line = metrics.lines().find_map(|line| {
                line.strip_prefix("quorate_memory_exceeded_total{share=\"watch_queues\"} ").map(str::to_owned)
            });
            line.expect("the metric").parse::<f64>().expect("a number")
        };
        // The watches are fed when others have had their turn.
        testkit::wait::until("the queues of all are full", || (exceeded() >= 1.0).then_some(()));
        for watch in &mut watches {
            let (mut events, mut last) = (0, 0);
            while events < 3 * WATCHED {
                let response = watch.next().await.expect("an event").expect("an event");
                for event in response.events {
                    let revision = event.kv.expect("a pair").mod_revision;
                    assert!(last <= revision && revision <= newest, "in order, and each once");
                    (events, last) = (events + 1, revision);
                }
            }
            assert_eq!(events, 3 * WATCHED);
        }
    });
}

/// Watches so many keys from the first revision on.
async fn watch_from_the_start(channel: Channel, keys: usize) -> tonic::Streaming<pb::WatchResponse> {
    let create = pb::WatchCreateRequest {
        key: PREFIX.into(),
        range_end: format!("{PREFIX}{keys:08}").into(),
        start_revision: 2,
        ..Default::default()
    };
    let request =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    // The end of the requests would be that of the watch.
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let mut watch = WatchClient::new(channel).watch(requests).await.expect("a stream").into_inner();
    assert!(watch.next().await.expect("an answer").expect("an answer").created);
    watch
}
