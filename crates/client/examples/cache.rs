//! A range of keys in memory: reads without a network, and yet as fresh as they need to be.
//!
//! `cargo run --example cache -- 127.0.0.1:2379`

use quorate_client::{Client, Error, prefix};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    println!("{:?}", run(&endpoint).await?);
    Ok(())
}

/// Runs the example. Returns the prices before and after a change.
pub(crate) async fn run(endpoint: &str) -> Result<[String; 2], Error> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    client.put("prices/apple", "3").await?;
    let cache = client.cache(prefix("prices/")).await?;
    let _printing = cache.on_change(|revision, change| {
        println!("at {revision}: {:?} is now {:?}", change.key(), change.after.as_ref().map(|kv| &kv.value));
    });

    // Two reads of one view are as of one revision.
    let before = cache.view();
    // A write of our own is seen when the cache has come to its revision…
    let written = client.put("prices/apple", "4").await?.header.revision;
    let after = cache.wait_until(written).await?;
    // …and a write of anybody when it has come to the present one.
    let latest = cache.latest().await?;
    assert_eq!(latest.get("prices/apple"), after.get("prices/apple"));

    let price = |view: &quorate_client::cache::View| {
        view.get("prices/apple").map(|kv| kv.value_str().into_owned()).unwrap_or_default()
    };
    Ok([price(&before), price(&after)])
}
