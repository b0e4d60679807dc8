//! Members and connections that die, with and without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use quorate_client::{Client, Code, Event, Outcome, Watcher};

use crate::proxy::{Mode, Proxy};
use crate::setup::{connect, lone, three};

/// A proxy in front of each endpoint, and a client that knows the proxies only.
async fn behind(endpoints: &[String]) -> (Vec<Proxy>, Client) {
    let mut proxies = Vec::new();
    for endpoint in endpoints {
        proxies.push(Proxy::to(endpoint.clone()).await);
    }
    let client = connect(proxies.iter().map(Proxy::endpoint)).await;
    (proxies, client)
}

/// Reads until every endpoint has answered: all of them are connected then.
async fn warm(client: &Client) {
    for endpoint in client.endpoints() {
        client.at(&endpoint).get("k").await.expect("a read");
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated() {
    let (server, direct) = lone!();
    let proxy = Proxy::to(server.client_address()).await;
    // The way that the proxy leads is the only one: a repeated write would be seen.
    let client = connect([proxy.endpoint()]).await;
    client.put("k", "before").await.expect("a put");
    proxy.set(Mode::SwallowAnswers);
    let write = tokio::spawn({
        let client = client.clone();
        async move { client.put("k", "once").await }
    });
    let mut watch = direct.watch("k").from_revision(2).await.expect("a watch");
    let is_done = |event: &Event| event.kv.value == "once";
    while !watch.next().await.expect("an item").expect("an update").events.iter().any(is_done) {}
    proxy.set(Mode::Cut);
    let error = write.await.expect("a task").expect_err("there is no answer");
    assert_eq!((error.code(), error.outcome()), (Code::Unavailable, Outcome::Unknown), "{error}");
    proxy.set(Mode::Pass);
    let found = client.get("k").await.expect("a read").kvs;
    assert_eq!((&found[0].value[..], found[0].version), (&b"once"[..], 2));
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_repeated() {
    let (server, direct) = lone!();
    direct.put("k", "v").await.expect("a put");
    let proxy = Proxy::to(server.client_address()).await;
    let client = connect([proxy.endpoint()]).await;
    client.get("k").await.expect("a read");
    proxy.set(Mode::SwallowAnswers);
    let read = tokio::spawn({
        let client = client.clone();
        async move { client.get("k").await }
    });
    tokio::task::yield_now().await;
    proxy.set(Mode::Cut);
    proxy.set(Mode::Pass);
    assert_eq!(read.await.expect("a task").expect("a read").value().expect("the key"), "v");
}

#[tokio::test]
async fn nobody_to_reach_is_an_error_that_says_so() {
    let proxy = Proxy::to("127.0.0.1:1".to_owned()).await;
    proxy.set(Mode::Cut);
    let nowhere = format!("127.0.0.1:{}", testkit::server::free_port());
    let client = Client::builder()
        .endpoints([nowhere.clone(), proxy.endpoint()])
        .dial_timeout(Duration::from_millis(300))
        .connect()
        .await
        .expect("it does not connect yet");
    let error = client.put("k", "v").await.expect_err("nobody is there");
    assert_eq!((error.code(), error.outcome()), (Code::Unavailable, Outcome::NotDone));
    assert!(error.to_string().contains(&nowhere), "{error}");
    assert!(client.watch("k").await.is_err() && client.lease(Duration::from_secs(1)).await.is_err());
    assert!(client.at("ftp://x").get("k").await.expect_err("no endpoint").to_string().contains("scheme"));
}

#[tokio::test]
async fn a_call_has_a_deadline() {
    let (server, _client) = lone!();
    let proxy = Proxy::to(server.client_address()).await;
    let client = connect([proxy.endpoint()]).await;
    client.get("k").await.expect("a read");
    proxy.set(Mode::Silent);
    let late = client.put("k", "v").timeout(Duration::from_millis(50)).await.expect_err("it is late");
    assert_eq!((late.code(), late.outcome()), (Code::DeadlineExceeded, Outcome::Unknown), "{late}");
}

/// Reads go on, and so does a watch: each change once, in order.
#[tokio::test]
async fn a_silent_connection_is_given_up() {
    let cluster = three();
    let addresses: Vec<String> = cluster.members().iter().map(|member| member.client_address()).collect();
    let direct = connect(addresses.clone()).await;
    let (proxies, client) = behind(&addresses).await;
    warm(&client).await;
    let mut watch = client.watch("k").await.expect("a watch");
    let mut longest = Duration::ZERO;
    for proxy in &proxies {
        proxy.set(Mode::Silent);
        for _ in 0..6 {
            let began = Instant::now();
            client.get("k").await.expect("a read");
            let written = direct.put("k", "v").await.expect("a put").header.revision;
            let update = watch.next().await.expect("an item").expect("an update");
            assert_eq!(update.revision, written);
            longest = longest.max(began.elapsed());
        }
        proxy.set(Mode::Cut);
        proxy.set(Mode::Pass);
    }
    println!("longest time without an answer: {longest:?}");
}

#[tokio::test]
async fn a_paused_member_is_left_for_others() {
    let cluster = three();
    let addresses: Vec<String> = cluster.members().iter().map(|member| member.client_address()).collect();
    let client = connect(addresses).await;
    warm(&client).await;
    let mut longest = Duration::ZERO;
    for member in cluster.members() {
        member.pause();
        for _ in 0..10 {
            let began = Instant::now();
            // If it led, reads wait for another to be elected.
            client.get("k").serializable().await.expect("a read");
            longest = longest.max(began.elapsed());
        }
        client.get("k").await.expect("a read");
        member.resume();
    }
    println!("longest time without an answer: {longest:?}");
}

/// Writes by many, kills and cuts: no write is done twice, none that was acknowledged is lost, and a watch reports each
/// once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_repeats_no_write_and_loses_no_event() {
    const WRITERS: usize = 8;
    let mut cluster = three();
    let addresses: Vec<String> = cluster.members().iter().map(|member| member.client_address()).collect();
    let (proxies, client) = behind(&addresses).await;
    warm(&client).await;
    let watch = client.watch(quorate_client::prefix("k")).await.expect("a watch");
    let is_over = Arc::new(AtomicBool::new(false));
    let writers = (0..WRITERS).map(|number| tokio::spawn(write(client.clone(), number, is_over.clone())));
    let writers: Vec<_> = writers.collect();
    let written = Arc::new(AtomicI64::new(i64::MAX));
    let watcher = tokio::spawn(follow(watch, written.clone()));
    for round in 0..6 {
        let victim = round % 3;
        match round % 2 {
            0 => {
                cluster.member_mut(victim).kill();
                tokio::task::block_in_place(|| cluster.member_mut(victim).restart());
            }
            _ => {
                proxies[victim].set(Mode::Silent);
                client.get("k").await.expect("a read");
                proxies[victim].set(Mode::Cut);
                proxies[victim].set(Mode::Pass);
            }
        }
        client.get("k").await.expect("a read");
    }
    is_over.store(true, Ordering::Relaxed);
    let (mut attempts, mut known) = (Vec::new(), Vec::new());
    for writer in writers {
        let (tried, done) = writer.await.expect("a task");
        (attempts.push(tried), known.push(done));
    }
    // Commands that were on their way are done, or never will be, when this one is.
    let last = client.put("k-last", "v").await;
    let last = match last {
        Ok(answer) => answer.header.revision,
        Err(_) => client.get("k").await.expect("a read").header.revision,
    };
    let found = client.get(quorate_client::prefix("k")).revision(last).await.expect("a read");
    let versions: i64 = found.kvs.iter().map(|kv| kv.version).sum();
    for kv in &found.kvs {
        let Some(number) = kv.key_str().strip_prefix("k/").and_then(|number| number.parse::<usize>().ok())
        else {
            continue;
        };
        assert!(kv.version <= attempts[number], "{}: {} > {}", number, kv.version, attempts[number]);
        assert!(kv.version >= known[number], "{}: {} < {}", number, kv.version, known[number]);
    }
    written.store(last.0, Ordering::Relaxed);
    let _ = client.put("k-last", "w").await;
    let events = watcher.await.expect("a task");
    assert_eq!(events, versions, "events up to revision {last}");
}

/// Writes one key again and again. Returns how often it was tried, and how often that was acknowledged.
async fn write(client: Client, number: usize, is_over: Arc<AtomicBool>) -> (i64, i64) {
    let (mut attempts, mut known) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        attempts += 1;
        match client.put(format!("k/{number}"), attempts.to_string()).await {
            Ok(_) => known += 1,
            Err(error) if error.outcome() == Outcome::NotDone => attempts -= 1,
            Err(_) => {}
        }
    }
    (attempts, known)
}

/// Counts events up to a revision that is known later; each must come once.
async fn follow(mut watch: Watcher, last: Arc<AtomicI64>) -> i64 {
    let (mut events, mut seen) = (0, 0);
    while let Some(update) = watch.next().await {
        let update = update.expect("an update");
        for event in &update.events {
            let revision = event.kv.mod_revision.0;
            assert!(revision > seen, "{revision} comes after {seen}");
            seen = revision;
            if revision > last.load(Ordering::Relaxed) {
                return events;
            }
            events += 1;
        }
        if seen >= last.load(Ordering::Relaxed) {
            return events;
        }
    }
    panic!("the watch ended");
}
