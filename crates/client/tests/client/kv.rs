//! Reads, writes and transactions.

use futures_util::TryStreamExt;
use quorate_client::{
    Code, Error, KeyValue, Op, OpAnswer, Order, Outcome, SortBy, all, delete, exists, from_key, get, missing,
    mod_revision, prefix, put, range, txn, value, version,
};

use crate::setup::lone;

fn keys(kvs: &[KeyValue]) -> Vec<String> {
    kvs.iter().map(|kv| kv.key_str().into_owned()).collect()
}

#[tokio::test]
async fn keys_are_put_read_and_deleted() {
    let (_server, client) = lone!();
    let first = client.put("a", "1").await.expect("a put").header.revision;
    let second = client.put("a", "2").prev_kv().await.expect("a put");
    assert_eq!(second.prev_kv.expect("the value before").value, "1");
    for key in ["b", "c", "d"] {
        client.put(key, key.to_uppercase()).await.expect("a put");
    }
    let found = client.get("a").await.expect("a read");
    let kv = found.first().expect("the key");
    assert_eq!((&kv.value[..], kv.version, kv.create_revision), (&b"2"[..], 2, first));
    let old = client.get("a").revision(first).await.expect("a read");
    assert_eq!(old.value().expect("the key"), "1");
    let read =
        async |get: quorate_client::Get<quorate_client::Attached>| keys(&get.await.expect("a read").kvs);
    assert_eq!(read(client.get(range("a", "c"))).await, ["a", "b"]);
    assert_eq!(read(client.get(from_key("c"))).await, ["c", "d"]);
    assert_eq!(read(client.get(all()).sort(SortBy::Key, Order::Descending).limit(2)).await, ["d", "c"]);
    assert_eq!(
        read(client.get(all()).min_mod_revision(second.header.revision.next())).await,
        ["b", "c", "d"]
    );
    let count = client.get(prefix("")).count_only().await.expect("a count");
    assert_eq!((count.count, count.kvs.len()), (4, 0));
    let gone = client.delete(range("b", "d")).prev_kv().await.expect("a deletion");
    assert_eq!((gone.deleted, keys(&gone.prev_kvs)), (2, vec!["b".to_owned(), "c".to_owned()]));
}

#[tokio::test]
async fn an_error_has_its_code_and_its_text() {
    let (_server, client) = lone!();
    let empty = client.put("", "v").await.expect_err("a key is needed");
    assert!(empty.is("etcdserver: key is not provided"), "{empty}");
    assert_eq!((empty.code(), empty.outcome()), (Code::InvalidArgument, Outcome::NotDone));
    let revision = client.put("k", "v").await.expect("a put").header.revision;
    client.put("k", "w").await.expect("a put");
    client.compact(revision.next()).physical().await.expect("a compaction");
    let gone = client.get("k").revision(revision).await.expect_err("it is compacted");
    assert!(matches!(gone, Error::Compacted { .. }), "{gone:?}");
}

#[tokio::test]
async fn a_transaction_chooses_between_two_branches() {
    let (_server, client) = lone!();
    client.put("a", "1").await.expect("a put");
    let transaction = || client.txn().when([value("a").eq("1")]).then([put("b", "2")]).or_else([get("a")]);
    let first = transaction().await.expect("a transaction");
    assert!(first.succeeded && first.puts().count() == 1);
    client.put("a", "other").await.expect("a put");
    let second = transaction().await.expect("a transaction");
    assert!(!second.succeeded);
    assert_eq!(second.gets().next().and_then(|get| get.value()).expect("a value"), "other");
}

#[tokio::test]
async fn conditions_are_about_keys_and_ranges() {
    let (_server, client) = lone!();
    let revision = client.put("p/1", "x").await.expect("a put").header.revision;
    client.put("p/2", "x").await.expect("a put");
    for (conditions, holds) in [
        (vec![value(prefix("p/")).eq("x")], true),
        (vec![mod_revision(prefix("p/")).gt(revision)], false),
        (vec![mod_revision("p/2").gt(revision), exists("p/1")], true),
        (vec![missing("p/3"), version("p/1").lt(2)], true),
        (vec![quorate_client::lease("p/1").ne(0)], false),
        (vec![value("p/3").ne("x")], false),
    ] {
        let shown = format!("{conditions:?}");
        let answer = client.txn().when(conditions).await.expect("a transaction");
        assert_eq!(answer.succeeded, holds, "{shown}");
    }
}

#[tokio::test]
async fn transactions_may_be_nested() {
    let (_server, client) = lone!();
    let inner = txn().when([missing("k")]).then([put("k", "inner")]);
    let operations = [Op::from(inner), Op::from(put("l", "outer")), delete("m").into(), get("l").into()];
    let answer = client.txn().then(operations).await.expect("a transaction");
    let [OpAnswer::Txn(nested), OpAnswer::Put(_), OpAnswer::Delete(_), OpAnswer::Get(read)] =
        &answer.answers[..]
    else {
        panic!("{answer:?}");
    };
    assert!(nested.succeeded && nested.puts().count() == 1);
    assert_eq!(read.value().expect("a value"), "outer");
}

#[tokio::test]
async fn a_large_range_is_read_in_pages_and_as_a_stream() {
    let (_server, client) = lone!();
    for round in 0..10 {
        let puts = (0..100).map(|number| put(format!("k{round}{number:02}"), vec![b'v'; 100]));
        client.txn().then(puts).await.expect("a transaction");
    }
    let mut pages = client.get(prefix("k")).limit(950).page(400);
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        sizes.push(page.len());
        // What is written meanwhile is not seen.
        client.delete("k999").await.expect("a deletion");
    }
    assert_eq!(sizes, [400, 400, 150]);
    client.put("k999", "v").await.expect("a put");
    let rows: Vec<KeyValue> = client.get(prefix("k")).stream().try_collect().await.expect("a stream");
    assert_eq!(rows.len(), 1000);
    assert!(rows.is_sorted_by_key(|kv| kv.key.clone()));
}

#[tokio::test]
async fn a_write_whose_answer_is_too_large_may_be_done() {
    let (server, direct) = lone!();
    direct.put("k", vec![b'v'; 1000]).await.expect("a put");
    let client = quorate_client::Client::builder().endpoints([server.client_address()]).max_recv_bytes(500);
    let client = client.connect().await.expect("a client");
    let error = client.put("k", "new").prev_kv().await.expect_err("what was there is too large");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(direct.get("k").await.expect("a read").value().expect("the key"), "new");
}
