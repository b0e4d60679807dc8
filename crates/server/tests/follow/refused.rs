//! A cluster that follows refuses every kind of write, and says whom it follows.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::Server;
use tonic::{Code, Status};

use crate::support::{caught_up, channel, follower, get, put, put_request, quorate};

fn check(what: &str, source: &Server, refused: Result<(), Status>) {
    let status = refused.expect_err(what);
    assert_eq!(status.code(), Code::FailedPrecondition, "{what}: {status}");
    let (text, source) = (status.message(), source.client_address());
    assert!(text.contains(&source) && text.contains("quoratectl follow cutover"), "{what}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_taken_while_another_cluster_is_followed() {
    let source = Server::start(&quorate(), &[]);
    put(&source, "k", "v").await.expect("a put");
    let member = follower(&source);
    caught_up(&member, &source).await;
    let mut kv = KvClient::new(channel(&member));
    check("put", &source, kv.put(put_request("k", "w", 0)).await.map(drop));
    let delete = || pb::DeleteRangeRequest { key: "k".into(), ..Default::default() };
    check("delete", &source, kv.delete_range(delete()).await.map(drop));
    let operation = |request| vec![pb::RequestOp { request: Some(request) }];
    let nested = pb::TxnRequest {
        failure: operation(pb::request_op::Request::RequestDeleteRange(delete())),
        ..Default::default()
    };
    let txn = pb::TxnRequest {
        success: operation(pb::request_op::Request::RequestTxn(nested)),
        ..Default::default()
    };
    check("txn", &source, kv.txn(txn).await.map(drop));
    check(
        "compact",
        &source,
        kv.compact(pb::CompactionRequest { revision: 1, physical: false }).await.map(drop),
    );
    let mut leases = LeaseClient::new(channel(&member));
    check("grant", &source, leases.lease_grant(pb::LeaseGrantRequest { id: 1, ttl: 60 }).await.map(drop));
    check("revoke", &source, leases.lease_revoke(pb::LeaseRevokeRequest { id: 1 }).await.map(drop));
    let alive = tokio_stream::iter([pb::LeaseKeepAliveRequest { id: 1 }]);
    let kept = match leases.lease_keep_alive(alive).await {
        Ok(answers) => answers.into_inner().message().await.map(drop),
        Err(status) => Err(status),
    };
    check("keepalive", &source, kept);
    let mut auth = AuthClient::new(channel(&member));
    check("enable", &source, auth.auth_enable(pb::AuthEnableRequest {}).await.map(drop));
    let user =
        pb::AuthUserAddRequest { name: "u".to_owned(), password: "p".to_owned(), ..Default::default() };
    check("user", &source, auth.user_add(user).await.map(drop));
    check("role", &source, auth.role_add(pb::AuthRoleAddRequest { name: "r".to_owned() }).await.map(drop));
    // A transaction that only reads is none of them, nested or not.
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    let nested = pb::TxnRequest {
        success: operation(pb::request_op::Request::RequestRange(range)),
        ..Default::default()
    };
    let txn = pb::TxnRequest {
        success: operation(pb::request_op::Request::RequestTxn(nested)),
        ..Default::default()
    };
    kv.txn(txn).await.expect("it only reads");
    assert_eq!(get(&member, "k").await.expect("a read"), Some("v".to_owned()));
}
