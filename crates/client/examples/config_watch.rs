//! Reads a configuration and follows its changes.
//!
//! `cargo run --example config_watch -- 127.0.0.1:2379`

use std::collections::BTreeMap;

use quorate_client::{Client, Error, EventKind, prefix, put};

type Config = BTreeMap<String, String>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    println!("{:?}", run(&endpoint).await?);
    Ok(())
}

/// Runs the example. Returns the configuration as it is at the end.
pub(crate) async fn run(endpoint: &str) -> Result<Config, Error> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let defaults = [put("config/color", "blue"), put("config/size", "3")];
    client.txn().then(defaults).await?;

    // The watch begins with the revision after that of the read: nothing is missed, nothing is seen twice.
    let answer = client.get(prefix("config/")).await?;
    let mut changes = client.watch(prefix("config/")).from_revision(answer.header.revision.next()).await?;
    let pairs = answer.kvs.iter().map(|kv| (kv.key_str().into_owned(), kv.value_str().into_owned()));
    let mut config: Config = pairs.collect();

    // As somebody else would.
    client.put("config/color", "green").await?;
    client.delete("config/size").await?;

    while config.contains_key("config/size") {
        let Some(update) = changes.next().await else { break };
        for event in update?.events {
            let key = event.kv.key_str().into_owned();
            match event.kind {
                EventKind::Put => config.insert(key, event.kv.value_str().into_owned()),
                EventKind::Delete => config.remove(&key),
            };
        }
    }
    Ok(config)
}
