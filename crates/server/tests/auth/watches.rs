//! A watch is checked again when users or permissions have changed (rule V6).

use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use testkit::{Server, wait};
use tokio_stream::StreamExt;
use tonic::Streaming;

use crate::call::with_token;
use crate::program;
use crate::world::{CHEAP, Client};

const DENIED: &str = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";

async fn watch(client: &Client) -> Streaming<pb::WatchResponse> {
    let create = pb::WatchCreateRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let stream = WatchClient::new(client.channel.clone())
        .watch(with_token(requests, client.token.as_deref()))
        .await
        .expect("a stream");
    let mut stream = stream.into_inner();
    let created = next(&mut stream).await;
    assert!(created.created && !created.canceled, "{created:?}");
    stream
}

async fn next(stream: &mut Streaming<pb::WatchResponse>) -> pb::WatchResponse {
    let message = tokio::time::timeout(wait::DEADLINE, stream.message()).await.expect("an answer in time");
    message.expect("the stream goes on").expect("the stream goes on")
}

#[tokio::test]
async fn a_watch_ends_before_it_gets_what_its_user_may_not_read_any_more() {
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let mut of_reader = watch(&nobody.login("reader").await.unwrap()).await;
    let mut of_root = watch(&root).await;
    root.put("k", "seen").await.unwrap();
    assert_eq!(next(&mut of_reader).await.events.len(), 1);
    // A change that takes nothing away ends nothing.
    root.add_user("other").await.unwrap();
    root.put("k", "seen too").await.unwrap();
    assert_eq!(next(&mut of_reader).await.events.len(), 1);
    root.revoke_role("reader", "reader").await;
    root.put("k", "secret").await.unwrap();
    let cancelled = next(&mut of_reader).await;
    assert!(cancelled.canceled && cancelled.events.is_empty(), "{cancelled:?}");
    assert_eq!(cancelled.cancel_reason, DENIED);
    for _ in 0..3 {
        assert!(!next(&mut of_root).await.canceled);
    }
}

/// Without a change of a key, too.
#[tokio::test]
async fn a_watch_of_a_deleted_user_or_of_nobody_ends_at_once() {
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let mut of_nobody = watch(&nobody).await;
    let root = nobody.found().await;
    assert_eq!(next(&mut of_nobody).await.cancel_reason, DENIED);
    let mut of_reader = watch(&nobody.login("reader").await.unwrap()).await;
    root.delete_user("reader").await.unwrap();
    assert_eq!(next(&mut of_reader).await.cancel_reason, DENIED);
}
