//! Many handshakes, slow ones and those that never end.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::sync::watch;

use super::*;
use crate::metrics::tls::{Endpoint, HandshakeResult};
use crate::tls::handshakes::{Bounds, Door, Handshakes, Listener, Need};
use crate::tls::{Delivery, Stream};

const HOUR: Duration = Duration::from_secs(3600);

/// A thread with one listener.
struct Hall {
    address: std::net::SocketAddr,
    delivered: Receiver<Delivery>,
    close: watch::Sender<bool>,
    /// Ends when the listener is closed and no handshake is under way.
    closed: Receiver<()>,
    handshakes: Option<Handshakes>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hall {
    fn start(stage: &Stage, bounds: Bounds) -> Hall {
        Hall::with(stage, bounds, Need::Tls)
    }

    fn with(stage: &Stage, bounds: Bounds, need: Need) -> Hall {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (send, delivered) = channel();
        let (close, closing) = watch::channel(false);
        let (open, closed) = channel();
        let (handshakes, thread) = Handshakes::within(bounds, stage.metrics.clone()).unwrap();
        let thread = std::thread::spawn(move || thread.run());
        handshakes.open(Door {
            listener: Listener::Tcp(listener),
            acceptor: stage.acceptor(Role::Clients, &stage.open_side()),
            need,
            deliver: Arc::new(move |delivery| drop(send.send(delivery))),
            closing: (closing, open),
        });
        Hall { address, delivered, close, closed, handshakes: Some(handshakes), thread: Some(thread) }
    }

    /// A client that says nothing.
    async fn silent(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A client that makes its handshake.
    async fn client(&self, stage: &Stage) -> tokio_rustls::client::TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(stage.client(None)));
        connector.connect(ServerName::try_from("localhost").unwrap(), self.silent().await).await.unwrap()
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.handshakes = None;
        let _ = self.thread.take().map(|thread| thread.join());
    }
}

fn count(stage: &Stage, result: HandshakeResult) -> u64 {
    stage.metrics.tls.handshakes.of(Endpoint::Client, result).get()
}

/// Reads until the server closes the connection.
async fn closed(mut socket: TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut rest)).await;
    let _ = read.expect("the server closes the connection");
}

#[tokio::test]
async fn a_connection_is_served_on_another_thread_than_its_handshake() {
    let stage = Stage::new();
    let hall = Hall::start(&stage, Bounds { handshakes_max: 8, grace: HOUR, deadline: HOUR });
    let mut client = hall.client(&stage).await;
    // This test's thread has a runtime of its own.
    let Delivery { stream: mut served, name } = hall.delivered.recv().unwrap();
    assert_eq!(name, None);
    served.attach().unwrap();
    let long = vec![7; 1 << 20];
    let (mut there, mut back) = (vec![0; long.len()], vec![0; long.len()]);
    let serve = async {
        served.read_exact(&mut there).await.unwrap();
        served.write_all(&there).await.unwrap();
        served.flush().await.unwrap();
    };
    let (mut read, mut write) = tokio::io::split(&mut client);
    let ask = async {
        write.write_all(&long).await.unwrap();
        write.flush().await.unwrap();
    };
    let hear = async { read.read_exact(&mut back).await.map(drop).unwrap() };
    tokio::join!(serve, ask, hear);
    assert_eq!(back, long);
    assert_eq!(count(&stage, HandshakeResult::Ok), 1);
}

/// The listener is closed, so that clients go elsewhere; those that have connected before are served.
#[tokio::test]
async fn a_member_that_leaves_finishes_the_handshakes_of_those_that_have_connected() {
    let stage = Stage::new();
    let hall = Hall::start(&stage, Bounds { handshakes_max: 8, grace: HOUR, deadline: HOUR });
    let early = hall.silent().await;
    hall.close.send(true).unwrap();
    let refused = || std::net::TcpStream::connect(hall.address).is_err();
    testkit::wait::until("the listener to be closed", || refused().then_some(()));
    assert_eq!(hall.closed.try_recv(), Err(TryRecvError::Empty), "a handshake is under way");
    let connector = TlsConnector::from(Arc::new(stage.client(None)));
    connector.connect(ServerName::try_from("localhost").unwrap(), early).await.unwrap();
    hall.delivered.recv().unwrap();
    assert!(hall.closed.recv().is_err(), "nothing is open any more");
}

#[tokio::test]
async fn an_address_with_tls_and_without_serves_both() {
    let stage = Stage::new();
    let bounds = Bounds { handshakes_max: 8, grace: HOUR, deadline: HOUR };
    let hall = Hall::with(&stage, bounds, Need::Either);
    let _client = hall.client(&stage).await;
    assert!(matches!(hall.delivered.recv().unwrap().stream, Stream::Tls(_)));
    let mut plain = hall.silent().await;
    plain.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut served = hall.delivered.recv().unwrap().stream;
    assert!(matches!(served, Stream::Plain(_)));
    served.attach().unwrap();
    let mut heard = [0; 3];
    served.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"GET");
}

#[tokio::test]
async fn cve_2026_73500_a_handshake_has_a_deadline() {
    let stage = Stage::new();
    let bounds = Bounds { handshakes_max: 8, grace: HOUR, deadline: Duration::from_millis(20) };
    let hall = Hall::start(&stage, bounds);
    let mut half = hall.silent().await;
    half.write_all(&[0x16, 3, 1]).await.unwrap();
    closed(hall.silent().await).await;
    closed(half).await;
    testkit::wait::until("both to be counted", || {
        (count(&stage, HandshakeResult::TimedOut) == 2).then_some(())
    });
    assert_eq!(crate::limits::TLS_HANDSHAKE_TIMEOUT, Duration::from_secs(10), "etcd's");
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_handshake_makes_room() {
    let stage = Stage::new();
    let hall = Hall::start(&stage, Bounds { handshakes_max: 4, grace: Duration::ZERO, deadline: HOUR });
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(hall.silent().await);
        let _client = hall.client(&stage).await;
        hall.delivered.recv().unwrap();
    }
    assert_eq!(count(&stage, HandshakeResult::Ok), 40, "those that speak are served");
    assert!(count(&stage, HandshakeResult::Evicted) >= 36);
    for socket in silent.drain(..36) {
        closed(socket).await;
    }
}

#[tokio::test]
async fn a_handshake_that_has_just_begun_is_left_alone() {
    let stage = Stage::new();
    let hall = Hall::start(&stage, Bounds { handshakes_max: 2, grace: HOUR, deadline: HOUR });
    let (first, second) = (hall.silent().await, hall.silent().await);
    // The third one has to wait: until one of the two gives up.
    let third = hall.client(&stage);
    let stop = async {
        drop(first);
    };
    let (_, ()) = tokio::join!(third, stop);
    assert_eq!(count(&stage, HandshakeResult::Evicted), 0);
    drop(second);
}

/// Five thousand clients that never finish their greeting; the process may not have descriptors for all of them at once.
#[tokio::test]
async fn five_thousand_slow_clients_do_not_keep_others_out() {
    let stage = Stage::new();
    let descriptors = crate::metrics::open_files_limit().map_or(1024, |limit| limit as usize);
    let (slow, at_once) = (5000, (descriptors / 8).clamp(16, 1024));
    let bounds =
        Bounds { handshakes_max: (at_once / 2).min(256), grace: Duration::from_millis(1), deadline: HOUR };
    let hall = Hall::start(&stage, bounds);
    let mut held = std::collections::VecDeque::new();
    for number in 0..slow {
        let mut socket = hall.silent().await;
        // It may have been evicted meanwhile.
        let _ = socket.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
        held.push_back(socket);
        if held.len() > at_once {
            held.pop_front();
        }
        if number % 500 == 0 {
            let _client = hall.client(&stage).await;
            hall.delivered.recv().unwrap();
        }
    }
    assert_eq!(count(&stage, HandshakeResult::Ok), slow / 500);
}
