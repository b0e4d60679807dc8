//! The cache.

use std::sync::Arc;

use parking_lot::Mutex;
use quorate_client::cache::{Cache, View};
use quorate_client::{Client, KeyValue, Revision, delete, prefix, put};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::setup::{connect, connect_all, leader, lone, soon, three};

fn rows(view: &View) -> Vec<KeyValue> {
    view.iter().collect()
}

/// Reads what a cache should contain at the revision of a view.
async fn expected(client: &Client, view: &View) -> Vec<KeyValue> {
    client.get(prefix("k/")).revision(view.revision()).await.expect("a read").kvs
}

#[tokio::test]
async fn a_cache_follows_the_store() {
    let (_server, client) = lone!();
    for number in 0..25 {
        client.put(format!("k/{number:02}"), number.to_string()).await.expect("a put");
    }
    client.put("other", "v").await.expect("a put");
    let cache = client.cache(prefix("k/")).page(10).await.expect("a cache");
    let first = cache.view();
    assert_eq!(rows(&first), expected(&client, &first).await);
    assert_eq!((first.len(), first.bytes()), (25, 25 * 4 + 10 + 30));
    assert_eq!(cache.get("other"), None);

    let revision = client.put("k/07", "new").await.expect("a put").header.revision;
    let second = soon(cache.wait_until(revision)).await.expect("a view");
    assert_eq!(second.get("k/07").expect("the key").value, "new");
    assert_eq!(first.get("k/07").expect("the key").value, "7", "a view stays what it is");
    client.delete(prefix("k/1")).await.expect("a deletion");
    let third = soon(cache.latest()).await.expect("a view");
    assert_eq!(rows(&third), expected(&client, &third).await);
    assert_eq!((third.len(), third.range(prefix("k/2")).count()), (15, 5));
    assert!(third.range("k/07").eq(second.get("k/07")));
    assert_eq!(third.changes_since(&first).len(), 11);

    // Nothing of the range: only a bookmark says how far the cache is.
    let elsewhere = client.put("other", "w").await.expect("a put").header.revision;
    assert!(soon(cache.wait_until(elsewhere)).await.expect("a view").changes_since(&third).is_empty());
    assert!(cache.trouble().is_none());
}

#[tokio::test]
async fn changes_are_reported_once_and_the_last_counts() {
    let (_server, client) = lone!();
    client.put("k/a", "1").await.expect("a put");
    let cache = client.cache(prefix("k/")).await.expect("a cache");
    let called = Arc::new(Mutex::new(Vec::new()));
    let subscription = cache.on_change({
        let called = called.clone();
        move |_, change| called.lock().push(change)
    });
    let mut all = cache.changes_since(View::default());
    let (_, changes) = soon(all.next()).await.expect("changes");
    assert_eq!((changes.len(), changes[0].key().clone()), (1, "k/a".into()));

    let mut changes = cache.changes();
    client.put("k/a", "2").await.expect("a put");
    client.put("k/a", "3").await.expect("a put");
    client.put("k/b", "1").await.expect("a put");
    client.delete("k/b").await.expect("a deletion");
    let last = client.put("k/c", "1").await.expect("a put").header.revision;
    soon(cache.wait_until(last)).await.expect("a view");
    let (revision, batch) = soon(changes.next()).await.expect("changes");
    assert_eq!(revision, last);
    let shown: Vec<_> = batch
        .iter()
        .map(|change| {
            let value = |kv: &Option<KeyValue>| kv.as_ref().map(|kv| kv.value_str().into_owned());
            (change.key().clone(), value(&change.before), value(&change.after))
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(shown, [("k/a".into(), text("1"), text("3")), ("k/c".into(), None, text("1"))]);

    crate::setup::until(async || called.lock().iter().any(|change| change.key() == "k/c").then_some(()))
        .await;
    drop(subscription);
    let calls = called.lock().len();
    client.put("k/d", "1").await.expect("a put");
    soon(cache.latest()).await.expect("a view");
    assert_eq!(called.lock().len(), calls);
    drop(cache);
    soon(changes.next()).await.expect("what came before the end");
    soon(changes.next()).await.expect_err("the cache is gone");
}

/// Changes random keys for a while.
async fn scramble(client: &Client, random: &mut testkit::Random) -> Revision {
    let mut last = Revision(0);
    for _ in 0..40 {
        let key = format!("k/{:03}", random.below(200));
        let value = vec![b'v'; random.below(300)];
        let written = match random.below(4) {
            0 => client.txn().then([delete(key)]).await,
            _ => client.txn().then([put(key, value)]).await,
        };
        // Of a write with an unknown outcome the cache and the read will know.
        if let Ok(answer) = written {
            last = answer.header.revision;
        }
    }
    last
}

async fn check(cache: &Cache, client: &Client) {
    let view = soon(cache.latest()).await.expect("a view");
    assert_eq!(rows(&view), expected(client, &view).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_equals_a_read_after_every_member_was_killed() {
    let mut cluster = three!();
    let client = connect_all(&cluster).await;
    let mut random = testkit::Random::new(11);
    let cache = client.cache(prefix("k/")).await.expect("a cache");
    let mut changes = cache.changes();
    let mut replayed = View::default();
    scramble(&client, &mut random).await;
    check(&cache, &client).await;
    // One of them serves the watch, and one of them leads.
    for index in 0..3 {
        cluster.member_mut(index).kill();
        let last = scramble(&client, &mut random).await;
        client.compact(last).await.ok();
        cluster.member_mut(index).restart();
        leader(&client, &cluster).await;
        scramble(&client, &mut random).await;
        check(&cache, &client).await;
        let (_, batch) = soon(changes.next()).await.expect("changes");
        assert!(batch.iter().all(|change| change.before == replayed.get(change.key())));
        replayed = changes.view().clone();
    }
    assert_eq!(rows(&replayed), expected(&client, &replayed).await);
}

/// Passes connections on until it is cut.
struct Wire {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    async fn to(server: String, address: &str) -> Wire {
        let listener = TcpListener::bind(address).await.expect("a listener");
        let address = listener.local_addr().expect("an address").to_string();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let server = server.clone();
                connections.spawn(async move {
                    let mut far = TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Wire { address, task }
    }

    async fn cut(self) -> String {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

#[tokio::test]
async fn what_was_missed_is_reported_after_a_compaction() {
    let (server, writer) = lone!();
    for number in 0..50 {
        writer.put(format!("k/{number:02}"), "old").await.expect("a put");
    }
    let wire = Wire::to(server.client_address(), "127.0.0.1:0").await;
    let client = connect([wire.address.clone()]).await;
    let cache = client.cache(prefix("k/")).page(7).await.expect("a cache");
    let mut changes = cache.changes();

    let address = wire.cut().await;
    writer.put("k/10", "new").await.expect("a put");
    writer.delete(prefix("k/2")).await.expect("a deletion");
    writer.put("k/30x", "more").await.expect("a put");
    let last = writer.put("k/30x", "most").await.expect("a put").header.revision;
    writer.compact(last).physical().await.expect("a compaction");
    assert_eq!(cache.get("k/10").expect("the key").value, "old", "it is cut off");

    let _wire = Wire::to(server.client_address(), &address).await;
    let (revision, batch) = soon(changes.next()).await.expect("changes");
    assert!(revision >= last);
    let keys: Vec<String> =
        batch.iter().map(|change| String::from_utf8_lossy(change.key()).into_owned()).collect();
    let deleted = (20..30).map(|number| format!("k/{number}"));
    let differing: Vec<String> =
        ["k/10".to_owned()].into_iter().chain(deleted).chain(["k/30x".to_owned()]).collect();
    assert_eq!(keys, differing);
    check(&cache, &writer).await;
}

#[tokio::test]
async fn a_history_that_went_back_is_noticed() {
    let (server, client) = lone!();
    let wire = Wire::to(server.client_address(), "127.0.0.1:0").await;
    let through = connect([wire.address.clone()]).await;
    for number in 0..20 {
        client.put(format!("k/{number}"), "old").await.expect("a put");
    }
    let cache = through.cache(prefix("k/")).await.expect("a cache");
    // Another cluster takes its place.
    let (other, second) = lone!();
    second.put("k/1", "restored").await.expect("a put");
    let address = wire.cut().await;
    let _wire = Wire::to(other.client_address(), &address).await;
    let view = soon(cache.latest()).await.expect("a view");
    assert_eq!(rows(&view), expected(&second, &view).await);
    assert_eq!(view.len(), 1);
}
