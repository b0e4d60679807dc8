//! Ports for servers under test, that stay theirs.
//!
//! A server is told its port on its command line, so the port is picked before it is bound, and free again whenever the
//! server is down. What else could take it meanwhile: the kernel, for a connection or a listener that asked for any
//! port; so ports are picked from below its range. And other tests, of this or another process; so a picked port is locked,
//! by a file, for as long as this process lives.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;

/// The first port that is picked.
const FIRST: u16 = 10_240;

/// Where the kernel's own range begins unless it says otherwise.
const KERNEL_FIRST: u16 = 32_768;

/// The ports of this process, with their locks.
static TAKEN: Mutex<BTreeMap<u16, File>> = Mutex::new(BTreeMap::new());

/// A loopback port that nobody listens on and that no other test is given while this process lives.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let locks = std::env::temp_dir().join("quorate-test-ports");
    std::fs::create_dir_all(&locks).expect("a directory for temporary files");
    let mut taken = TAKEN.lock().expect("no test panics while it holds this");
    let ports = FIRST..kernel_first();
    // Tests that start together should not try the same ports.
    let start = (std::process::id() as usize * 97 + taken.len()) % ports.len();
    for port in ports.clone().cycle().skip(start).take(ports.len()) {
        if !taken.contains_key(&port)
            && let Some(lock) = lock(&locks, port)
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            taken.insert(port, lock);
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

/// The lock of a port, unless another process has it.
fn lock(directory: &Path, port: u16) -> Option<File> {
    let path = directory.join(port.to_string());
    let file = OpenOptions::new().create(true).append(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn kernel_first() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|first| *first > 2 * FIRST).unwrap_or(KERNEL_FIRST)
}

#[test]
fn a_port_is_given_once_and_locked() {
    let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 50);
    for port in ports {
        assert!((FIRST..kernel_first()).contains(&port));
        assert!(lock(&std::env::temp_dir().join("quorate-test-ports"), port).is_none(), "{port}");
    }
}
