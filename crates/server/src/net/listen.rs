//! Binding the addresses that a member listens on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted: Go's default on Linux.
const BACKLOG: i32 = 4096;

/// What to set on listening sockets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SocketOptions {
    pub(crate) reuse_port: bool,
}

/// Binds and listens on a Unix socket. One that is left of a process that has ended is removed first, as etcd does.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Binds and listens.
///
/// # Errors
/// Those of the operating system; an address in use is the usual one.
pub(crate) fn listen(address: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Whatever `--socket-reuse-address` says: Go sets it on every listener, so that a restart is not kept waiting by
    // connections of before.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
