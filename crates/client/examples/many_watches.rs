//! Measures many watches of one client, which share one connection and one stream: how long it takes until all are made,
//! until a change of each key has been reported, and what they occupy.
//!
//! `cargo run --release --example many_watches -- 127.0.0.1:2379 [watches]`

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use quorate_client::{Client, Watcher};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many calls are made at a time.
const AT_A_TIME: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    let watches = arguments.next().map_or(Ok(10_000), |watches| watches.parse())?;
    let watching = Client::builder().endpoints([endpoint.as_str()]).connect().await?;
    let writing = Client::builder().endpoints([endpoint.as_str()]).connect().await?;
    watching.get(key(0)).await?;
    let (before, began) = (resident()?, Instant::now());
    let making = (0..watches).map(|number| watching.watch(key(number)).into_future());
    let made: Vec<Watcher> = stream::iter(making).buffered(AT_A_TIME).try_collect().await?;
    println!("{watches} watches made in {:?}", began.elapsed());
    let occupied = resident()?.saturating_sub(before);
    println!("the process has grown by {occupied} bytes: {} for each", occupied / watches.max(1));

    let began = Instant::now();
    let readers: Vec<_> = made.into_iter().map(|watch| tokio::spawn(one_change(watch))).collect();
    let puts = (0..watches).map(|number| writing.put(key(number), "changed").into_future());
    stream::iter(puts).buffer_unordered(AT_A_TIME).try_for_each(|_| async { Ok(()) }).await?;
    let written = began.elapsed();
    let mut watches = Vec::new();
    for reader in readers {
        watches.push(reader.await??);
    }
    println!(
        "{} keys written in {written:?}, all changes reported after {:?}",
        watches.len(),
        began.elapsed()
    );
    Ok(())
}

fn key(number: usize) -> String {
    format!("watched/{number}")
}

/// Waits for a change; returns the watch.
async fn one_change(mut watch: Watcher) -> Result<Watcher, Failure> {
    while watch.next().await.ok_or("the watch has ended")??.events.is_empty() {}
    Ok(watch)
}

/// Returns how many bytes of memory the process has.
fn resident() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}
