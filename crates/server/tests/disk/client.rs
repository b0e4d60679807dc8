//! The few calls these tests make.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::mvccpb::{Event, KeyValue};
use testkit::server::Ended;
use testkit::{Program, Server};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

/// The binary that Cargo built.
pub(crate) fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}

/// A connection to a server that serves.
pub(crate) async fn connect(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL");
    endpoint.connect().await.expect("a server that serves accepts a connection")
}

pub(crate) fn kv(channel: &Channel) -> KvClient<Channel> {
    KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX)
}

/// Puts; returns the revision.
pub(crate) async fn put(channel: &Channel, key: &str, value: &str) -> Result<i64, Status> {
    let request = pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..pb::PutRequest::default()
    };
    let reply = kv(channel).put(request).await.map(Response::into_inner)?;
    Ok(reply.header.expect("a reply has a header").revision)
}

/// All keys at a revision (0: the newest).
pub(crate) async fn range(channel: &Channel, revision: i64) -> Result<Vec<KeyValue>, Status> {
    let all = b"\0".as_slice();
    let request =
        pb::RangeRequest { key: all.into(), range_end: all.into(), revision, ..pb::RangeRequest::default() };
    kv(channel).range(request).await.map(|reply| reply.into_inner().kvs)
}

/// All events up to `newest`, or the reason why not all of them came.
pub(crate) async fn history(channel: &Channel, newest: i64) -> Result<Vec<Event>, String> {
    let create = pb::WatchCreateRequest {
        key: b"\0".as_slice().into(),
        range_end: b"\0".as_slice().into(),
        start_revision: 1,
        prev_kv: true,
        ..pb::WatchCreateRequest::default()
    };
    let request =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
    let mut client = WatchClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
    let mut responses = client.watch(requests).await.map_err(|status| status.to_string())?.into_inner();
    let mut events = Vec::<Event>::new();
    while events.last().and_then(|event| event.kv.as_ref()).is_none_or(|kv| kv.mod_revision < newest) {
        match responses.message().await {
            Ok(Some(response)) if !response.canceled => events.extend(response.events),
            ended => return Err(format!("{ended:?}")),
        }
    }
    Ok(events)
}

/// The reason of a refused start: exit code 1, and a last line of the log that says it.
pub(crate) fn refusal(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let last = ended.stderr.lines().last().expect("a refusal is logged");
    let line: serde_json::Value = serde_json::from_str(last).expect("a line of JSON");
    assert_eq!(line["level"], "fatal", "{last}");
    line["error"].as_str().expect("a refusal has a reason").to_owned()
}
