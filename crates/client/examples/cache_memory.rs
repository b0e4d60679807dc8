//! Measures how much memory a cache of many keys occupies, compared with the bytes of the keys and values.
//!
//! `cargo run --release --example cache_memory -- 127.0.0.1:2379 1000000 [value bytes]` fills the store if it is empty.

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use quorate_client::{Client, prefix, put};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    let keys = arguments.next().map_or(Ok(1_000_000), |keys| keys.parse())?;
    let value = arguments.next().map_or(Ok(64), |value| value.parse())?;
    measure(&endpoint, keys, value).await
}

/// Returns a key as those that Kubernetes makes: a long common part, and a random one.
fn key(number: usize) -> String {
    let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("memory/namespace-{:03}/thing-{scattered:016x}", scattered % 500)
}

/// Returns a value that has nothing in common with others.
fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut state = number as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

async fn measure(endpoint: &str, keys: usize, value_bytes: usize) -> Result<(), Failure> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let present = client.get(prefix("memory/")).count_only().await?.count;
    if usize::try_from(present)? < keys {
        let batches = (0..keys).step_by(100).map(|first| {
            let puts =
                (first..keys.min(first + 100)).map(|number| put(key(number), value(number, value_bytes)));
            client.txn().then(puts).into_future()
        });
        stream::iter(batches).buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await?;
    }
    drop(client);
    // A new process has nothing in memory of what was written.
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let (before, began) = (resident()?, Instant::now());
    let cache = client.cache(prefix("memory/")).await?;
    let (loaded, after) = (began.elapsed(), resident()?);
    let view = cache.view();
    let (bytes, occupied) = (view.bytes(), after.saturating_sub(before));
    let ratio = |memory: usize| memory as f64 / bytes as f64;
    println!("{} keys, {bytes} bytes of keys and values, loaded in {loaded:?}", view.len());
    println!("the process has grown by {occupied} bytes: {:.3} times as many", ratio(occupied));
    println!("the records occupy about {} bytes: {:.3} times as many", view.memory(), ratio(view.memory()));
    drop(view);

    let began = Instant::now();
    let reads = 100_000;
    let found = (0..reads).filter(|number| cache.get(key(number * (keys / reads).max(1))).is_some()).count();
    println!("{found} of {reads} keys read, {:?} each", began.elapsed() / u32::try_from(reads)?);
    Ok(())
}

/// Returns how many bytes of memory the process has.
fn resident() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}
