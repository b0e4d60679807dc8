//! How long `quoratectl get` takes from its start to its end, beside a program that does nothing but connect, make the same
//! request and read its answer, and beside an etcdctl if one is named: medians of runs in turns.
//!
//! ```text
//! cargo build --release --workspace --bin quoratectl --example start
//! target/release/examples/start 127.0.0.1:2379 target/release/quoratectl [PATH-OF-ETCDCTL]
//! ```

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each program is run.
const RUNS: usize = 200;

/// The key that is read.
const KEY: &str = "start/key";

/// The argument with which this program is the bare one.
const BARE: &str = "--bare";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [BARE, endpoint] => bare(endpoint),
        [endpoint, programs @ ..] if !programs.is_empty() => compare(endpoint, programs),
        _ => Err(io::Error::other("usage: start HOST:PORT PATH-OF-QUORATECTL [PATH-OF-ETCDCTL]")),
    }
}

/// A program, and how long its runs took.
struct Side<'a> {
    name: &'a str,
    command: Command,
    took: Vec<Duration>,
}

fn compare(endpoint: &str, programs: &[&str]) -> io::Result<()> {
    let mut bare = Command::new(std::env::current_exe()?);
    bare.args([BARE, endpoint]);
    let mut sides = vec![Side { name: "bare connection and request", command: bare, took: Vec::new() }];
    for name in programs {
        let mut command = Command::new(name);
        command.args(["--endpoints", endpoint, "get", KEY]);
        sides.push(Side { name, command, took: Vec::new() });
    }
    for _ in 0..RUNS {
        for side in &mut sides {
            let began = Instant::now();
            let status = side.command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            side.took.push(began.elapsed());
            if !status.success() {
                return Err(io::Error::other(format!("{}: {status}", side.name)));
            }
        }
    }
    let first = median(&mut sides[0].took);
    for side in &mut sides {
        let (median, ratio) =
            (median(&mut side.took), median(&mut side.took).as_secs_f64() / first.as_secs_f64());
        println!("{:>8.2} ms  {ratio:>6.2}  {}", median.as_secs_f64() * 1e3, side.name);
    }
    Ok(())
}

fn median(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

/// Connects, makes one request and reads its answer.
fn bare(endpoint: &str) -> io::Result<()> {
    let mut socket = TcpStream::connect(endpoint)?;
    socket.set_nodelay(true)?;
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/etcdserverpb.KV/Range"),
        (":authority", endpoint),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ];
    let key = [&[0x0a, KEY.len() as u8], KEY.as_bytes()].concat();
    let message = [&[0, 0, 0, 0, key.len() as u8][..], &key].concat();
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    request.extend(frame(SETTINGS, 0, 0, &[]));
    request.extend(frame(HEADERS, END_HEADERS, 1, &headers.map(literal).concat()));
    request.extend(frame(DATA, END_STREAM, 1, &message));
    socket.write_all(&request)?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        socket.read_exact(&mut vec![0; length])?;
        let is_of_request = head[5..] == 1u32.to_be_bytes();
        if is_of_request && head[4] & END_STREAM != 0 {
            return Ok(());
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Returns a frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head[..], payload].concat()
}

/// Returns a header that is not to be remembered, its name as a text (RFC 7541, section 6.2.2).
fn literal((name, value): (&str, &str)) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}
