//! The sessions of a proxy, by the callers that a member takes for the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use engine::spawn;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::super::super::limits::COMMANDS_MAX;
use super::super::caller::Caller;
use super::super::upstream::Upstream;
use super::queue::Queue;
use super::session::{self, Command, Session, Signal};
use super::sharing::StreamId;
use crate::metrics::Metrics;

/// All sessions.
pub(in super::super) struct Hub {
    pub(super) upstream: Arc<Upstream>,
    pub(super) namespace: Bytes,
    pub(super) metrics: Arc<Metrics>,
    sessions: Mutex<HashMap<Caller, Handle>>,
    last_stream: AtomicU64,
}

/// The way to a session.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    /// At most two for each stream: it is closed, or has room again.
    pub(super) signals: mpsc::UnboundedSender<Signal>,
}

impl Hub {
    pub(in super::super) fn new(
        upstream: Arc<Upstream>,
        namespace: Bytes,
        metrics: Arc<Metrics>,
    ) -> Arc<Hub> {
        let (sessions, last_stream) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Hub { upstream, namespace, metrics, sessions, last_stream })
    }

    /// Makes a stream known to the session of its caller, which is begun if there is none.
    pub(super) async fn open(self: &Arc<Self>, caller: &Caller, queue: &Arc<Queue>) -> (StreamId, Handle) {
        let stream = StreamId(self.last_stream.fetch_add(1, Ordering::Relaxed));
        loop {
            let handle = self.handle(caller);
            let open = Command::Open { stream, queue: queue.clone() };
            // It may have ended just now.
            if handle.commands.send(open).await.is_ok() {
                return (stream, handle);
            }
        }
    }

    fn handle(self: &Arc<Self>, caller: &Caller) -> Handle {
        let mut sessions = self.sessions.lock();
        if let Some(handle) = sessions.get(caller).filter(|handle| !handle.commands.is_closed()) {
            return handle.clone();
        }
        let (commands, receive) = mpsc::channel(COMMANDS_MAX);
        let (signals, receive_signals) = mpsc::unbounded_channel();
        let session = Session::new(self.clone(), caller.clone(), receive, receive_signals);
        spawn::task("watch session", session::run(session));
        let handle = Handle { commands, signals };
        sessions.insert(caller.clone(), handle.clone());
        handle
    }

    /// Closes a session to new streams, unless one has come meanwhile. Returns whether it is closed: what got through between
    /// the two is still to be received.
    pub(super) fn close(&self, caller: &Caller, commands: &mut mpsc::Receiver<Command>) -> bool {
        let mut sessions = self.sessions.lock();
        if !commands.is_empty() {
            return false;
        }
        commands.close();
        sessions.remove(caller);
        true
    }
}
