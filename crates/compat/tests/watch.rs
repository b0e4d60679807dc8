//! Watches.

mod common;

use etcd_client::{EventType, WatchFilterType, WatchOptions, WatchResponse, WatchStream};

async fn next(stream: &mut WatchStream) -> WatchResponse {
    stream.message().await.unwrap().expect("the stream goes on")
}

/// The next `count` events, as type, key, value and revision.
async fn events(stream: &mut WatchStream, count: usize) -> Vec<(EventType, String, String, i64)> {
    let mut found = Vec::new();
    while found.len() < count {
        for event in next(stream).await.events() {
            let kv = event.kv().unwrap();
            let (key, value) = (kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned());
            found.push((event.event_type(), key, value, kv.mod_revision()));
        }
    }
    found
}

fn put(key: &str, value: &str, revision: i64) -> (EventType, String, String, i64) {
    (EventType::Put, key.to_owned(), value.to_owned(), revision)
}

#[tokio::test]
async fn events_from_now_and_from_the_past() {
    let (_member, mut client) = common::member().await;
    client.put("a", "1", None).await.unwrap();
    client.put("b", "1", None).await.unwrap();
    let mut now = client.watch("a", None).await.unwrap();
    assert!(next(&mut now).await.created());
    let options = WatchOptions::new().with_all_keys().with_start_revision(2);
    let mut past = client.watch("", Some(options)).await.unwrap();
    assert!(next(&mut past).await.created());
    client.put("a", "2", None).await.unwrap();
    client.delete("b", None).await.unwrap();
    assert_eq!(events(&mut now, 1).await, [put("a", "2", 4)]);
    let deleted = (EventType::Delete, "b".to_owned(), String::new(), 5);
    assert_eq!(events(&mut past, 4).await, [put("a", "1", 2), put("b", "1", 3), put("a", "2", 4), deleted]);
}

#[tokio::test]
async fn previous_values_filters_and_fragments() {
    let (_member, mut client) = common::member().await;
    client.put("a", "1", None).await.unwrap();
    let options = WatchOptions::new()
        .with_prefix()
        .with_prev_key()
        .with_fragment()
        .with_filters([WatchFilterType::NoPut]);
    let mut stream = client.watch("a", Some(options)).await.unwrap();
    assert!(next(&mut stream).await.created());
    client.put("a", "2", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    let response = next(&mut stream).await;
    let event = &response.events()[0];
    assert_eq!(event.event_type(), EventType::Delete);
    assert_eq!(event.prev_kv().unwrap().value_str().unwrap(), "2");
}

#[tokio::test]
async fn several_watchers_on_one_stream() {
    let (_member, mut client) = common::member().await;
    let mut stream = client.watch("a", None).await.unwrap();
    assert_eq!(next(&mut stream).await.watch_id(), 0);
    stream.watch("b", Some(WatchOptions::new().with_watch_id(7))).await.unwrap();
    let second = next(&mut stream).await;
    assert!(second.created());
    assert_eq!(second.watch_id(), 7);
    client.put("b", "1", None).await.unwrap();
    let response = next(&mut stream).await;
    assert_eq!((response.watch_id(), response.events().len()), (7, 1));
    stream.request_progress().await.unwrap();
    let progress = next(&mut stream).await;
    assert!(progress.events().is_empty());
    assert_eq!((progress.watch_id(), progress.header().unwrap().revision()), (-1, 2));
    stream.cancel(7).await.unwrap();
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled());
    assert_eq!(canceled.watch_id(), 7);
    stream.watch("a", Some(WatchOptions::new().with_watch_id(0).with_progress_notify())).await.unwrap();
    assert!(next(&mut stream).await.created());
}

#[tokio::test]
async fn a_compacted_start_is_cancelled() {
    let (_member, mut client) = common::member().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(4, None).await.unwrap();
    let mut stream = client.watch("a", Some(WatchOptions::new().with_start_revision(2))).await.unwrap();
    assert!(next(&mut stream).await.created());
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled());
    assert_eq!(canceled.compact_revision(), 4);
}
