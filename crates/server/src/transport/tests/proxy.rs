//! A proxy that does harm: what lies between two members.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// What is done once so many bytes have passed towards the target, on whichever connection.
#[derive(Clone, Copy)]
pub(super) enum Harm {
    /// The connection is closed.
    Cut,
    /// A bit is flipped.
    Damage,
}

/// Forwards connections. It ends with the test's process.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: SocketAddr,
    harm: Harm,
    /// Bytes until the harm is done.
    left: AtomicI64,
    done: AtomicUsize,
}

impl Proxy {
    /// Does the harm after so many bytes, once.
    pub(super) fn start(target: SocketAddr, harm: Harm, after: i64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { target, harm, left: AtomicI64::new(after), done: AtomicUsize::new(0) });
        let shared = state.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(far) = TcpStream::connect(shared.target) else { continue };
                let near = near.unwrap();
                let (back_from, back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                let shared = shared.clone();
                std::thread::spawn(move || shared.forward(near, far));
                std::thread::spawn(move || pump(back_from, back_to));
            }
        });
        Proxy { address, state }
    }

    /// How often harm was done.
    pub(super) fn harm_done(&self) -> usize {
        self.state.done.load(Ordering::SeqCst)
    }
}

impl State {
    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let before = self.left.fetch_sub(read as i64, Ordering::SeqCst);
            if before > 0 && before <= read as i64 {
                self.done.fetch_add(1, Ordering::SeqCst);
                match self.harm {
                    Harm::Cut => break,
                    Harm::Damage => buffer[before as usize - 1] ^= 4,
                }
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
