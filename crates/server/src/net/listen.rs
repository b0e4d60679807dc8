//! Binding the addresses that a member listens on.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that wait to be accepted: Go's default on Linux.
const BACKLOG: i32 = 4096;

/// What to set on listening sockets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SocketOptions {
    pub(crate) reuse_port: bool,
}

/// Binds and listens on a Unix socket. One that is left of a process that has ended is removed first. (etcd removes it in any
/// case, and a process that still listens there is not found by anybody any more.)
///
/// # Errors
/// Those of the operating system; an address in use is the usual one.
pub(crate) fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if is_listened_on(path)? {
            return Err(Errno::ADDRINUSE.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Returns whether a process listens on this Unix socket. Waits for nobody.
fn is_listened_on(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        // So many are waiting that there is no place for another one.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(_) => Ok(false),
    }
}

/// Binds and listens. `0.0.0.0` is every address of the machine, those of IPv6 too where it has any: so Go reads it, and in a
/// network with IPv6 alone nobody would be found who listens on the others.
///
/// # Errors
/// Those of the operating system; an address in use is the usual one.
pub(crate) fn listen(address: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
    if address.ip() == Ipv4Addr::UNSPECIFIED {
        match listen_at((Ipv6Addr::UNSPECIFIED, address.port()).into(), options) {
            Err(error) if is_without_ipv6(&error) => {}
            listening => return listening,
        }
    }
    listen_at(address, options)
}

/// Returns whether an IPv6 address could not be bound because this machine has no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    let codes = [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| codes.iter().any(|errno| errno.raw_os_error() == code))
}

fn listen_at(address: SocketAddr, options: SocketOptions) -> io::Result<TcpListener> {
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn every_address_is_that_of_both_families() {
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        for address in ["0.0.0.0:0", "[::]:0"] {
            if address.starts_with('[') && !has_ipv6 {
                continue;
            }
            let listener = listen(address.parse().unwrap(), SocketOptions::default()).unwrap();
            let port = listener.local_addr().unwrap().port();
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok(), has_ipv6, "{address}");
        }
        // One address alone is that one.
        let listener = listen("127.0.0.1:0".parse().unwrap(), SocketOptions::default()).unwrap();
        assert!(listener.local_addr().unwrap().is_ipv4());
    }

    #[test]
    fn a_unix_socket_is_taken_over_from_the_dead_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = listen_unix(&path).unwrap();
        for _ in 0..2 {
            assert_eq!(listen_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
        UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(path.exists());
        listen_unix(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(listen_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
