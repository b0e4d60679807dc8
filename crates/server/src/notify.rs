//! `READY=1` for systemd (`Type=notify`): one datagram to the socket that `NOTIFY_SOCKET` names. See sd_notify(3).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the service manager that the member is ready. Without one (`socket` is `None` or empty) there is nothing to tell and the
/// answer is `false`.
///
/// # Errors
/// When the socket cannot be reached.
pub fn ready(socket: Option<&str>) -> io::Result<bool> {
    let Some(name) = socket.filter(|name| !name.is_empty()) else { return Ok(false) };
    let address = match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn a_socket_in_the_file_system_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        assert!(ready(path.to_str()).unwrap());
        assert_eq!(received(&socket), b"READY=1");
    }

    #[test]
    fn an_abstract_socket_is_told() {
        let name = format!("quorate-notify-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(ready(Some(&format!("@{name}"))).unwrap());
        assert_eq!(received(&socket), b"READY=1");
    }

    #[test]
    fn without_a_service_manager_nothing_is_told() {
        assert!(!ready(None).unwrap() && !ready(Some("")).unwrap());
        assert!(ready(Some("/nosuch/socket")).is_err());
    }
}
