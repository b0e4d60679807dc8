//! The threads that talk to clients.
//!
//! Each has a runtime of its own and keeps the connections it was given, so that a request and its answer stay on one
//! core. The first also accepts, for all of them, and runs the member's periodic tasks.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::fatal::stop_process;
use engine::questions::Asked;
use engine::spawn;
use engine::worker::Worker;
use proto::quoratepb::ClusterBootstrap;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::listeners::{ClientListener, ClientListeners};
use super::start_thread;
use super::stopping::STOP_GRACE;
use crate::api::Api;
use crate::config::{Config, Url};
use crate::error::StartError;
use crate::http::Surface;
use crate::limits::HEADER_TIMEOUT;
use crate::net::accept::{Accepted, Closing, Dealer, accept};
use crate::net::connection::{self, Budgets, Http2Settings, Terms};
use crate::net::descriptors::Places;
use crate::net::serve::ClientPort;
use crate::net::serve_all::{Serving, serve_all};
use crate::tls::{Door, Handshakes};
use crate::{follow, tasks};

/// The workers before they start.
pub(super) struct Network {
    apis: Vec<Arc<Api>>,
    listeners: ClientListeners,
    http2: Http2Settings,
    budgets: Budgets,
    introduction: tasks::publish::Introduction,
    auto_compaction: crate::config::AutoCompaction,
    asked: mpsc::Receiver<Asked>,
    orders: follow::Orders,
    config: Arc<Config>,
}

/// The workers, running, and how they are stopped.
pub(super) struct Workers {
    close: watch::Sender<bool>,
    /// Ends when all listeners are closed.
    closed: std::sync::mpsc::Receiver<()>,
    leave: watch::Sender<bool>,
    /// One word from each worker whose clients are all gone.
    empty: std::sync::mpsc::Receiver<()>,
    end: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    /// Makes TLS handshakes. Ends with the first of the workers.
    handshakes: Option<JoinHandle<()>>,
}

impl Workers {
    /// Accepts nothing more and tells all clients to go elsewhere. What they have asked for is still answered; returns when
    /// it is and they have gone, or at the deadline.
    pub(super) fn leave(&self, deadline: Instant) {
        // First, so that who is told to go elsewhere does not come back here.
        let _ = self.close.send(true);
        // Then everything that was accepted has been dealt out.
        let _ = self.closed.recv_timeout(LISTENERS_CLOSE);
        let _ = self.leave.send(true);
        for _ in &self.threads {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.empty.recv_timeout(left).is_err() {
                return;
            }
        }
    }

    /// Ends the threads.
    pub(super) fn end(self) {
        let _ = self.end.send(true);
        for thread in self.threads.into_iter().chain(self.handshakes) {
            let _ = thread.join();
        }
    }
}

/// The workers, and who says when clients are served.
pub(super) type Started = (Workers, std::sync::mpsc::Receiver<()>);

impl Network {
    pub(super) fn new(
        config: &Config,
        apis: Vec<Arc<Api>>,
        listeners: ClientListeners,
        bootstrap: Option<ClusterBootstrap>,
        asked: mpsc::Receiver<Asked>,
        orders: follow::Orders,
        budgets: Budgets,
    ) -> Self {
        Self {
            apis,
            listeners,
            budgets,
            http2: Http2Settings {
                max_concurrent_streams: config.limits.concurrent_streams_max,
                keepalive_interval: config.keepalive.interval,
                keepalive_timeout: config.keepalive.timeout.unwrap_or(Duration::from_secs(20)),
                ping_min_time: config.keepalive.min_time,
                head_within: HEADER_TIMEOUT,
            },
            introduction: tasks::publish::Introduction {
                bootstrap,
                name: config.name.clone(),
                client_urls: config.cluster.advertise_client.iter().map(Url::to_string).collect(),
            },
            auto_compaction: config.auto_compaction,
            asked,
            orders,
            config: Arc::new(config.clone()),
        }
    }

    /// Starts the workers; the first one also accepts, once the member has introduced itself, and runs the tasks.
    pub(super) fn start(self) -> Result<Started, StartError> {
        let (close, closing) = watch::channel(false);
        let (open_door, closed) = std::sync::mpsc::channel();
        let (leave, leaving) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let (is_empty, empty) = std::sync::mpsc::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let terms = Terms::new(self.http2, self.budgets);
        let workers: Arc<[Arc<Worker>]> = self.apis.iter().map(|api| api.worker.clone()).collect();
        let mut threads = Vec::new();
        let mut listeners = self.listeners;
        let (handshakes, handshake_thread) = listeners.handshakes.take().unzip();
        let has_tls = handshakes.is_some();
        let mut client_doors = Vec::new();
        let mut doors = Vec::new();
        for api in &self.apis {
            let (send, receive) = unbounded_channel();
            client_doors.push(send);
            doors.push((api.clone(), receive));
        }
        let first = self.apis[0].clone();
        let mut lead = Some(First {
            api: first,
            workers: workers.clone(),
            door: (closing, open_door),
            listeners,
            handshakes,
            client_doors,
            introduction: self.introduction,
            auto_compaction: self.auto_compaction,
            backups: self.config.backups.clone(),
            asked: self.asked,
            follow: self.config.follow.clone().map(|settings| (settings, self.orders)),
            ready,
            http: Arc::new(ClientPort::new(self.apis[0].clone(), workers.clone(), &self.config)),
            places: Places::of_process(has_tls),
            terms: terms.clone(),
        });
        for (index, (api, connections)) in doors.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| StartError::System { what: "cannot start a network worker", source })?;
            let worker = NetworkWorker {
                port: Arc::new(ClientPort::new(api.clone(), workers.clone(), &self.config)),
                api,
                connections,
                leaving: leaving.clone(),
                is_empty: is_empty.clone(),
                ended: ended.clone(),
                terms: terms.clone(),
                first: lead.take(),
            };
            threads.push(start_thread(&format!("network {index}"), move || run_on(runtime, worker.run()))?);
        }
        let handshakes = handshake_thread;
        Ok((Workers { close, closed, leave, empty, end, threads, handshakes }, is_ready))
    }
}

/// Runs a worker to its end. What it has left to threads for blocking work, a hash of the whole store or a name that is looked
/// up, is not waited for: it may take minutes, and nobody reads the answer any more.
fn run_on(runtime: Runtime, worker: impl Future<Output = ()>) {
    runtime.block_on(worker);
    runtime.shutdown_background();
}

/// What the first worker does besides.
struct First {
    api: Arc<Api>,
    workers: Arc<[Arc<Worker>]>,
    door: Closing,
    listeners: ClientListeners,
    handshakes: Option<Handshakes>,
    client_doors: Vec<UnboundedSender<Accepted>>,
    introduction: tasks::publish::Introduction,
    auto_compaction: crate::config::AutoCompaction,
    backups: Option<crate::config::Backups>,
    asked: mpsc::Receiver<Asked>,
    /// The cluster to follow, and who may say when that ends.
    follow: Option<(follow::FollowSettings, follow::Orders)>,
    ready: std::sync::mpsc::Sender<()>,
    http: Arc<ClientPort>,
    places: Arc<Places>,
    terms: Terms,
}

impl First {
    async fn run(self, mut leaving: watch::Receiver<bool>) {
        spawn::task("answers to members", tasks::answers::run(self.api.clone(), self.asked));
        tasks::publish::run(&self.api, self.introduction).await;
        spawn::task("cluster version", tasks::cluster_version::run(self.api.clone()));
        spawn::task("quota", tasks::quota::run(self.api.clone()));
        spawn::task("lease expiry", tasks::expiry::run(self.api.clone(), self.workers));
        spawn::task("auto compaction", tasks::auto_compaction::run(self.api.clone(), self.auto_compaction));
        let backups = self.backups.and_then(|backups| tasks::backups::start(self.api.clone(), backups));
        if let Some((settings, orders)) = self.follow {
            let (api, stopped) = (self.api.clone(), leaving.clone());
            let started = spawn::thread("follow", move || follow::run(api, settings, orders, stopped));
            if let Err(error) = started {
                stop_process("the thread that follows another cluster cannot be started", &error);
            }
        }
        let ClientListeners { client, http, metrics, .. } = self.listeners;
        let (door, handshakes) = (&self.door, self.handshakes.as_ref());
        let dealer = |workers| Dealer::new(workers, self.places.clone());
        open(client, &dealer(self.client_doors), handshakes, door);
        for (listeners, surface) in [(http, Surface::Client), (metrics, Surface::Metrics)] {
            let (send, receive) = unbounded_channel();
            open(listeners, &dealer(vec![send]), handshakes, door);
            let port = self.http.clone();
            let respond = move |connection, request| port.clone().respond_http(surface, connection, request);
            let serving = Serving { terms: self.terms.clone(), leaving: leaving.clone(), grace: STOP_GRACE };
            let all = serve_all(receive, Arc::new(respond), serving, || {});
            spawn::task("http", all);
        }
        let _ = self.ready.send(());
        // Listeners count as open until nobody holds their door.
        drop(self.door);
        // The thread of handshakes ends when nobody can reach it any more.
        connection::stopped(&mut leaving).await;
        drop(backups);
        drop(self.handshakes);
    }
}

/// Begins to accept.
fn open(listeners: Vec<ClientListener>, dealer: &Dealer, handshakes: Option<&Handshakes>, door: &Closing) {
    for ClientListener { socket, security } in listeners {
        let (dealer, closing) = (dealer.clone(), door.clone());
        match (security, handshakes) {
            (Some((acceptor, need)), Some(handshakes)) => {
                let deliver = Arc::new(move |delivery| dealer.deal(delivery));
                handshakes.open(Door { listener: socket, acceptor, need, deliver, closing });
            }
            _ => drop(spawn::task("accept", accept(socket, dealer, closing))),
        }
    }
}

/// One network thread.
struct NetworkWorker {
    port: Arc<ClientPort>,
    api: Arc<Api>,
    connections: UnboundedReceiver<Accepted>,
    leaving: watch::Receiver<bool>,
    is_empty: std::sync::mpsc::Sender<()>,
    ended: watch::Receiver<bool>,
    terms: Terms,
    first: Option<First>,
}

impl NetworkWorker {
    /// Serves clients until the member leaves, and then other members and the member's own tasks until it ends.
    async fn run(mut self) {
        let worker = self.api.worker.clone();
        spawn::task("flush", worker.clone().run_flush());
        spawn::task("pump", worker.clone().run_pump());
        if let Some(first) = self.first {
            spawn::task("first worker", first.run(self.leaving.clone()));
        }
        let port = self.port;
        let respond = move |connection, request| port.clone().respond(connection, request);
        let end_streams = move || worker.end_streams();
        let serving = Serving { terms: self.terms, leaving: self.leaving, grace: STOP_GRACE };
        serve_all(self.connections, Arc::new(respond), serving, end_streams).await;
        let _ = self.is_empty.send(());
        connection::stopped(&mut self.ended).await;
    }
}

/// How long a member that leaves waits for its listeners to close. Those without TLS do it in their next turn; one with TLS
/// makes the handshakes first that have begun.
const LISTENERS_CLOSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_worker_that_ends_does_not_wait_for_blocking_work() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (release, released) = channel::<()>();
        let (end, ended) = channel();
        let worker = async {
            let (begin, begun) = tokio::sync::oneshot::channel();
            tokio::task::spawn_blocking(move || {
                let _ = begin.send(());
                let _ = released.recv();
            });
            begun.await.unwrap();
        };
        let thread = std::thread::spawn(move || {
            run_on(runtime, worker);
            end.send(()).unwrap();
        });
        ended.recv_timeout(testkit::wait::DEADLINE).expect("it ends while the work goes on");
        thread.join().unwrap();
        drop(release);
    }
}
