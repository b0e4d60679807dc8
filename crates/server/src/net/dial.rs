//! Connecting to where a URL says, as far as TLS begins.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use crate::config::Url;
use crate::limits::TCP_KEEPALIVE;
use crate::tls::Wire;

/// Connects to a member. Frames leave at once, and one whose machine is gone is noticed by the system too.
///
/// # Errors
/// Those of the operating system.
pub(crate) async fn dial(url: &Url) -> io::Result<Wire> {
    if let Some(path) = url.socket_path() {
        return UnixStream::connect(path).await.map(Wire::from);
    }
    let place = url.host_port().ok_or(io::ErrorKind::InvalidInput)?;
    let stream = TcpStream::connect(place).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
    Ok(stream.into())
}
