//! Accepting connections and dealing them out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::connection::stopped;
use super::descriptors::{Place, Places};
use crate::limits::TCP_KEEPALIVE;
use crate::tls::{CertificateName, Delivery, Detached, Listener, Stream};

/// Pause after an error of `accept` that will not go away at once, such as too many open files: the listener stays readable
/// and would spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A connection that was accepted, and its place among those that the process has room for.
pub(crate) struct Accepted {
    /// Detached: the worker attaches it to its own runtime.
    pub(crate) stream: Stream,
    /// Who the client is, by its certificate.
    pub(crate) name: Option<CertificateName>,
    pub(crate) place: Place,
}

/// Deals connections to workers in turn. Those for which there is no place are closed.
#[derive(Clone)]
pub(crate) struct Dealer {
    workers: Vec<UnboundedSender<Accepted>>,
    dealt: Arc<AtomicUsize>,
    places: Arc<Places>,
}

impl Dealer {
    pub(crate) fn new(workers: Vec<UnboundedSender<Accepted>>, places: Arc<Places>) -> Self {
        Self { workers, dealt: Arc::default(), places }
    }

    /// Gives a connection to the worker whose turn it is.
    pub(crate) fn deal(&self, Delivery { stream, name }: Delivery) {
        let Some(place) = self.places.take() else { return };
        let turn = self.dealt.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let _ = self.workers[turn].send(Accepted { stream, name, place });
    }
}

/// Held as long as a listener is open, and by each connection that it has accepted and that is not dealt out yet.
pub(crate) type OpenDoor = std::sync::mpsc::Sender<()>;

/// Says when a listener is to be closed, and holds what says that it is open.
pub(crate) type Closing = (watch::Receiver<bool>, OpenDoor);

/// Accepts connections without TLS until the member leaves. At the end the listener is closed, so that clients look
/// elsewhere.
pub(crate) async fn accept(listener: Listener, dealer: Dealer, (mut leaving, _open): Closing) {
    let listener = match Incoming::of(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(error = %error, "cannot accept connections"),
    };
    let deal = |socket: Detached| dealer.deal(Delivery { stream: Stream::Plain(socket.into()), name: None });
    loop {
        tokio::select! {
            // First, so that what is connected already is served.
            biased;
            socket = listener.next() => deal(socket),
            () = stopped(&mut leaving) => return listener.drain().into_iter().for_each(deal),
        }
    }
}

/// A listener in the runtime of the caller.
pub(crate) enum Incoming {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Incoming {
    /// Puts a listener into the runtime of the caller.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn of(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(listener) => Incoming::Tcp(TcpListener::from_std(listener)?),
            Listener::Unix(listener) => Incoming::Unix(UnixListener::from_std(listener)?),
        })
    }

    /// The next connection, detached from this runtime.
    pub(crate) async fn next(&self) -> Detached {
        loop {
            let detached = match self {
                Incoming::Tcp(listener) => next(listener).await.into_std().map(Detached::Tcp),
                Incoming::Unix(listener) => next_unix(listener).await.into_std().map(Detached::Unix),
            };
            if let Ok(detached) = detached {
                return detached;
            }
        }
    }

    /// Takes the connections that are waiting and closes the listener: a connection that nobody accepts is reset, and what
    /// its client has sent on it may be lost or not.
    pub(crate) fn drain(self) -> Vec<Detached> {
        // Asks the system: what tokio knows of the listener is older than this.
        let mut waiting = Vec::new();
        match self {
            Incoming::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return waiting };
                while let Ok((stream, _)) = listener.accept() {
                    if stream.set_nonblocking(true).is_ok() {
                        waiting.push(Detached::Tcp(stream));
                    }
                }
            }
            Incoming::Unix(listener) => {
                let Ok(listener) = listener.into_std() else { return waiting };
                while let Ok((stream, _)) = listener.accept() {
                    if stream.set_nonblocking(true).is_ok() {
                        waiting.push(Detached::Unix(stream));
                    }
                }
            }
        }
        waiting
    }
}

/// The next connection. No error is fatal: those of the connection concern nobody else, and descriptors come back.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
                let is_kept_alive = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                // Without it a reply waits for an acknowledgement: 40 ms a call.
                if is_kept_alive.and(stream.set_nodelay(true)).is_ok() {
                    return stream;
                }
            }
            Err(error) => failed(&error).await,
        }
    }
}

/// As [`next`], on a Unix socket.
async fn next_unix(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => failed(&error).await,
        }
    }
}

/// Rests after an error of `accept`, unless it is gone with the connection.
async fn failed(error: &io::Error) {
    if !is_of_connection(error) {
        tracing::warn!(error = %error, "failed to accept a connection");
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

/// Returns whether an error of `accept` is about the connection that was to be accepted (accept(2)).
fn is_of_connection(error: &io::Error) -> bool {
    let of_connection = [Errno::CONNABORTED, Errno::CONNRESET, Errno::PERM, Errno::PROTO];
    error.raw_os_error().is_some_and(|code| of_connection.iter().any(|errno| errno.raw_os_error() == code))
}
