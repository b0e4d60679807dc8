//! Compares the typed client with the generated stubs on tonic's own channel, and opens many watches.
//!
//! `cargo run --release --example throughput -- 127.0.0.1:2379 64` (or 1000) compares, `… watches 10000` counts watches on
//! one connection.
//!
//! Rounds of both alternate, so that a machine that becomes slower meanwhile is slower for both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use quorate_client::{Client, Error, put};
use tonic::transport::Endpoint;

/// Rounds of each side.
const ROUNDS: usize = 6;

/// How long a round takes.
const ROUND: Duration = Duration::from_secs(3);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    match arguments.next().as_deref() {
        Some("watches") => {
            let count = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
            println!("{} watches reported in {:?}", count, watches(&endpoint, count).await?);
        }
        tasks => {
            let tasks = tasks.map_or(Ok(64), str::parse)?;
            for kind in [Kind::Get, Kind::Put] {
                compare(&endpoint, tasks, kind).await?;
            }
        }
    }
    Ok(())
}

/// What is called.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A read of one key.
    Get,
    /// A put of one key.
    Put,
}

/// Prints calls per second of both sides, and the ratio of their medians.
async fn compare(endpoint: &str, tasks: usize, kind: Kind) -> Result<(), Failure> {
    let typed = Client::builder().endpoints([endpoint]).connect().await?;
    let raw = KvClient::new(Endpoint::new(format!("http://{endpoint}"))?.connect().await?);
    typed.put("throughput", "v").await?;
    let (mut of_typed, mut of_raw) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (stub, client) = (raw.clone(), typed.clone());
        of_raw.push(round(tasks, move || call_raw(stub.clone(), kind)).await?);
        of_typed.push(round(tasks, move || call_typed(client.clone(), kind)).await?);
    }
    let (of_typed, of_raw) = (median(of_typed), median(of_raw));
    println!(
        "{kind:?}, {tasks} tasks: typed {of_typed:.0}/s, raw {of_raw:.0}/s, ratio {:.3}",
        of_typed / of_raw
    );
    Ok(())
}

async fn call_typed(client: Client, kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::Get => drop(client.get("throughput").await?),
        Kind::Put => drop(client.put("throughput", "v").await?),
    }
    Ok(())
}

async fn call_raw(mut stub: KvClient<tonic::transport::Channel>, kind: Kind) -> Result<(), Error> {
    let key = bytes::Bytes::from_static(b"throughput");
    match kind {
        Kind::Get => drop(stub.range(RangeRequest { key, ..Default::default() }).await?),
        Kind::Put => drop(stub.put(PutRequest { key, value: "v".into(), ..Default::default() }).await?),
    }
    Ok(())
}

/// Calls from so many tasks for a while. Returns calls per second.
async fn round<F>(tasks: usize, call: impl Fn() -> F + Clone + Send + 'static) -> Result<f64, Failure>
where
    F: Future<Output = Result<(), Error>> + Send,
{
    let (calls, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut running = Vec::new();
    for _ in 0..tasks {
        let (call, calls) = (call.clone(), calls.clone());
        running.push(tokio::spawn(async move {
            while began.elapsed() < ROUND {
                call().await?;
                calls.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Error>(())
        }));
    }
    for task in running {
        task.await??;
    }
    Ok(calls.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Opens watches on one connection, and waits until each has reported a change. Returns how long that took, from the first
/// write on.
async fn watches(endpoint: &str, count: usize) -> Result<Duration, Failure> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let key = |number: usize| format!("watched/{number:06}");
    let opened = Instant::now();
    let opening = (0..count).map(|number| client.watch(key(number)).into_future());
    let mut watches = futures_util::future::try_join_all(opening).await?;
    println!("{count} watches opened in {:?}", opened.elapsed());
    let began = Instant::now();
    for first in (0..count).step_by(100) {
        let puts = (first..count.min(first + 100)).map(|number| put(key(number), "v"));
        client.txn().then(puts).await?;
    }
    for watch in &mut watches {
        watch.next().await.ok_or("the watch has ended")??;
    }
    Ok(began.elapsed())
}
