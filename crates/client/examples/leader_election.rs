//! Two candidates, of whom one leads at a time.
//!
//! `cargo run --example leader_election -- 127.0.0.1:2379`

use std::time::Duration;

use quorate_client::{Client, Error, put};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_owned());
    println!("{:?}", run(&endpoint).await?);
    Ok(())
}

/// Runs the example. Returns who has led, one after the other.
pub(crate) async fn run(endpoint: &str) -> Result<Vec<String>, Error> {
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    let election = client.election("examples/scheduler");
    let mut leaders = election.observe();

    let first = client.session(Duration::from_secs(10)).await?;
    let second = client.session(Duration::from_secs(10)).await?;
    let lead = election.campaign(&first, "ann").await?;
    let mut seen = vec![leaders.next().await?.value_str().into_owned()];

    // The other one waits for its turn.
    let campaign = {
        let election = election.clone();
        tokio::spawn(async move { election.campaign(&second, "bob").await })
    };

    // Whatever the leader writes, it writes only while it leads. And it stops when it hears that it does not.
    let work = client.txn().when([lead.condition()]).then([put("examples/plan", "by ann")]);
    tokio::select! {
        why = lead.lost() => return Err(why),
        done = work => assert!(done?.succeeded),
    }
    lead.resign().await?;

    let lead = campaign.await.map_err(|_| Error::Closed)??;
    seen.push(leaders.next().await?.value_str().into_owned());
    lead.resign().await?;
    Ok(seen)
}
