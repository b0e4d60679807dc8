//! A lock that protects a store outside of the cluster.
//!
//! A lock alone cannot: its holder may be paused, lose it, and write later. The store must know who holds it. Here it
//! takes a token with each write, and refuses one that is lower than the highest it has seen.
//!
//! `cargo run --example lock_fencing -- 127.0.0.1:2379`

use std::time::Duration;

use quorate_client::{Client, Error, Revision};

/// A store that knows nothing of locks but the tokens of their holders.
#[derive(Debug, Default)]
pub(crate) struct Store {
    highest: Revision,
    /// What was written.
    pub(crate) lines: Vec<String>,
}

impl Store {
    /// Writes a line. Returns whether the token was good.
    pub(crate) fn write(&mut self, token: Revision, line: &str) -> bool {
        if token < self.highest {
            return false;
        }
        self.highest = token;
        self.lines.push(line.to_owned());
        true
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    println!("{:?}", run(&endpoint).await?);
    Ok(())
}

/// Runs the example. Returns what the store contains.
pub(crate) async fn run(endpoint: &str) -> Result<Store, Error> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let mut store = Store::default();

    let paused = client.session(Duration::from_secs(10)).await?;
    let held = paused.mutex("examples/ledger").lock().await?;
    assert!(store.write(held.token(), "by the first"));

    // The process is paused, and its lease ends. Here: by a command.
    client.lease_revoke(paused.lease().id()).await?;

    let session = client.session(Duration::from_secs(10)).await?;
    let next = session.mutex("examples/ledger").lock().await?;
    assert!(store.write(next.token(), "by the second"));

    // The first one wakes up, and has not heard of anything.
    if !store.write(held.token(), "by the first, late") {
        eprintln!("refused: {}", held.lost().await);
    }
    next.unlock().await?;
    Ok(store)
}
