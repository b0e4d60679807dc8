//! How much of the raw stub's throughput the client has: puts of 64 bytes by 64 and by 1,000 tasks, in turns.
//!
//! ```text
//! cargo run --release -p quorate-client --example typed_and_raw -- 127.0.0.1:2379
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proto::etcdserverpb::PutRequest;
use proto::etcdserverpb::kv_client::KvClient;
use quorate_client::Client;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long one side is measured at a time.
const TURN: Duration = Duration::from_secs(3);

/// How often the sides take turns.
const TURNS: usize = 4;

const VALUE: &[u8] = &[b'v'; 64];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let endpoint = std::env::args().nth(1).unwrap_or("127.0.0.1:2379".to_owned());
    let channel = Endpoint::from_shared(format!("http://{endpoint}"))?.connect().await?;
    let client = Client::builder().endpoints([endpoint]).connect().await?;
    for tasks in [64, 1000] {
        let (mut raw, mut typed) = (0.0, 0.0);
        for _ in 0..TURNS {
            let channel = channel.clone();
            raw += measure(tasks, move |key| {
                let mut stub = KvClient::new(channel.clone());
                let message = PutRequest { key: key.into(), value: VALUE.into(), ..Default::default() };
                async move { stub.put(message).await.map(drop).map_err(Failure::from) }
            })
            .await?;
            let client = client.clone();
            typed += measure(tasks, move |key| {
                let client = client.clone();
                async move { client.put(key, VALUE).await.map(drop).map_err(Failure::from) }
            })
            .await?;
        }
        let turns = TURNS as f64;
        println!(
            "{tasks} tasks: raw stub {:.0}/s, client {:.0}/s, ratio {:.2}",
            raw / turns,
            typed / turns,
            typed / raw
        );
    }
    Ok(())
}

/// Returns how many calls a second so many tasks make.
async fn measure<F>(tasks: usize, call: impl Fn(String) -> F + Clone + Send + 'static) -> Result<f64, Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut all = JoinSet::new();
    for task in 0..tasks {
        let (call, done) = (call.clone(), done.clone());
        all.spawn(async move {
            while began.elapsed() < TURN {
                call(format!("throughput/{task}")).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(ended) = all.join_next().await {
        ended??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
