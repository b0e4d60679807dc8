//! Services that register, and a client that knows which are there.
//!
//! `cargo run --example service_registry -- 127.0.0.1:2379`

use std::time::Duration;

use quorate_client::cache::View;
use quorate_client::{Client, Error, Lease, prefix};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    for line in run(&endpoint).await? {
        println!("{line}");
    }
    Ok(())
}

/// Registers an instance for as long as what is returned is kept, and its process lives.
async fn register(client: &Client, name: &str, address: &str) -> Result<Lease, Error> {
    let lease = client.lease(Duration::from_secs(10)).await?;
    client.put(format!("services/{name}/{}", lease.id()), address).lease(lease.id()).await?;
    Ok(lease)
}

fn addresses(view: &View, name: &str) -> String {
    let mut found: Vec<String> =
        view.range(prefix(format!("services/{name}/"))).map(|kv| kv.value_str().into_owned()).collect();
    found.sort();
    found.join(" ")
}

/// Runs the example. Returns the addresses that were known, whenever they changed.
pub(crate) async fn run(endpoint: &str) -> Result<Vec<String>, Error> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let first = register(&client, "web", "10.0.0.1:80").await?;

    // Who calls the service keeps its addresses in memory.
    let known = client.cache(prefix("services/")).await?;
    let mut changes = known.changes();
    let mut seen = vec![addresses(&known.view(), "web")];

    let second = register(&client, "web", "10.0.0.2:80").await?;
    changes.next().await?;
    seen.push(addresses(changes.view(), "web"));

    // One that shuts down leaves at once; one that dies is gone after its time.
    first.revoke().await?;
    changes.next().await?;
    seen.push(addresses(changes.view(), "web"));
    second.revoke().await?;
    Ok(seen)
}
