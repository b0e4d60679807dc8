//! The socket under a TLS stream, which can change threads.
//!
//! A socket belongs to the runtime on which it was made. A handshake takes place on one thread, and the connection is
//! served on another, each with a runtime of its own; so between the two the socket is taken out of the first and put
//! into the second, while the TLS stream around it stays what it is.
//!
//! A [`Stream`] is what clients and peers are served on: such a socket, with TLS around it or without.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A socket that belongs to no runtime.
#[derive(Debug)]
pub(crate) enum Detached {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
}

/// A socket that may change runtimes.
#[derive(Debug)]
pub(crate) struct Wire(State);

#[derive(Debug)]
enum State {
    Tcp(TcpStream),
    Unix(UnixStream),
    Detached(Detached),
    /// It was lost between two runtimes: every use is an error.
    Lost,
}

impl Detached {
    /// Puts the socket into the runtime of the caller.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn attach(self) -> io::Result<Wire> {
        let state = match self {
            Detached::Tcp(stream) => State::Tcp(TcpStream::from_std(stream)?),
            Detached::Unix(stream) => State::Unix(UnixStream::from_std(stream)?),
        };
        Ok(Wire(state))
    }

    /// The address of the other end; a Unix socket has none.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        match self {
            Detached::Tcp(stream) => stream.peer_addr().ok(),
            Detached::Unix(_) => None,
        }
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Wire {
        Wire(State::Tcp(stream))
    }
}

impl From<UnixStream> for Wire {
    fn from(stream: UnixStream) -> Wire {
        Wire(State::Unix(stream))
    }
}

impl From<Detached> for Wire {
    fn from(detached: Detached) -> Wire {
        Wire(State::Detached(detached))
    }
}

impl Wire {
    /// The address of the other end; a Unix socket has none.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        match &self.0 {
            State::Tcp(stream) => stream.peer_addr().ok(),
            State::Detached(detached) => detached.remote(),
            State::Unix(_) | State::Lost => None,
        }
    }

    /// Returns whether the other end is on this machine for certain: a loopback address or a Unix socket.
    fn is_of_this_machine(&self) -> bool {
        match &self.0 {
            State::Unix(_) | State::Detached(Detached::Unix(_)) => true,
            _ => self.remote().is_some_and(|remote| is_loopback(remote.ip())),
        }
    }

    /// Waits for the first byte that the other side sends, and leaves it to be read. `None`: there is none, because the
    /// other side has closed the connection; and of Unix sockets, which cannot be looked into, it is not known.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        match &self.0 {
            State::Tcp(stream) => Ok((stream.peek(&mut first).await? > 0).then_some(first[0])),
            State::Unix(_) => Ok(None),
            State::Detached(_) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes the socket out of its runtime. It must be in it, and nothing may wait for it.
    ///
    /// # Errors
    /// Those of the operating system; the socket is closed then.
    pub(crate) fn detach(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Tcp(stream) => State::Detached(Detached::Tcp(stream.into_std()?)),
            State::Unix(stream) => State::Detached(Detached::Unix(stream.into_std()?)),
            other => other,
        };
        Ok(())
    }

    /// Puts the socket into the runtime of the caller.
    ///
    /// # Errors
    /// Those of the operating system; the socket is closed then.
    pub(crate) fn attach(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Detached(detached) => detached.attach()?.0,
            other => other,
        };
        Ok(())
    }

    /// The socket, where it is in a runtime.
    fn socket(&mut self) -> io::Result<Pin<&mut dyn Socket>> {
        match &mut self.0 {
            State::Tcp(stream) => Ok(Pin::new(stream as &mut dyn Socket)),
            State::Unix(stream) => Ok(Pin::new(stream as &mut dyn Socket)),
            State::Detached(_) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// What a client or a peer is served on.
pub(crate) enum Stream {
    /// Without TLS.
    Plain(Wire),
    /// With TLS.
    Tls(Box<TlsStream<Wire>>),
}

/// Marks a request that came over TLS: its sender has verified by the certificate that this is the host that it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encrypted;

/// Marks a request whose connection is from the machine on which the member runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfThisMachine;

/// Returns whether an address is a loopback one, also one of IPv4 in the form that it has on a socket of IPv6.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Plain(stream.into())
    }
}

impl Stream {
    /// Returns the mark of requests on this stream; `None` without TLS.
    pub(crate) fn encrypted(&self) -> Option<Encrypted> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(_) => Some(Encrypted),
        }
    }

    /// Returns the mark of requests on this stream if its other end is a loopback address or that of a Unix socket.
    pub(crate) fn of_this_machine(&self) -> Option<OfThisMachine> {
        let wire = match self {
            Stream::Plain(wire) => wire,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        wire.is_of_this_machine().then_some(OfThisMachine)
    }

    /// See [`Wire::detach`].
    ///
    /// # Errors
    /// Those of the operating system; the socket is closed then.
    pub(crate) fn detach(&mut self) -> io::Result<()> {
        self.wire().detach()
    }

    /// See [`Wire::attach`].
    ///
    /// # Errors
    /// Those of the operating system; the socket is closed then.
    pub(crate) fn attach(&mut self) -> io::Result<()> {
        self.wire().attach()
    }

    fn wire(&mut self) -> &mut Wire {
        match self {
            Stream::Plain(wire) => wire,
            Stream::Tls(stream) => stream.get_mut().0,
        }
    }

    fn socket(&mut self) -> Pin<&mut dyn Socket> {
        match self {
            Stream::Plain(wire) => Pin::new(wire as &mut dyn Socket),
            Stream::Tls(stream) => Pin::new(stream.as_mut() as &mut dyn Socket),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket().poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}

/// What reads and writes.
trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl Socket for TcpStream {}

impl Socket for UnixStream {}

impl Socket for Wire {}

impl Socket for TlsStream<Wire> {}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        // Many records of a long reply leave in one call.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_addresses_are_those_of_this_machine() {
        for (address, is_here) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), is_here, "{address}");
        }
    }
}
