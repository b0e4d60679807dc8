//! Many keys, written fast and read back.
//!
//! `cargo run --release --example bulk_load -- 127.0.0.1:2379 100000`

use futures_util::{StreamExt, TryStreamExt, stream};
use quorate_client::{Client, Error, prefix, put};

/// Operations of a transaction: a member's limit is 128, unless it was told otherwise.
const BATCH: usize = 100;

/// Transactions on their way at a time.
const CONCURRENCY: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    let keys = arguments.next().and_then(|keys| keys.parse().ok()).unwrap_or(10_000);
    let began = std::time::Instant::now();
    let read = run(&endpoint, keys).await?;
    println!("{read} keys in {:?}", began.elapsed());
    Ok(())
}

/// Runs the example. Returns how many keys were read back.
pub(crate) async fn run(endpoint: &str, keys: usize) -> Result<usize, Error> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let key = |number: usize| format!("bulk/{number:09}");
    let batches = (0..keys).step_by(BATCH).map(|first| {
        let last = keys.min(first + BATCH);
        let puts = (first..last).map(|number| put(key(number), format!("value {number}")));
        client.txn().then(puts).into_future()
    });
    // Here, to write twice is as good as to write once: after an error, the whole can simply be done again.
    stream::iter(batches).buffer_unordered(CONCURRENCY).try_for_each(|_| async { Ok(()) }).await?;
    client.get(prefix("bulk/")).stream().try_fold(0, |count, _| async move { Ok(count + 1) }).await
}
