//! Namespaces.

use futures_util::TryStreamExt;
use quorate_client::{EventKind, KeyValue, Op, all, delete, get, prefix, put, txn, value};

use crate::setup::{lone, session};

fn keys(kvs: &[KeyValue]) -> Vec<String> {
    kvs.iter().map(|kv| kv.key_str().into_owned()).collect()
}

#[tokio::test]
async fn a_namespace_is_a_store_of_its_own() {
    let (_server, client) = lone!();
    client.put("z", "outside").await.expect("a put");
    let app = client.namespace("apps/").namespace("a/");
    assert_eq!(app.key("k"), "apps/a/k");
    let mut changes = app.watch(all()).prev_kv().await.expect("a watch");
    let first = app.put("k", "1").await.expect("a put").header.revision;
    let second = app.put("k", "2").prev_kv().await.expect("a put");
    assert_eq!(second.prev_kv.expect("the value before").key, "k");
    assert_eq!(client.get("apps/a/k").await.expect("a read").value().expect("a value"), "2");
    app.put("l", "3").await.expect("a put");
    assert_eq!(keys(&app.get(all()).await.expect("a read").kvs), ["k", "l"]);
    assert_eq!(app.get("k").revision(first).await.expect("a read").value().expect("a value"), "1");
    assert_eq!(app.get("z").count_only().await.expect("a count").count, 0);
    app.put("", "v").await.expect_err("a key is needed");

    let inner = txn().when([value("l").eq("3")]).then([put("m", "4")]);
    let operations = [Op::from(inner), get(prefix("")).into(), delete("k").prev_kv().into()];
    let answer = app.txn().when([value("k").eq("2")]).then(operations).await.expect("a transaction");
    assert!(answer.succeeded);
    assert_eq!(keys(&answer.gets().next().expect("a read").kvs), ["k", "l", "m"]);
    assert_eq!(keys(&answer.deletes().next().expect("a deletion").prev_kvs), ["k"]);

    let mut seen = Vec::new();
    while seen.len() < 5 {
        let update = changes.next().await.expect("it goes on").expect("an update");
        seen.extend(update.events.into_iter().map(|event| (event.kind, event.kv.key)));
    }
    use EventKind::{Delete, Put};
    let expected = [(Put, "k"), (Put, "k"), (Put, "l"), (Put, "m"), (Delete, "k")];
    assert_eq!(seen, expected.map(|(kind, key)| (kind, key.into())));

    assert_eq!(app.delete(all()).prev_kv().await.expect("a deletion").deleted, 2);
    assert_eq!(keys(&client.get(all()).await.expect("a read").kvs), ["z"]);
}

#[tokio::test]
async fn large_ranges_and_leases_of_a_namespace() {
    let (_server, client) = lone!();
    let app = client.namespace("a/");
    let session = session(&client).await;
    let lease = session.lease().id();
    client.put("elsewhere", "v").lease(lease).await.expect("a put");
    for number in 0..50 {
        app.put(format!("k{number:02}"), "v").lease(lease).await.expect("a put");
    }
    let mut pages = app.get(prefix("k")).page(20);
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        assert!(page.iter().all(|kv| kv.key.starts_with(b"k")));
        sizes.push(page.len());
    }
    assert_eq!(sizes, [20, 20, 10]);
    let rows: Vec<KeyValue> = app.get(all()).stream().try_collect().await.expect("a stream");
    assert_eq!((rows.len(), rows[0].key.clone()), (50, "k00".into()));
    let answer = app.lease_keys(lease).await.expect("an answer");
    assert_eq!(answer.keys.len(), 50);
    assert!(answer.keys.iter().all(|key| key.starts_with(b"k")));
}
