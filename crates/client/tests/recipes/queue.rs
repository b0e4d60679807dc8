//! Queues.

use std::collections::BTreeSet;

use quorate_client::Client;

use crate::setup::{connect, lone, soon};

const PRODUCERS: usize = 3;
const ITEMS: usize = 40;

async fn produce(client: Client, producer: usize) {
    for item in 0..ITEMS {
        client.queue("queue").push(format!("{producer}/{item:03}")).await.expect("a push");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_is_delivered_once_and_in_order() {
    let (server, client) = lone!();
    let (items, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut consumers = Vec::new();
    for _ in 0..4 {
        let (client, items) = (connect([server.client_address()]).await, items.clone());
        consumers.push(tokio::spawn(async move {
            let queue = client.queue("queue");
            while items.send(queue.pop().await.expect("an item")).is_ok() {}
        }));
    }
    for producer in 0..PRODUCERS {
        tokio::spawn(produce(connect([server.client_address()]).await, producer));
    }
    let mut taken = Vec::new();
    while taken.len() < PRODUCERS * ITEMS {
        taken.push(soon(received.recv()).await.expect("an item"));
    }
    consumers.iter().for_each(|consumer| consumer.abort());
    assert_eq!(client.queue("queue").try_pop().await.expect("an answer"), None);
    assert!(received.try_recv().is_err(), "nothing twice");
    let distinct: BTreeSet<_> = taken.iter().map(|item| item.value.clone()).collect();
    assert_eq!(distinct.len(), PRODUCERS * ITEMS);
    taken.sort_by_key(|item| item.revision);
    for producer in 0..PRODUCERS {
        let prefix = format!("{producer}/");
        let of_it: Vec<_> = taken.iter().filter(|item| item.value.starts_with(prefix.as_bytes())).collect();
        assert!(of_it.is_sorted_by(|a, b| a.value < b.value));
    }
}

#[tokio::test]
async fn a_lone_consumer_gets_items_in_their_order() {
    let (_server, client) = lone!();
    let queue = client.queue("queue");
    for item in ["b", "a", "c"] {
        queue.push(item).await.expect("a push");
    }
    for item in ["b", "a", "c"] {
        assert_eq!(queue.pop().await.expect("an item").value, item);
    }
}

#[tokio::test]
async fn the_lowest_number_comes_first() {
    let (_server, client) = lone!();
    let queue = client.priority_queue("queue");
    for (priority, item) in [(300, "d"), (2, "b"), (2, "c"), (65535, "e"), (0, "a")] {
        queue.push(priority, item).await.expect("a push");
    }
    for item in ["a", "b", "c", "d", "e"] {
        assert_eq!(queue.pop().await.expect("an item").value, item);
    }
    assert_eq!(queue.try_pop().await.expect("an answer"), None);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pop().await }
    });
    queue.push(7, "late").await.expect("a push");
    assert_eq!(soon(waiting).await.expect("no panic").expect("an item").value, "late");
}
