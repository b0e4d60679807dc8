//! The proxy of calls, put together, started and stopped.
//!
//! Its threads are those of a member that talk to clients: network workers, each with the connections that it was given, and one for
//! TLS handshakes. The first worker accepts, and runs what the proxy does for itself.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::Client;
use engine::spawn;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use super::super::flags::Flags;
use super::super::limits::{DIAL_TIMEOUT, STOP_GRACE};
use super::super::{Running, StartError};
use super::cluster::{Cluster, Resolver};
use super::kv::{Kv, RangeOrder};
use super::lease::Leases;
use super::port::Proxy;
use super::settings::{Members, Security, Settings};
use super::upstream::Upstream;
use super::watch::Hub;
use crate::api::observe::Observer;
use crate::limits::GRPC_OVERHEAD_BYTES;
use crate::memory::shares_of_proxy;
use crate::metrics::memory::Share;
use crate::metrics::{Metrics, MetricsDetail, of_server};
use crate::net::accept::{Accepted, Closing, Dealer, accept};
use crate::net::backlog::Backlog;
use crate::net::connection::{self, Budgets, Terms};
use crate::net::descriptors::Places;
use crate::net::listen::{SocketOptions, listen};
use crate::net::serve_all::{Serving, serve_all};
use crate::tls::{self, Acceptor, Door, Handshakes, Listener, Need, Role};

/// The largest request message taken, where members say what is too large: their own default.
const REQUEST_BYTES_MAX: usize = 1536 * 1024;

/// Network workers, at most: the members behind the proxy have more to do for a call than it has.
const WORKERS_MAX: usize = 8;

fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::Failed(error.to_string())
}

/// Starts the proxy on threads of its own.
pub(super) fn start(flags: &Flags, _arguments: &[String]) -> Result<Running, StartError> {
    let mut settings = Settings::of(flags)?;
    let metrics = Arc::new(of_server(MetricsDetail::Basic));
    let listeners = Listeners::bind(&mut settings, &metrics)?;
    let runtime = runtime()?;
    let client = runtime.block_on(connect(&mut settings.members))?;
    let newest = match settings.order {
        RangeOrder::Kept => Some(runtime.block_on(recover_order(&client))),
        RangeOrder::NotKept => None,
    };
    let (end_streams, streams_end) = watch::channel(false);
    let request_bytes_max = settings.members.send_bytes_max.max(REQUEST_BYTES_MAX) + GRPC_OVERHEAD_BYTES;
    let shares = shares_of_proxy(request_bytes_max);
    let proxy = proxy(
        &settings,
        (client.clone(), newest),
        &metrics,
        streams_end,
        Backlog::within(Share::UnfinishedMessages, shares.unfinished_messages, &metrics),
    );
    let terms = Terms::new(settings.http2, Budgets::within(&shares, &metrics));
    let sync_interval = settings.members.sync_interval;
    let own =
        Own { client, sync_interval, cluster: proxy.cluster.clone(), resolver: settings.resolver.clone() };
    let threads = Threads::start(runtime, proxy, listeners, terms, own, Arc::new(end_streams))?;
    tracing::info!(address = settings.listen_text, "started gRPC proxy");
    Ok(Box::new(move |_| {
        threads.stop();
        tracing::info!(address = settings.listen_text, "stop listening gRPC proxy client requests");
    }))
}

fn runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

/// Makes the client of the members. It connects when it is needed.
async fn connect(members: &mut Members) -> Result<Client, StartError> {
    if let Some(discovery) = &members.discovery {
        let found = discovery.endpoints().await.map_err(StartError::Refused)?;
        if !found.is_empty() {
            members.endpoints = found.iter().map(super::super::discovery::Listed::url).collect();
        }
    }
    let mut builder = Client::builder()
        .endpoints(members.endpoints.clone())
        .dial_timeout(DIAL_TIMEOUT)
        .max_send_bytes(members.send_bytes_max)
        .max_recv_bytes(members.receive_bytes_max);
    if let Some(tls) = &members.tls {
        builder = builder.tls(tls.clone());
    }
    if let Some((interval, timeout)) = members.keepalive {
        builder = builder.keepalive(interval, timeout);
    }
    builder.connect().await.map_err(|error| StartError::Refused(error.to_string()))
}

/// Waits until the members answer a linearizable read, and returns its revision: no serializable one is older from then on.
async fn recover_order(client: &Client) -> i64 {
    tracing::info!("waiting for linearized read from cluster to recover ordering");
    loop {
        match client.get("_").keys_only().await {
            Ok(answer) => return answer.header.revision.0,
            Err(error) => tracing::warn!(error = %error, "ordering recovery failed, retrying in 1s"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Keeps the endpoints those of the members, and says which they are when they are others.
async fn sync_endpoints(client: Client, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let before = client.endpoints();
        match client.sync_endpoints().await {
            Ok(now) if now != before => {
                tracing::info!(endpoints = ?now, "the endpoints are now those of the members");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the endpoints stay as they are"),
        }
    }
}

fn proxy(
    settings: &Settings,
    (client, newest): (Client, Option<i64>),
    metrics: &Arc<Metrics>,
    streams_end: watch::Receiver<bool>,
    unfinished: Arc<Backlog>,
) -> Arc<Proxy> {
    let members = &settings.members;
    let upstream = Upstream::new(
        client,
        members.tls.clone().unwrap_or_default(),
        members.send_bytes_max,
        members.receive_bytes_max,
    );
    let namespace = &settings.namespace;
    Arc::new(Proxy {
        kv: Kv::new(upstream.clone(), namespace.clone(), metrics.clone(), newest),
        watches: Hub::new(upstream.clone(), namespace.clone(), metrics.clone()),
        leases: Leases::new(upstream.clone(), namespace.clone()),
        upstream,
        cluster: Cluster::new(settings.advertised.clone()),
        observer: Observer::new(metrics.clone()),
        metrics: metrics.clone(),
        unfinished,
        request_bytes_max: members.send_bytes_max.max(REQUEST_BYTES_MAX) + GRPC_OVERHEAD_BYTES,
        logs_calls: settings.logs_calls,
        streams_end,
        is_advertised: !settings.advertised.is_empty(),
    })
}

/// The sockets, bound.
struct Listeners {
    calls: Socket,
    metrics: Option<Socket>,
    handshakes: Option<(Handshakes, JoinHandle<()>)>,
}

struct Socket {
    listener: Listener,
    acceptor: Option<Arc<Acceptor>>,
}

impl Listeners {
    fn bind(settings: &mut Settings, metrics: &Arc<Metrics>) -> Result<Listeners, StartError> {
        let acceptor = match &mut settings.security {
            Some(security) => Some(acceptor(security, settings.listen.ip().to_string(), metrics)?),
            None => None,
        };
        let bind = |address: std::net::SocketAddr, acceptor: Option<Arc<Acceptor>>| {
            let bound = listen(address, SocketOptions::default());
            let bound =
                bound.map_err(|error| StartError::Refused(format!("listen tcp {address}: {error}")))?;
            Ok::<_, StartError>(Socket { listener: Listener::Tcp(bound), acceptor })
        };
        let calls = bind(settings.listen, acceptor.clone())?;
        tracing::info!(address = settings.listen_text, "listening for gRPC proxy client requests");
        let metrics_socket = match settings.metrics.as_ref().and_then(|url| Some((url, url.bind_address()?)))
        {
            Some((url, _)) if url.is_secure() && acceptor.is_none() => {
                return Err(StartError::Refused(format!(
                    "cannot listen on TLS for {url}: KeyFile and CertFile are not presented"
                )));
            }
            Some((url, address)) => {
                let socket = bind(address, acceptor.clone().filter(|_| url.is_secure()))?;
                tracing::info!(address = %url, "gRPC proxy listening for metrics");
                Some(socket)
            }
            None => None,
        };
        let handshakes = match acceptor {
            Some(_) => {
                let (handshakes, thread) = Handshakes::new(Role::Clients, metrics.clone()).map_err(failed)?;
                Some((handshakes, spawn::thread("client handshakes", move || thread.run()).map_err(failed)?))
            }
            None => None,
        };
        Ok(Listeners { calls, metrics: metrics_socket, handshakes })
    }
}

fn acceptor(
    security: &mut Security,
    host: String,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Acceptor>, StartError> {
    let unusable = |error: tls::TlsError| StartError::Refused(error.to_string());
    if let Some((directory, years)) = &security.own {
        let files = tls::ensure_self_signed(directory, &[host], *years).map_err(unusable)?;
        security.side.own = Some(files);
    }
    let side = &security.side;
    let shown =
        |path: Option<&std::path::PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let own = side.own.as_ref();
    let info = format!(
        "cert = {}, key = {}, trusted-ca = {}, crl-file = {}",
        shown(own.map(|files| &files.cert)),
        shown(own.map(|files| &files.key)),
        shown(side.trusted_ca.as_ref()),
        shown(side.crl.as_ref())
    );
    tracing::info!("tls-info" = info, "gRPC proxy server TLS");
    tls::acceptor_of_proxy(side, &security.protocol, metrics).map_err(unusable)
}

/// What the proxy does for itself.
struct Own {
    client: Client,
    sync_interval: Option<Duration>,
    cluster: Arc<Cluster>,
    resolver: Option<Resolver>,
}

impl Own {
    fn begin(self) {
        let Own { client, sync_interval, cluster, resolver } = self;
        if let Some(interval) = sync_interval {
            spawn::task("endpoints", sync_endpoints(client.clone(), interval));
        }
        if let Some(resolver) = resolver {
            spawn::task("registration", cluster.clone().register(client.clone(), resolver.clone()));
            spawn::task("registered proxies", cluster.follow(client, resolver));
        }
    }
}

/// The threads, running, and how they are stopped.
struct Threads {
    close: watch::Sender<bool>,
    leave: watch::Sender<bool>,
    empty: std::sync::mpsc::Receiver<()>,
    workers: usize,
}

impl Threads {
    fn start(
        first: Runtime,
        proxy: Arc<Proxy>,
        listeners: Listeners,
        terms: Terms,
        own: Own,
        end_streams: Arc<watch::Sender<bool>>,
    ) -> Result<Threads, StartError> {
        let (close, closing) = watch::channel(false);
        let (leave, leaving) = watch::channel(false);
        let (is_empty, empty) = std::sync::mpsc::channel();
        // Nobody waits for the listeners to be closed.
        let (open_door, _) = std::sync::mpsc::channel();
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
        let accepting = Accepting {
            proxy: proxy.clone(),
            listeners,
            senders,
            terms: terms.clone(),
            door: (closing, open_door),
            own,
        };
        let mut runtimes = vec![first];
        for _ in 1..count {
            runtimes.push(runtime()?);
        }
        let mut accepting = Some(accepting);
        for (index, (runtime, connections)) in runtimes.into_iter().zip(receivers).enumerate() {
            let serving = Serving { terms: terms.clone(), leaving: leaving.clone(), grace: STOP_GRACE };
            let (proxy, is_empty, accepting) = (proxy.clone(), is_empty.clone(), accepting.take());
            let end_streams = end_streams.clone();
            let work = async move {
                if let Some(accepting) = accepting {
                    accepting.begin(&serving);
                }
                serve(proxy, connections, serving, &end_streams).await;
                let _ = is_empty.send(());
                // The sessions of others may be on this thread.
                std::future::pending::<()>().await;
            };
            spawn::thread(&format!("network {index}"), move || runtime.block_on(work)).map_err(failed)?;
        }
        Ok(Threads { close, leave, empty, workers: count })
    }

    /// Accepts nothing more, tells the clients to go elsewhere, and waits for what they have asked for.
    fn stop(self) {
        let deadline = Instant::now() + STOP_GRACE;
        let _ = self.close.send(true);
        let _ = self.leave.send(true);
        for _ in 0..self.workers {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.empty.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}

async fn serve(
    proxy: Arc<Proxy>,
    connections: UnboundedReceiver<Accepted>,
    serving: Serving,
    end_streams: &watch::Sender<bool>,
) {
    let respond = move |_, request| proxy.clone().respond(request);
    let end = || {
        let _ = end_streams.send(true);
    };
    serve_all(connections, Arc::new(respond), serving, end).await;
}

/// What the first worker does besides.
struct Accepting {
    proxy: Arc<Proxy>,
    listeners: Listeners,
    senders: Vec<tokio::sync::mpsc::UnboundedSender<Accepted>>,
    terms: Terms,
    door: Closing,
    own: Own,
}

impl Accepting {
    fn begin(self, serving: &Serving) {
        self.own.begin();
        let Listeners { calls, metrics, handshakes } = self.listeners;
        let handshakes = handshakes.map(|(handshakes, _)| handshakes);
        let places = Places::of_process(handshakes.is_some());
        open(calls, Dealer::new(self.senders, places.clone()), handshakes.as_ref(), &self.door);
        if let Some(metrics) = metrics {
            let (send, receive) = unbounded_channel();
            open(metrics, Dealer::new(vec![send], places), handshakes.as_ref(), &self.door);
            let proxy = self.proxy.clone();
            let respond = move |_, request| proxy.clone().respond_http(request);
            let serving = Serving { terms: self.terms, leaving: serving.leaving.clone(), grace: STOP_GRACE };
            spawn::task("metrics", serve_all(receive, Arc::new(respond), serving, || {}));
            tracing::info!("gRPC proxy server metrics URL serving");
        }
        // The thread of handshakes ends when nobody can reach it any more.
        let mut leaving = serving.leaving.clone();
        spawn::task("handshakes", async move {
            connection::stopped(&mut leaving).await;
            drop(handshakes);
        });
    }
}

/// Begins to accept.
fn open(
    Socket { listener, acceptor }: Socket,
    dealer: Dealer,
    handshakes: Option<&Handshakes>,
    door: &Closing,
) {
    match (acceptor, handshakes) {
        (Some(acceptor), Some(handshakes)) => {
            let deliver = Arc::new(move |delivery| dealer.deal(delivery));
            handshakes.open(Door { listener, acceptor, need: Need::Tls, deliver, closing: door.clone() });
        }
        _ => drop(spawn::task("accept", accept(listener, dealer, door.clone()))),
    }
}
