//! Accepting connections and dealing them out.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::connection::stopped;
use super::descriptors::{Place, Places};
use crate::limits::TCP_KEEPALIVE;

/// Pause after an error of `accept` that will not go away at once, such as too many open files: the listener stays readable
/// and would spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A connection that was accepted, and its place among those that the process has room for.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) place: Place,
}

/// Held as long as a listener is open.
pub(crate) type OpenDoor = std::sync::mpsc::Sender<()>;

/// Accepts until the member leaves, dealing connections to the workers in turn. Those for which there is no place are closed.
/// At the end the listener is closed, so that clients look elsewhere.
pub(crate) async fn accept(
    listener: TcpListener,
    workers: Vec<UnboundedSender<Accepted>>,
    places: Arc<Places>,
    (mut leaving, _open): (watch::Receiver<bool>, OpenDoor),
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(error = %error, "cannot accept connections"),
    };
    let mut workers = workers.iter().cycle();
    loop {
        let stream = tokio::select! {
            // First, so that what is connected already is served.
            biased;
            stream = next(&listener) => stream,
            () = stopped(&mut leaving) => return drain(listener, workers, &places),
        };
        let Some(place) = places.take() else { continue };
        // `into_std` detaches the socket from this runtime; the worker attaches it to its own.
        if let (Ok(stream), Some(worker)) = (stream.into_std(), workers.next()) {
            let _ = worker.send(Accepted { stream, place });
        }
    }
}

/// Deals out the connections that are waiting and closes the listener: a connection that nobody accepts is reset, and what its
/// client has sent on it may be lost or not.
fn drain<'a>(
    listener: tokio::net::TcpListener,
    mut workers: impl Iterator<Item = &'a UnboundedSender<Accepted>>,
    places: &Arc<Places>,
) {
    // Asks the system: what tokio knows of the listener is older than this.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, _)) = listener.accept() {
        let Some(place) = places.take() else { continue };
        if let (Ok(()), Some(worker)) = (stream.set_nonblocking(true), workers.next()) {
            let _ = worker.send(Accepted { stream, place });
        }
    }
}

/// The next connection. No error is fatal: those of the connection concern nobody else, and descriptors come back.
pub(crate) async fn next(listener: &tokio::net::TcpListener) -> TcpStream {
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
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(error = %error, "failed to accept a connection");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Returns whether an error of `accept` is about the connection that was to be accepted (accept(2)).
fn is_of_connection(error: &io::Error) -> bool {
    let of_connection = [Errno::CONNABORTED, Errno::CONNRESET, Errno::PERM, Errno::PROTO];
    error.raw_os_error().is_some_and(|code| of_connection.iter().any(|errno| errno.raw_os_error() == code))
}
