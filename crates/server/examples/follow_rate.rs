//! How many revisions a second a cluster follows, how fast it loads, and how much memory it takes.
//!
//! ```sh
//! cargo run --release -p quorate --example follow_rate -- target/release/quorate [PATH-OF-A-SOURCE [KEYS [REVISIONS]]]
//! ```
//!
//! A source (the same program unless another is named, an etcd say) gets keys, and a follower loads them. Then the follower is
//! stopped (SIGSTOP) while the source gets revisions, and goes on. Last comes the cut-over. Times are taken from outside, by
//! `quorate.v1.Follow/Status`.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use proto::quorate_v1::follow_client::FollowClient;
use proto::quorate_v1::{CutoverRequest, FollowStatusRequest, Phase};
use testkit::{Program, Server};
use tonic::transport::{Channel, Endpoint};

/// Writers at a time, and how many connections they share.
const WRITERS: u64 = 256;
const CONNECTIONS: usize = 4;

/// Bytes of a value.
const VALUE_BYTES: usize = 64;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the path of quorate is missing")?;
    let quorate = Program::at(Path::new(&path))?;
    let source = match arguments.next() {
        Some(path) => Program::at(Path::new(&path))?,
        None => quorate.clone(),
    };
    let keys: u64 = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let revisions: u64 = arguments.next().map_or(Ok(500_000), |number| number.parse())?;
    let unlimited = "--quota-backend-bytes=8589934592";
    let source = Server::start(&source, &[unlimited]);
    write(&source, keys, keys).await?;

    let began = Instant::now();
    let endpoints = format!("--follow-endpoints={}", source.client_address());
    let follower = Server::start(&quorate, &[&endpoints, unlimited]);
    reached(&follower, newest(&source).await?).await?;
    let took = began.elapsed().as_secs_f64();
    println!("load       {keys} keys in {took:.1} s: {:.0} revisions/s", keys as f64 / took);
    print_memory("follower", &follower);
    print_memory("source", &source);

    follower.pause();
    write(&source, revisions, keys).await?;
    let newest = newest(&source).await?;
    let began = Instant::now();
    follower.resume();
    reached(&follower, newest).await?;
    let took = began.elapsed().as_secs_f64();
    println!("follow     {revisions} revisions in {took:.1} s: {:.0} revisions/s", revisions as f64 / took);
    print_memory("follower", &follower);
    print_memory("source", &source);

    let done = FollowClient::new(channel(&follower)).cutover(CutoverRequest::default()).await?.into_inner();
    println!("cut-over   at revision {}, {} ms without writes", done.revision, done.without_writes_ms);
    Ok(())
}

fn channel(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address()));
    endpoint.expect("an address is a URI").connect_lazy()
}

/// Puts keys, as many as asked for; `distinct` of them are different.
async fn write(server: &Server, count: u64, distinct: u64) -> Result<(), Box<dyn Error>> {
    let channels: Vec<Channel> = (0..CONNECTIONS).map(|_| channel(server)).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut kv = KvClient::new(channels[writer as usize % CONNECTIONS].clone());
            tokio::spawn(async move {
                for number in (writer..count).step_by(WRITERS as usize) {
                    let key = format!("/registry/things/{:012}", number * 7_919 % distinct);
                    let value = vec![b'v'; VALUE_BYTES];
                    kv.put(PutRequest { key: key.into(), value: value.into(), ..Default::default() }).await?;
                }
                Ok::<(), tonic::Status>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

async fn newest(server: &Server) -> Result<i64, Box<dyn Error>> {
    let request = RangeRequest { key: "k".into(), ..Default::default() };
    let answer = KvClient::new(channel(server)).range(request).await?.into_inner();
    Ok(answer.header.ok_or("no header")?.revision)
}

/// Waits until a follower shows a revision.
async fn reached(server: &Server, revision: i64) -> Result<(), Box<dyn Error>> {
    let mut follow = FollowClient::new(channel(server));
    loop {
        let status = follow.status(FollowStatusRequest {}).await?.into_inner();
        if status.phase() == Phase::Stopped {
            return Err(status.reason.into());
        }
        if status.phase() == Phase::Following && status.revision >= revision {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The source, if it is the same program, has taken the same writes from clients: what it takes is no matter of following.
fn print_memory(of: &str, server: &Server) {
    let (now, most) = (memory(server, "VmRSS"), memory(server, "VmHWM"));
    println!("memory     {of}: {now} MiB resident, {most} MiB at most");
}

/// A line of the process's status, in MiB.
fn memory(server: &Server, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|found| found.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
