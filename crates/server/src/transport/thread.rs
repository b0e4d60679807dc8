//! The transport's thread: one runtime for all connections of peers.

use std::sync::Arc;
use std::thread::JoinHandle;

use engine::peers::Inbound;
use engine::spawn;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

use super::context::{Context, Settings};
use super::door::{self, PeerHttp};
use super::handle::Transport;
use super::limits::{BLOCKING_THREADS_MAX, STOP_GRACE};
use super::switch;
use crate::limits::HEADER_TIMEOUT;
use crate::metrics::Metrics;
use crate::tls::{self, Acceptor, Delivery, Door, Handshakes, Need};

/// A transport about to run.
pub(crate) struct TransportThread {
    runtime: tokio::runtime::Runtime,
    transport: Transport,
    settings: Settings,
    listeners: Listeners,
    http: PeerHttp,
    inbound: Arc<dyn Inbound>,
    metrics: Arc<Metrics>,
}

/// The sockets that peers connect to.
#[derive(Default)]
pub(crate) struct Listeners {
    /// Those without TLS.
    pub(crate) plain: Vec<tls::Listener>,
    /// Those with it.
    pub(crate) secure: Option<SecureListeners>,
}

/// Sockets with TLS, and the thread that makes the handshakes.
pub(crate) struct SecureListeners {
    /// Each with who is let in.
    pub(crate) sockets: Vec<(tls::Listener, Arc<Acceptor>)>,
    /// The way to the thread.
    pub(crate) handshakes: Handshakes,
    /// The thread: it ends when the way to it is gone.
    pub(crate) thread: JoinHandle<()>,
}

impl SecureListeners {
    /// Begins to accept. Returns the connections whose handshakes have succeeded, and what to keep until no more should.
    fn open(self) -> (UnboundedReceiver<Delivery>, Handshakes, JoinHandle<()>) {
        let (deliver, delivered) = unbounded_channel();
        for (listener, acceptor) in self.sockets {
            let deliver = deliver.clone();
            self.handshakes.open(Door {
                listener,
                acceptor,
                need: Need::Tls,
                deliver: Arc::new(move |delivery| drop(deliver.send(delivery))),
                // They are closed with the thread.
                closing: (watch::channel(false).1, std::sync::mpsc::channel().0),
            });
        }
        (delivered, self.handshakes, self.thread)
    }
}

impl TransportThread {
    /// The thread behind a handle. What the handle is told before it runs is done when it does.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn new(
        transport: Transport,
        settings: Settings,
        listeners: Listeners,
        http: PeerHttp,
        inbound: Arc<dyn Inbound>,
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
            for listener in listeners.plain {
                let accept = door::accept(listener, HEADER_TIMEOUT, http.clone(), context.clone());
                spawn::task("accept of peers", accept);
            }
            let handshakes = listeners.secure.map(|secure| {
                let (secured, handshakes, thread) = secure.open();
                spawn::task("peers with TLS", door::admit(secured, HEADER_TIMEOUT, http, context.clone()));
                (handshakes, thread)
            });
            switch::run(context.clone()).await;
            if let Some((handshakes, thread)) = handshakes {
                // Its listeners are closed when it has ended, which it does at once.
                drop(handshakes);
                let _ = thread.join();
            }
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
