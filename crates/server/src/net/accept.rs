//! Accepting connections and dealing them out.

use std::net::TcpListener;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::connection::stopped;
use crate::limits::TCP_KEEPALIVE;

/// Pause after an error of `accept`, such as too many open files: the listener stays readable and would spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Held as long as a listener is open.
pub(crate) type OpenDoor = std::sync::mpsc::Sender<()>;

/// Accepts until the member leaves, dealing connections to the workers in turn. Then the listener is closed, so that clients
/// look elsewhere.
pub(crate) async fn accept(
    listener: TcpListener,
    workers: Vec<UnboundedSender<std::net::TcpStream>>,
    (mut leaving, _open): (watch::Receiver<bool>, OpenDoor),
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(error = %error, "cannot accept connections"),
    };
    for worker in workers.iter().cycle() {
        let stream = tokio::select! {
            // First, so that what is connected already is served.
            biased;
            stream = next(&listener) => stream,
            () = stopped(&mut leaving) => return drain(listener, &workers),
        };
        // `into_std` detaches the socket from this runtime; the worker attaches it to its own.
        if let Ok(stream) = stream.into_std() {
            let _ = worker.send(stream);
        }
    }
}

/// Deals out the connections that are waiting and closes the listener: a connection that nobody accepts is reset, and what its
/// client has sent on it may be lost or not.
fn drain(listener: tokio::net::TcpListener, workers: &[UnboundedSender<std::net::TcpStream>]) {
    // Asks the system: what tokio knows of the listener is older than this.
    let Ok(listener) = listener.into_std() else { return };
    for worker in workers.iter().cycle() {
        let Ok((stream, _)) = listener.accept() else { return };
        if stream.set_nonblocking(true).is_ok() {
            let _ = worker.send(stream);
        }
    }
}

/// The next connection.
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
            Err(error) => {
                tracing::warn!(error = %error, "failed to accept a connection");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}
