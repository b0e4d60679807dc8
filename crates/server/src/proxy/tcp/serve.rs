//! Connections of the gateway: accepted, connected to an endpoint, and carried until both sides have ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::remotes::{Remote, Remotes};
use crate::limits::TCP_KEEPALIVE;
use crate::net::accept::Incoming;
use crate::net::descriptors::{Place, Places};
use crate::random;
use crate::tls::Detached;

/// How long an endpoint may take to accept a connection. etcd waits for as long as the system does, two minutes.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

type Shared = Arc<Mutex<Remotes>>;

/// Accepts connections for ever. Those for which there are no two descriptors are closed.
pub(super) async fn accept(listener: Incoming, remotes: Shared, retry_delay: Duration, places: Arc<Places>) {
    loop {
        let Detached::Tcp(client) = listener.next().await else { continue };
        let Some(held) = places.take().zip(places.take()) else { continue };
        let remotes = remotes.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(client, &remotes, retry_delay, held).await {
                tracing::debug!(error = %error, "connection ended");
            }
        });
    }
}

/// Carries one connection. The end of one side's words goes on to the other, which may still speak.
async fn serve(
    client: std::net::TcpStream,
    remotes: &Mutex<Remotes>,
    retry_delay: Duration,
    _held: (Place, Place),
) -> io::Result<()> {
    let mut client = TcpStream::from_std(client)?;
    let Some(mut member) = connect(remotes, retry_delay).await else { return Ok(()) };
    tokio::io::copy_bidirectional(&mut client, &mut member).await.map(drop)
}

/// Returns a connection to an endpoint; `None` if none can be had. Endpoints that fail are set aside.
async fn connect(remotes: &Mutex<Remotes>, retry_delay: Duration) -> Option<TcpStream> {
    loop {
        let (place, remote) = remotes.lock().pick(random::below)?;
        match dial(&remote).await {
            Ok(stream) => return Some(stream),
            Err(error) => {
                remotes.lock().set_aside(place);
                let address = remote.address();
                tracing::warn!(address, interval = ?retry_delay, error = %error, "deactivated endpoint");
            }
        }
    }
}

async fn dial(remote: &Remote) -> io::Result<TcpStream> {
    let dialed = TcpStream::connect((remote.host.as_str(), remote.port));
    let stream = tokio::time::timeout(DIAL_TIMEOUT, dialed)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
    Ok(stream)
}

/// Tries the endpoints that are set aside, again and again.
pub(super) async fn retry(remotes: Shared, delay: Duration) {
    loop {
        tokio::time::sleep(delay).await;
        let set_aside = remotes.lock().set_aside_now();
        for (place, remote) in set_aside {
            let remotes = remotes.clone();
            tokio::spawn(async move {
                let address = remote.address();
                match dial(&remote).await {
                    Ok(_) => {
                        remotes.lock().take_back(place);
                        tracing::info!(address, "activated");
                    }
                    Err(error) => tracing::warn!(
                        address,
                        interval = ?delay,
                        error = %error,
                        "failed to activate endpoint (stay inactive for another interval)"
                    ),
                }
            });
        }
    }
}
