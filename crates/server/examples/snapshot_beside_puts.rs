//! How much longer puts take while a snapshot is streamed, and how fast it is.
//!
//! ```sh
//! cargo run --release -p quorate --example snapshot_beside_puts -- PATH-OF-A-SERVER [KEYS [PUTS-A-SECOND [ROUNDS]]]
//! ```
//!
//! The server (Quorate, or an etcd) gets so many keys of 1 KiB, a million by default, and rests for 20 s. Puts come at a fixed pace, 4,000 a second by default,
//! whatever the answers do, and count from the moment when they are due: first alone for ten seconds, then as long as one
//! snapshot takes. Those that are refused are counted apart. What is streamed is thrown away. There is one round of both by default; of several, the
//! ratios of the slowest puts are told in the end, sorted, for a machine that is busy with other things in some of them.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{PutRequest, RequestOp, SnapshotRequest, TxnRequest};
use testkit::{Program, Server};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

/// Writers that fill it, and keys in one transaction of theirs.
const WRITERS: u64 = 8;
const KEYS_PER_TXN: u64 = 100;

/// Bytes of a value.
const VALUE_BYTES: usize = 1024;

/// Connections that puts share.
const CONNECTIONS: usize = 4;

/// Pause after it is filled: what has piled up for checkpoints is written then.
const REST: Duration = Duration::from_secs(20);

/// How long puts are alone.
const ALONE: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the path of a server is missing")?;
    let keys: u64 = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let rate: u64 = arguments.next().map_or(Ok(4_000), |number| number.parse())?;
    let rounds: u32 = arguments.next().map_or(Ok(1), |number| number.parse())?;
    let server = Server::start(&Program::at(Path::new(&path))?, &["--quota-backend-bytes=8589934592"]);
    fill(&server, keys).await?;
    tokio::time::sleep(REST).await;

    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (before, during) = round(&server, keys, rate).await?;
        ratios.push(during.at(0.99) / before.at(0.99));
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!("p99 beside by p99 alone: {ratios:.2?}");
    Ok(())
}

/// Puts alone, and then beside a snapshot.
async fn round(server: &Server, keys: u64, rate: u64) -> Result<(Puts, Puts), Box<dyn Error>> {
    let alone = AtomicBool::new(true);
    let (before, ()) = tokio::join!(paced(server, keys, rate, &alone), async {
        tokio::time::sleep(ALONE).await;
        alone.store(false, Ordering::Relaxed);
    });
    let streams = AtomicBool::new(true);
    let (during, streamed) = tokio::join!(paced(server, keys, rate, &streams), async {
        let streamed = snapshot(server).await;
        streams.store(false, Ordering::Relaxed);
        streamed
    });
    let (bytes, seconds) = streamed?;
    print("alone", &before);
    print("beside a snapshot", &during);
    println!("snapshot: {:.0} MB in {seconds:.1} s, {:.0} MB/s", bytes / 1e6, bytes / 1e6 / seconds);
    Ok((before, during))
}

fn channel(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address()));
    endpoint.expect("an address is a URI").connect_lazy()
}

fn put(number: u64) -> PutRequest {
    let key = format!("/registry/things/{number:012}");
    PutRequest { key: key.into(), value: vec![b'v'; VALUE_BYTES].into(), ..Default::default() }
}

/// Puts each key once.
async fn fill(server: &Server, keys: u64) -> Result<(), Box<dyn Error>> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut kv = KvClient::new(channel(server));
        writers.spawn(async move {
            for first in (writer * KEYS_PER_TXN..keys).step_by((WRITERS * KEYS_PER_TXN) as usize) {
                let numbers = first..keys.min(first + KEYS_PER_TXN);
                let operation = |number| RequestOp { request: Some(Request::RequestPut(put(number))) };
                let success = numbers.map(operation).collect();
                kv.txn(TxnRequest { success, ..Default::default() }).await?;
            }
            Ok::<(), tonic::Status>(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(())
}

/// What became of puts.
#[derive(Default)]
struct Puts {
    /// How long each took, from when it was due; the shortest first.
    taken: Vec<Duration>,
    refused: u64,
}

impl Puts {
    /// Returns the seconds that this share of them took at most.
    fn at(&self, share: f64) -> f64 {
        self.taken.get((self.taken.len() as f64 * share) as usize).copied().unwrap_or_default().as_secs_f64()
    }
}

/// Puts keys at a pace for as long as `goes_on`.
async fn paced(server: &Server, keys: u64, rate: u64, goes_on: &AtomicBool) -> Puts {
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| KvClient::new(channel(server))).collect();
    let done = Arc::new(Mutex::new(Puts::default()));
    let mut puts = JoinSet::new();
    let (start, mut number) = (Instant::now(), 0_u64);
    while goes_on.load(Ordering::Relaxed) {
        let due = start + Duration::from_nanos(number * 1_000_000_000 / rate);
        tokio::time::sleep_until(due.into()).await;
        let (mut kv, done) = (clients[number as usize % CONNECTIONS].clone(), done.clone());
        puts.spawn(async move {
            // 7,919 is a prime: keys come in no order.
            let answer = kv.put(put(number * 7_919 % keys)).await;
            let mut done = done.lock().expect("nobody panics with it");
            match answer {
                Ok(_) => done.taken.push(due.elapsed()),
                Err(_) => done.refused += 1,
            }
        });
        while puts.try_join_next().is_some() {}
        number += 1;
    }
    while puts.join_next().await.is_some() {}
    let mut done = std::mem::take(&mut *done.lock().expect("nobody panics with it"));
    done.taken.sort_unstable();
    done
}

/// Streams a snapshot. Returns its bytes, and the seconds that it took.
async fn snapshot(server: &Server) -> Result<(f64, f64), tonic::Status> {
    let start = Instant::now();
    let mut pieces = MaintenanceClient::new(channel(server)).snapshot(SnapshotRequest {}).await?.into_inner();
    let mut bytes = 0;
    while let Some(piece) = pieces.message().await? {
        bytes += piece.blob.len();
    }
    Ok((bytes as f64, start.elapsed().as_secs_f64()))
}

fn print(what: &str, puts: &Puts) {
    let [median, slow, slowest] = [0.5, 0.99, 0.999].map(|share| puts.at(share) * 1e3);
    let (count, refused) = (puts.taken.len(), puts.refused);
    println!(
        "puts {what}: {count}, p50 {median:.2} ms, p99 {slow:.1} ms, p99.9 {slowest:.1} ms; {refused} refused"
    );
}
