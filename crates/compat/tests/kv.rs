//! Keys, ranges, transactions, compaction.

mod common;

use etcd_client::{
    CompactionOptions, Compare, CompareOp, DeleteOptions, Error, GetOptions, GetResponse, PutOptions,
    SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse,
};

fn keys(response: &GetResponse) -> Vec<&str> {
    response.kvs().iter().map(|kv| kv.key_str().unwrap()).collect()
}

fn text(error: Error) -> String {
    match error {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn puts_and_their_options() {
    let (_member, mut client) = common::member().await;
    let first = client.put("a", "1", None).await.unwrap();
    assert_eq!(first.header().unwrap().revision(), 2);
    assert!(first.prev_key().is_none());
    let second = client.put("a", "2", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(second.prev_key().unwrap().value_str().unwrap(), "1");
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.put("a", "", Some(PutOptions::new().with_lease(lease).with_ignore_value())).await.unwrap();
    client.put("a", "3", Some(PutOptions::new().with_ignore_lease())).await.unwrap();
    let found = client.get("a", None).await.unwrap();
    let kv = &found.kvs()[0];
    assert_eq!((kv.value_str().unwrap(), kv.lease(), kv.version()), ("3", lease, 4));
    assert_eq!((kv.create_revision(), kv.mod_revision()), (2, 5));

    let refused = client.put("", "1", None).await.unwrap_err();
    assert_eq!(text(refused), "etcdserver: key is not provided");
    let refused = client.put("b", "", Some(PutOptions::new().with_ignore_value())).await.unwrap_err();
    assert_eq!(text(refused), "etcdserver: key not found");
    let refused = client.put("b", "1", Some(PutOptions::new().with_lease(77))).await.unwrap_err();
    assert_eq!(text(refused), "etcdserver: requested lease not found");
}

#[tokio::test]
async fn ranges_and_their_options() {
    let (_member, mut client) = common::member().await;
    for (key, value) in [("k1", "c"), ("k2", "a"), ("k3", "b"), ("x", "x")] {
        client.put(key, value, None).await.unwrap();
    }
    client.put("k1", "d", None).await.unwrap();
    let options = GetOptions::new;
    let mut get = async |key: &str, options| client.get(key, Some(options)).await.unwrap();

    assert_eq!(keys(&get("k", options().with_prefix()).await), ["k1", "k2", "k3"]);
    assert_eq!(keys(&get("k2", options().with_from_key()).await), ["k2", "k3", "x"]);
    assert_eq!(keys(&get("k1", options().with_range("k3")).await), ["k1", "k2"]);
    assert_eq!(keys(&get("", options().with_all_keys().with_serializable()).await).len(), 4);
    let limited = get("k", options().with_prefix().with_limit(2)).await;
    assert_eq!((keys(&limited), limited.more(), limited.count()), (vec!["k1", "k2"], true, 3));
    let counted = get("k", options().with_prefix().with_count_only()).await;
    assert_eq!((counted.kvs().len(), counted.count()), (0, 3));
    let bare = get("k1", options().with_keys_only()).await;
    assert_eq!(bare.kvs()[0].value(), b"");
    let old = get("k1", options().with_revision(2)).await;
    assert_eq!(old.kvs()[0].value_str().unwrap(), "c");
    let by = |target, order| options().with_prefix().with_sort(target, order);
    assert_eq!(keys(&get("k", by(SortTarget::Value, SortOrder::Descend)).await), ["k1", "k3", "k2"]);
    assert_eq!(keys(&get("k", by(SortTarget::Mod, SortOrder::Ascend)).await), ["k2", "k3", "k1"]);
    assert_eq!(keys(&get("k", by(SortTarget::Version, SortOrder::Descend)).await)[0], "k1");
    assert_eq!(keys(&get("k", by(SortTarget::Create, SortOrder::Descend)).await), ["k3", "k2", "k1"]);
    assert_eq!(keys(&get("k", options().with_prefix().with_min_mod_revision(4)).await), ["k1", "k3"]);
    assert_eq!(keys(&get("k", options().with_prefix().with_max_create_revision(3)).await), ["k1", "k2"]);

    let future = client.get("k1", Some(options().with_revision(99))).await.unwrap_err();
    assert_eq!(text(future), "etcdserver: mvcc: required revision is a future revision");
}

#[tokio::test]
async fn a_streamed_range_is_the_range() {
    let (_member, mut client) = common::member().await;
    for number in 0..100 {
        client.put(format!("key{number:03}"), "value", None).await.unwrap();
    }
    let mut kv = client.kv_client();
    let mut stream = kv.get_stream("key", Some(GetOptions::new().with_prefix())).await.unwrap();
    let (mut found, mut count) = (Vec::new(), 0);
    while let Some(part) = stream.message().await.unwrap() {
        found.extend(part.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned()));
        count = part.count();
    }
    assert_eq!(count, 100);
    assert_eq!(found, (0..100).map(|number| format!("key{number:03}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn deletions() {
    let (_member, mut client) = common::member().await;
    for key in ["k1", "k2", "x"] {
        client.put(key, key, None).await.unwrap();
    }
    let deleted = client.delete("k", Some(DeleteOptions::new().with_prefix().with_prev_key())).await.unwrap();
    assert_eq!((deleted.deleted(), deleted.header().unwrap().revision()), (2, 5));
    assert_eq!(deleted.prev_kvs()[1].value_str().unwrap(), "k2");
    let nothing = client.delete("k1", None).await.unwrap();
    assert_eq!((nothing.deleted(), nothing.header().unwrap().revision()), (0, 5));
    assert_eq!(client.delete("", Some(DeleteOptions::new().with_all_keys())).await.unwrap().deleted(), 1);
}

#[tokio::test]
async fn transactions() {
    let (_member, mut client) = common::member().await;
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.put("a", "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let compares = [
        Compare::value("a", CompareOp::Equal, "1"),
        Compare::version("a", CompareOp::Less, 2),
        Compare::create_revision("a", CompareOp::Equal, 2),
        Compare::mod_revision("a", CompareOp::Greater, 1),
        Compare::lease("a", CompareOp::Equal, lease),
        Compare::version("missing", CompareOp::Equal, 0),
    ];
    let nested = Txn::new().and_then([TxnOp::get("a", None)]);
    let txn = Txn::new()
        .when(compares)
        .and_then([TxnOp::put("b", "2", None), TxnOp::get("b", None), TxnOp::txn(nested)])
        .or_else([TxnOp::delete("a", None)]);
    let done = client.txn(txn.clone()).await.unwrap();
    assert!(done.succeeded());
    assert_eq!(done.header().unwrap().revision(), 3);
    match &done.op_responses()[..] {
        [TxnOpResponse::Put(_), TxnOpResponse::Get(get), TxnOpResponse::Txn(inner)] => {
            assert_eq!(get.kvs()[0].value_str().unwrap(), "2");
            assert!(inner.succeeded());
        }
        other => panic!("{other:?}"),
    }
    client.put("a", "2", None).await.unwrap();
    let failed = client.txn(txn).await.unwrap();
    assert!(!failed.succeeded());
    assert!(matches!(&failed.op_responses()[..], [TxnOpResponse::Delete(deleted)] if deleted.deleted() == 1));

    let twice = Txn::new().and_then([TxnOp::put("c", "1", None), TxnOp::put("c", "2", None)]);
    let refused = client.txn(twice).await.unwrap_err();
    assert_eq!(text(refused), "etcdserver: duplicate key given in txn request");
}

#[tokio::test]
async fn compaction() {
    let (_member, mut client) = common::member().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(3, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let at = |revision| Some(GetOptions::new().with_revision(revision));
    assert_eq!(client.get("a", at(3)).await.unwrap().kvs()[0].value_str().unwrap(), "2");
    let gone = client.get("a", at(2)).await.unwrap_err();
    assert_eq!(text(gone), "etcdserver: mvcc: required revision has been compacted");
    let again = client.compact(3, None).await.unwrap_err();
    assert_eq!(text(again), "etcdserver: mvcc: required revision has been compacted");
    let future = client.compact(99, None).await.unwrap_err();
    assert_eq!(text(future), "etcdserver: mvcc: required revision is a future revision");
}
