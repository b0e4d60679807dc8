//! A connection that is cut, or stops, when so many bytes of an answer have passed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// What happens at the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtLimit {
    /// The connection is closed.
    Cut,
    /// Nothing passes any more.
    Stall,
}

/// Starts a proxy for a server, and returns its address. It lives as long as the test's process.
pub(crate) fn start(server: &str, limit: usize, at_limit: AtLimit) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(upstream) = TcpStream::connect(&server) else { continue };
            let (from, to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || forward(from, to, usize::MAX, AtLimit::Cut));
            thread::spawn(move || forward(upstream, client, limit, at_limit));
        }
    });
    address
}

fn forward(mut from: TcpStream, mut to: TcpStream, limit: usize, at_limit: AtLimit) {
    let mut left = limit;
    let mut piece = [0; 4096];
    while left > 0 {
        let wanted = piece.len().min(left);
        match from.read(&mut piece[..wanted]) {
            Ok(read) if read > 0 && to.write_all(&piece[..read]).is_ok() => left -= read,
            _ => break,
        }
    }
    if left == 0 && at_limit == AtLimit::Stall {
        loop {
            thread::park();
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
