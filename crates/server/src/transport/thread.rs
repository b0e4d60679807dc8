//! The transport's thread: one runtime for all connections of peers.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::time::timeout;

use super::context::{Context, Settings};
use super::door::{self, PeerHttp};
use super::handle::Transport;
use super::inbound::SharedInbound;
use super::limits::{BLOCKING_THREADS_MAX, STOP_GRACE};
use super::switch;
use crate::limits::HEADER_TIMEOUT;
use crate::metrics::Metrics;
use crate::spawn;

/// A transport about to run.
pub(crate) struct TransportThread {
    runtime: tokio::runtime::Runtime,
    transport: Transport,
    settings: Settings,
    listeners: Vec<TcpListener>,
    http: PeerHttp,
    inbound: SharedInbound,
    metrics: Arc<Metrics>,
}

impl TransportThread {
    /// The thread behind a handle. What the handle is told before it runs is done when it does.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn new(
        transport: Transport,
        settings: Settings,
        listeners: Vec<TcpListener>,
        http: PeerHttp,
        inbound: SharedInbound,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("transport")
            .build()?;
        Ok(Self { runtime, transport, settings, listeners, http, inbound, metrics })
    }

    /// Runs until [`Transport::stop`].
    pub(crate) fn run(self) {
        let Self { runtime, transport, settings, listeners, http, inbound, metrics } = self;
        let context = Context::new(settings, transport.0, inbound, metrics);
        runtime.block_on(async {
            for listener in listeners {
                let accept = door::accept(listener, HEADER_TIMEOUT, http.clone(), context.clone());
                spawn::task("accept of peers", accept);
            }
            switch::run(context.clone()).await;
            let _ = timeout(STOP_GRACE, farewell(&context)).await;
        });
        // What reads or writes a snapshot on a disk may take its time.
        runtime.shutdown_timeout(STOP_GRACE);
    }
}

/// Lets the links write what they have.
async fn farewell(context: &Context) {
    let links = std::mem::take(&mut context.table.lock().links);
    links.values().for_each(|link| link.close());
    for link in links.values() {
        link.closed().await;
    }
}
