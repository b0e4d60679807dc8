//! The thread on which handshakes take place.
//!
//! A handshake takes as long as tens of requests, half a millisecond with an RSA key, and may have to wait for a client that
//! never comes to the point. So it happens here and not where connections are served: a runtime of its own accepts, makes
//! the handshake and hands the connection on. Clients and peers have a thread each, so that a storm of clients does not
//! keep members from each other (rule I5).
//!
//! What waits here is bounded (rule S3): in time by a deadline, and in number by a limit, beyond which the oldest
//! handshake makes room for the newest. One that is younger than a moment is left alone: then the listener waits, and the
//! kernel queues, as when many clients come back at once. etcd had neither bound (CVE-2026-73500).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::spawn;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::acceptor::{Acceptor, Delivery, Rejection, Role, Secured};
use super::wire::{Detached, Stream};
use crate::limits::{TLS_HANDSHAKE_GRACE, TLS_HANDSHAKE_TIMEOUT, TLS_REJECTIONS_LOGGED_PER_SECOND};
use crate::metrics::Metrics;
use crate::metrics::tls::{Endpoint, HandshakeResult};
use crate::net::accept::{Closing, Incoming, OpenDoor};
use crate::net::connection::stopped;
use crate::net::descriptors::Shares;

/// A listening socket that is bound.
#[derive(Debug)]
pub(crate) enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// A listener, who may come in, and where they go.
pub(crate) struct Door {
    /// The socket.
    pub(crate) listener: Listener,
    /// Who may come in.
    pub(crate) acceptor: Arc<Acceptor>,
    /// Whether TLS is a must.
    pub(crate) need: Need,
    /// Takes every connection that is to be served.
    pub(crate) deliver: Deliver,
    /// When the listener is to be closed.
    pub(crate) closing: Closing,
}

/// Whether who comes in must speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Always.
    Tls,
    /// Or not: the address is listed with TLS and without. The first byte tells.
    Either,
}

/// Takes connections that are to be served.
pub(crate) type Deliver = Arc<dyn Fn(Delivery) + Send + Sync>;

/// How a TLS client's first message begins (RFC 8446, section 5.1): nothing in HTTP does.
const HANDSHAKE_RECORD: u8 = 22;

/// The way to the thread. When all of its clones are gone, the thread closes what it has and ends.
#[derive(Clone)]
pub(crate) struct Handshakes(UnboundedSender<Door>);

/// The bounds of a thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Handshakes under way.
    pub(super) handshakes_max: usize,
    /// The age from which on one makes room for another.
    pub(super) grace: Duration,
    /// The age at which one is given up.
    pub(super) deadline: Duration,
}

/// How often whatever expires is looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// How often files are looked at while nobody connects, so that one that cannot be used is noticed.
const FILES_INTERVAL: Duration = Duration::from_secs(60);

/// Names of peers that are looked up at a time.
const LOOK_UPS_MAX: usize = 4;

impl Bounds {
    fn of_process(role: Role) -> Bounds {
        let shares = Shares::of_process();
        let handshakes = match role {
            Role::Clients => shares.client_handshakes,
            Role::Peers => shares.member_handshakes,
        };
        Bounds {
            handshakes_max: (handshakes as usize).max(1),
            grace: TLS_HANDSHAKE_GRACE,
            deadline: TLS_HANDSHAKE_TIMEOUT,
        }
    }
}

/// The thread, before it runs.
pub(crate) struct HandshakeThread {
    runtime: tokio::runtime::Runtime,
    hall: Arc<Hall>,
    opened: UnboundedReceiver<Door>,
}

impl HandshakeThread {
    /// Makes handshakes until all handles are gone.
    pub(crate) fn run(self) {
        self.runtime.block_on(self.hall.run(self.opened));
        // Names that are being looked up are not waited for.
        self.runtime.shutdown_background();
    }
}

impl Handshakes {
    /// The thread and the way to it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn new(role: Role, metrics: Arc<Metrics>) -> io::Result<(Handshakes, HandshakeThread)> {
        Self::within(Bounds::of_process(role), metrics)
    }

    pub(super) fn within(bounds: Bounds, metrics: Arc<Metrics>) -> io::Result<(Handshakes, HandshakeThread)> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(LOOK_UPS_MAX).build()?;
        let (doors, opened) = unbounded_channel();
        let hall = Arc::new(Hall { gate: Gate::new(bounds), budget: Mutex::default(), metrics });
        Ok((Handshakes(doors), HandshakeThread { runtime, hall, opened }))
    }

    /// Accepts on a listener from now on.
    pub(crate) fn open(&self, door: Door) {
        // The thread ends after this handle only.
        let _ = self.0.send(door);
    }
}

/// What the tasks of the thread share.
struct Hall {
    gate: Gate,
    budget: Mutex<LogBudget>,
    metrics: Arc<Metrics>,
}

impl Hall {
    async fn run(self: Arc<Self>, mut opened: UnboundedReceiver<Door>) {
        while let Some(door) = opened.recv().await {
            let files = door.acceptor.files().clone();
            spawn::task("TLS files", async move {
                loop {
                    for _ in 0..EXPIRY_INTERVAL.as_secs() / FILES_INTERVAL.as_secs() {
                        sleep(FILES_INTERVAL).await;
                        files.current();
                    }
                    files.report_ends();
                }
            });
            spawn::task("accept with TLS", self.clone().accept_all(door));
        }
    }

    async fn accept_all(self: Arc<Self>, door: Door) {
        let Door { listener, acceptor, need, deliver, closing: (mut leaving, open) } = door;
        let listener = match Incoming::of(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(error = %error, "cannot accept connections"),
        };
        let begin = async |socket: Detached| {
            self.make_room(&acceptor).await;
            self.begin(socket, need, &acceptor, &deliver, open.clone());
        };
        loop {
            tokio::select! {
                // First, so that what is connected already is served.
                biased;
                socket = listener.next() => begin(socket).await,
                () = stopped(&mut leaving) => break,
            }
        }
        for socket in listener.drain() {
            begin(socket).await;
        }
    }

    /// Makes a handshake in a task of its own.
    fn begin(
        self: &Arc<Self>,
        socket: Detached,
        need: Need,
        acceptor: &Arc<Acceptor>,
        deliver: &Deliver,
        open: OpenDoor,
    ) {
        // etcd's name for the other end of a Unix socket.
        let remote = socket.remote().map_or_else(|| "@".to_owned(), |remote| remote.to_string());
        let number = self.gate.next_number();
        let (hall, acceptor, deliver) = (self.clone(), acceptor.clone(), deliver.clone());
        let from = remote.clone();
        let task = tokio::spawn(async move {
            let result = timeout(hall.gate.bounds.deadline, admit(&acceptor, need, socket)).await;
            hall.gate.leave(number);
            hall.conclude(result, &acceptor, &from, deliver.as_ref());
            drop(open);
        });
        // The task has not begun: it runs on this thread.
        self.gate.enter(number, remote, task.abort_handle());
    }

    /// Waits until one more handshake may begin.
    async fn make_room(&self, acceptor: &Acceptor) {
        if let Some(remote) = self.gate.make_room().await {
            self.count(acceptor, HandshakeResult::Evicted);
            let rejection = Rejection::evicted();
            self.log(&rejection, acceptor, &remote);
        }
    }

    fn conclude(
        &self,
        result: Result<Result<Delivery, Rejection>, tokio::time::error::Elapsed>,
        acceptor: &Acceptor,
        remote: &str,
        deliver: &(dyn Fn(Delivery) + Send + Sync),
    ) {
        let rejection = match result {
            Ok(Ok(mut delivery)) => {
                if matches!(delivery.stream, Stream::Tls(_)) {
                    self.count(acceptor, HandshakeResult::Ok);
                }
                // An error means that the socket is closed already.
                if delivery.stream.detach().is_ok() {
                    deliver(delivery);
                }
                return;
            }
            Ok(Err(rejection)) => {
                self.count(acceptor, HandshakeResult::Failed);
                rejection
            }
            Err(_) => {
                self.count(acceptor, HandshakeResult::TimedOut);
                Rejection::too_slow(self.gate.bounds.deadline)
            }
        };
        self.log(&rejection, acceptor, remote);
    }

    fn count(&self, acceptor: &Acceptor, result: HandshakeResult) {
        let endpoint = Endpoint::from(acceptor.role());
        self.metrics.tls.handshakes.of(endpoint, result).inc();
    }

    fn log(&self, rejection: &Rejection, acceptor: &Acceptor, remote: &str) {
        let suppressed = if rejection.is_end() { Some(0) } else { self.budget.lock().take(Instant::now()) };
        if let Some(suppressed) = suppressed {
            rejection.log(acceptor.role(), remote, suppressed);
        }
    }
}

/// Finds out who a connection is from, and whether it may be served.
async fn admit(acceptor: &Acceptor, need: Need, socket: Detached) -> Result<Delivery, Rejection> {
    let unusable = |error: io::Error| Rejection::of(&error, "");
    let wire = socket.attach().map_err(unusable)?;
    if need == Need::Either && wire.first_byte().await.map_err(unusable)? != Some(HANDSHAKE_RECORD) {
        return Ok(Delivery { stream: Stream::Plain(wire), name: None });
    }
    let Secured { stream, name } = acceptor.accept(wire).await?;
    Ok(Delivery { stream: Stream::Tls(Box::new(stream)), name })
}

/// The handshakes under way, by number: the first is the oldest.
struct Gate {
    bounds: Bounds,
    state: Mutex<Under>,
    freed: Notify,
}

#[derive(Default)]
struct Under {
    last_number: u64,
    way: BTreeMap<u64, Handshake>,
}

struct Handshake {
    since: Instant,
    remote: String,
    task: AbortHandle,
}

impl Gate {
    fn new(bounds: Bounds) -> Gate {
        Gate { bounds, state: Mutex::default(), freed: Notify::new() }
    }

    fn next_number(&self) -> u64 {
        let mut state = self.state.lock();
        state.last_number += 1;
        state.last_number
    }

    fn enter(&self, number: u64, remote: String, task: AbortHandle) {
        self.state.lock().way.insert(number, Handshake { since: Instant::now(), remote, task });
    }

    fn leave(&self, number: u64) {
        self.state.lock().way.remove(&number);
        self.freed.notify_one();
    }

    /// Waits until there is room, and makes some if the oldest is old enough. Returns where the one that had to go came
    /// from.
    async fn make_room(&self) -> Option<String> {
        loop {
            let until_oldest_may_go = {
                let mut state = self.state.lock();
                if state.way.len() < self.bounds.handshakes_max {
                    return None;
                }
                let oldest = state.way.first_entry()?;
                match self.bounds.grace.checked_sub(oldest.get().since.elapsed()) {
                    Some(rest) if !rest.is_zero() => rest,
                    _ => {
                        let oldest = oldest.remove();
                        oldest.task.abort();
                        return Some(oldest.remote);
                    }
                }
            };
            tokio::select! {
                () = self.freed.notified() => {}
                () = sleep(until_oldest_may_go) => {}
            }
        }
    }
}

/// How many lines about rejected connections may still be written in this second: whoever connects and fails a thousand
/// times does not fill the disk.
#[derive(Debug, Default)]
struct LogBudget {
    second: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl LogBudget {
    /// Returns whether a line may be written, and how many were not since the last one.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            (self.second, self.written) = (Some(now), 0);
        }
        if self.written < TLS_REJECTIONS_LOGGED_PER_SECOND {
            self.written += 1;
            return Some(std::mem::take(&mut self.suppressed));
        }
        self.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_rejections_is_counted_and_not_written() {
        let mut budget = LogBudget::default();
        let start = Instant::now();
        let written = (0..1000).filter(|_| budget.take(start).is_some()).count();
        assert_eq!(written, TLS_REJECTIONS_LOGGED_PER_SECOND as usize);
        let suppressed = 1000 - u64::from(TLS_REJECTIONS_LOGGED_PER_SECOND);
        assert_eq!(budget.take(start + Duration::from_secs(1)), Some(suppressed));
        assert_eq!(budget.take(start + Duration::from_secs(1)), Some(0));
    }
}
