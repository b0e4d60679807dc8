//! The threads that talk to clients.
//!
//! Each has a runtime of its own and keeps the connections it was given, so that a request and its answer stay on one
//! core. The first also accepts, for all of them, and runs the member's periodic tasks.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use proto::quoratepb::ClusterBootstrap;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::{ClientListeners, STOP_GRACE, spawn};
use crate::api::Api;
use crate::config::{Config, Url};
use crate::engine::questions::Asked;
use crate::engine::worker::Worker;
use crate::error::StartError;
use crate::http::Surface;
use crate::limits::HEADER_TIMEOUT;
use crate::net::accept::{Accepted, accept};
use crate::net::connection::{self, Http2Settings, Terms};
use crate::net::descriptors::Places;
use crate::net::heads::HeadBudget;
use crate::net::serve::ClientPort;
use crate::tasks;

/// The workers before they start.
pub(super) struct Network {
    apis: Vec<Arc<Api>>,
    listeners: ClientListeners,
    http2: Http2Settings,
    introduction: tasks::publish::Introduction,
    auto_compaction: crate::config::AutoCompaction,
    asked: mpsc::Receiver<Asked>,
    config: Arc<Config>,
}

pub(super) type Started = (watch::Sender<bool>, std::sync::mpsc::Receiver<()>, Vec<JoinHandle<()>>);

impl Network {
    pub(super) fn new(
        config: &Config,
        apis: Vec<Arc<Api>>,
        listeners: ClientListeners,
        bootstrap: Option<ClusterBootstrap>,
        asked: mpsc::Receiver<Asked>,
    ) -> Self {
        Self {
            apis,
            listeners,
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
            config: Arc::new(config.clone()),
        }
    }

    /// Starts the workers; the first one also accepts, once the member has introduced itself, and runs the tasks.
    pub(super) fn start(self) -> Result<Started, StartError> {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let terms = Terms::new(self.http2, Arc::new(HeadBudget::default()));
        let workers: Arc<[Arc<Worker>]> = self.apis.iter().map(|api| api.worker.clone()).collect();
        let mut threads = Vec::new();
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
            listeners: self.listeners,
            client_doors,
            introduction: self.introduction,
            auto_compaction: self.auto_compaction,
            asked: self.asked,
            ready,
            http: Arc::new(ClientPort::new(self.apis[0].clone(), workers.clone(), &self.config)),
            places: Places::of_process(),
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
                stopped: stopped.clone(),
                terms: terms.clone(),
                first: lead.take(),
            };
            threads.push(spawn(&format!("network {index}"), move || runtime.block_on(worker.run()))?);
        }
        Ok((stop, is_ready, threads))
    }
}

/// What the first worker does besides.
struct First {
    api: Arc<Api>,
    listeners: ClientListeners,
    client_doors: Vec<UnboundedSender<Accepted>>,
    introduction: tasks::publish::Introduction,
    auto_compaction: crate::config::AutoCompaction,
    asked: mpsc::Receiver<Asked>,
    ready: std::sync::mpsc::Sender<()>,
    http: Arc<ClientPort>,
    places: Arc<Places>,
    terms: Terms,
}

impl First {
    async fn run(self, stopped: watch::Receiver<bool>) {
        tokio::spawn(tasks::answers::run(self.api.clone(), self.asked));
        tasks::publish::run(&self.api, self.introduction).await;
        tokio::spawn(tasks::cluster_version::run(self.api.clone()));
        tokio::spawn(tasks::expiry::run(self.api.clone()));
        tokio::spawn(tasks::auto_compaction::run(self.api.clone(), self.auto_compaction));
        for listener in self.listeners.client {
            tokio::spawn(accept(listener, self.client_doors.clone(), self.places.clone()));
        }
        let door = |listeners: Vec<TcpListener>| {
            let (send, receive) = unbounded_channel();
            for listener in listeners {
                tokio::spawn(accept(listener, vec![send.clone()], self.places.clone()));
            }
            receive
        };
        for (listeners, surface) in
            [(self.listeners.http, Surface::Client), (self.listeners.metrics, Surface::Metrics)]
        {
            let port = self.http.clone();
            let respond = move |request| port.clone().respond_http(surface, request);
            tokio::spawn(serve_all(door(listeners), Arc::new(respond), self.terms.clone(), stopped.clone()));
        }
        let _ = self.ready.send(());
    }
}

/// One network thread.
struct NetworkWorker {
    port: Arc<ClientPort>,
    api: Arc<Api>,
    connections: UnboundedReceiver<Accepted>,
    stopped: watch::Receiver<bool>,
    terms: Terms,
    first: Option<First>,
}

impl NetworkWorker {
    async fn run(self) {
        let worker = self.api.worker.clone();
        tokio::spawn(worker.clone().run_flush());
        tokio::spawn(worker.run_pump());
        if let Some(first) = self.first {
            tokio::spawn(first.run(self.stopped.clone()));
        }
        let port = self.port;
        let respond = move |request| port.clone().respond(request);
        serve_all(self.connections, Arc::new(respond), self.terms, self.stopped).await;
    }
}

/// Serves connections as they come, until the member stops and the last of them has ended.
async fn serve_all<S, F>(
    mut connections: UnboundedReceiver<Accepted>,
    respond: Arc<S>,
    terms: Terms,
    mut stopped: watch::Receiver<bool>,
) where
    S: Fn(http::Request<hyper::body::Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = http::Response<crate::grpc::body::ResponseBody>> + Send + 'static,
{
    let mut open = tokio::task::JoinSet::new();
    let is_stopped = stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = connections.recv() => accepted,
            Some(_) = open.join_next() => continue,
            () = connection::stopped(&mut stopped) => break,
        };
        let Some(Accepted { stream, place }) = accepted else { break };
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { continue };
        let connection = connection::serve(stream, terms.clone(), respond.clone(), is_stopped.clone());
        open.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    let _ = tokio::time::timeout(STOP_GRACE, async { while open.join_next().await.is_some() {} }).await;
}
