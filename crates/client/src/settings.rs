//! What a client was built with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::observe::Observers;
use crate::tls::Tls;

/// How long an endpoint may take to accept a connection, and how long a call waits for any to do so.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// With both a dead connection is found out in 1.25 s: less than 1.5 election timeouts of etcd's default.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_millis(750);

/// A request may have as many bytes as etcd's server takes by default.
const SEND_BYTES_MAX: usize = 2 << 20;

/// What all parts of a client share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) tls: Tls,
    pub(crate) dial_timeout: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) requires_leader: bool,
    pub(crate) send_bytes_max: usize,
    pub(crate) recv_bytes_max: usize,
    pub(crate) observers: Observers,
    /// How many endpoints there are.
    pub(crate) endpoints: AtomicUsize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            tls: Tls::default(),
            dial_timeout: DIAL_TIMEOUT,
            probe_interval: PROBE_INTERVAL,
            probe_timeout: PROBE_TIMEOUT,
            request_timeout: None,
            requires_leader: false,
            send_bytes_max: SEND_BYTES_MAX,
            recv_bytes_max: i32::MAX as usize,
            observers: Observers::default(),
            endpoints: AtomicUsize::new(0),
        }
    }
}

impl Settings {
    /// Returns whether there is another endpoint to go to.
    pub(crate) fn has_alternatives(&self) -> bool {
        self.endpoints.load(Ordering::Relaxed) > 1
    }
}
