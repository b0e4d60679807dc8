//! Watches.

use quorate_client::{Error, EventKind, Update, Watcher, prefix, put};

use crate::setup::lone;

async fn next(watch: &mut Watcher) -> Update {
    watch.next().await.expect("the watch goes on").expect("an update")
}

#[tokio::test]
async fn changes_are_reported_with_what_was_there_before() {
    let (_server, client) = lone!();
    let mut watch = client.watch(prefix("k")).prev_kv().await.expect("a watch");
    client.put("k1", "a").await.expect("a put");
    client.put("other", "a").await.expect("a put");
    let revision = client.delete("k1").await.expect("a deletion").header.revision;
    let first = next(&mut watch).await;
    assert_eq!((first.events[0].kind, &first.events[0].kv.value[..]), (EventKind::Put, &b"a"[..]));
    let second = next(&mut watch).await;
    assert_eq!((second.revision, second.events[0].kind), (revision, EventKind::Delete));
    assert_eq!(second.events[0].prev_kv.as_ref().expect("the value before").value, "a");
}

#[tokio::test]
async fn history_is_replayed_and_filtered() {
    let (_server, client) = lone!();
    let start = client.put("k", "1").await.expect("a put").header.revision;
    client.delete("k").await.expect("a deletion");
    client.put("k", "2").await.expect("a put");
    let mut puts = client.watch("k").from_revision(start).no_delete().await.expect("a watch");
    assert_eq!(puts.start(), start);
    let mut values = Vec::new();
    while values.len() < 2 {
        values.extend(next(&mut puts).await.events.into_iter().map(|event| event.kv.value));
    }
    assert_eq!(values, ["1", "2"]);
    let mut deletions = client.watch("k").from_revision(start).no_put().await.expect("a watch");
    assert_eq!(next(&mut deletions).await.events[0].kind, EventKind::Delete);
}

#[tokio::test]
async fn a_compacted_start_is_an_error_with_the_compact_revision() {
    let (_server, client) = lone!();
    for value in ["1", "2", "3"] {
        client.put("k", value).await.expect("a put");
    }
    let now = client.get("k").await.expect("a read").header.revision;
    client.compact(now).await.expect("a compaction");
    let mut watch = client.watch("k").from_revision(2).await.expect("a watch");
    let error = watch.next().await.expect("an item").expect_err("history is gone");
    let Error::Compacted { compact_revision } = error else { panic!("{error:?}") };
    assert_eq!(compact_revision, Some(now));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_bookmark_says_how_far_the_watch_is() {
    let (_server, client) = lone!();
    let mut watch = client.watch("k").await.expect("a watch");
    let now = client.put("other", "v").await.expect("a put").header.revision;
    let bookmark = loop {
        watch.request_bookmark();
        let update = next(&mut watch).await;
        if update.revision >= now {
            break update;
        }
    };
    assert!(bookmark.is_bookmark());
}

#[tokio::test]
async fn a_refused_watch_is_an_error_and_hurts_no_other() {
    let (_server, client) = lone!();
    let mut good = client.watch("k").await.expect("a watch");
    let refused = client.watch(quorate_client::range("z", "a")).await.expect_err("the range is empty");
    assert!(matches!(refused, Error::WatchCanceled { .. }), "{refused:?}");
    client.put("k", "v").await.expect("a put");
    assert_eq!(next(&mut good).await.events.len(), 1);
}

/// Several hundred kilobytes in one revision: the server sends them in fragments.
#[tokio::test]
async fn a_large_revision_is_not_torn_apart() {
    let (_server, client) = lone!();
    let mut watch = client.watch(prefix("k")).await.expect("a watch");
    let puts =
        |round: usize| (0..60).map(move |number| put(format!("k{number}"), vec![b'v'; 20_000 + round]));
    for round in 0..3 {
        let written = client.txn().then(puts(round)).await.expect("a transaction").header.revision;
        let update = next(&mut watch).await;
        assert_eq!((update.revision, update.events.len()), (written, 60));
    }
}

#[tokio::test]
async fn ten_thousand_watches_share_a_connection() {
    const WATCHES: usize = 10_000;
    let (_server, client) = lone!();
    let watches = (0..WATCHES).map(|number| client.watch(format!("k{number:05}")).into_future());
    let mut watches = futures_util::future::try_join_all(watches).await.expect("watches");
    for (chunk, group) in watches.chunks_mut(100).enumerate() {
        let puts = (0..group.len()).map(|place| put(format!("k{:05}", chunk * 100 + place), "v"));
        let revision = client.txn().then(puts).await.expect("a transaction").header.revision;
        for watch in group {
            let update = next(watch).await;
            assert_eq!((update.revision, update.events.len()), (revision, 1));
        }
    }
}

/// The reader sleeps while far more is written than a watch may be ahead of it.
#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let (_server, client) = lone!();
    let mut watch = client.watch("k").await.expect("a watch");
    let mut last = watch.start();
    for _ in 0..60 {
        last = client.put("k", vec![b'v'; 1_000_000]).await.expect("a put").header.revision;
    }
    let mut expected = watch.start();
    while expected <= last {
        for event in next(&mut watch).await.events {
            assert_eq!(event.kv.mod_revision, expected);
            expected = expected.next();
        }
    }
}
