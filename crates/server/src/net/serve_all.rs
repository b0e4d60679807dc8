//! The connections of one network thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;

use super::accept::Accepted;
use super::connection::{self, Terms};
use crate::readers::ConnectionId;

/// How connections are served, and until when.
pub(crate) struct Serving {
    pub(crate) terms: Terms,
    /// Says when clients are to go elsewhere.
    pub(crate) leaving: watch::Receiver<bool>,
    /// How long requests in flight may take then.
    pub(crate) grace: Duration,
}

/// Serves connections as they come, until the member leaves and the last of them has ended. `all_told` is called when all
/// clients have been told to go elsewhere.
pub(crate) async fn serve_all<S, F>(
    mut connections: UnboundedReceiver<Accepted>,
    respond: Arc<S>,
    Serving { terms, mut leaving, grace }: Serving,
    all_told: impl FnOnce(),
) where
    S: Fn(ConnectionId, http::Request<hyper::body::Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = http::Response<crate::grpc::body::ResponseBody>> + Send + 'static,
{
    let mut open = tokio::task::JoinSet::new();
    let is_leaving = leaving.clone();
    let (not_told, mut told) = mpsc::channel(1);
    let serve = |open: &mut tokio::task::JoinSet<()>, Accepted { mut stream, name, place }| {
        if stream.attach().is_err() {
            return;
        }
        let is_leaving = is_leaving.clone();
        let (respond, id) = (respond.clone(), ConnectionId::next());
        let respond = Arc::new(move |request| respond(id, request));
        let connection =
            connection::serve(stream, name, terms.clone(), respond, is_leaving, not_told.clone());
        open.spawn(async move {
            connection.await;
            drop(place);
        });
    };
    loop {
        let accepted = tokio::select! {
            accepted = connections.recv() => accepted,
            Some(ended) = open.join_next() => {
                if let Err(panic) = ended {
                    tracing::error!(error = %panic, "the task of a connection panicked; the connection is closed");
                }
                continue;
            }
            () = connection::stopped(&mut leaving) => break,
        };
        let Some(accepted) = accepted else { break };
        serve(&mut open, accepted);
    }
    // A client that was accepted hears that it has to go elsewhere, and does not just find its connection closed.
    connections.close();
    while let Some(accepted) = connections.recv().await {
        serve(&mut open, accepted);
    }
    drop(not_told);
    // Nothing is ever sent: this is the end of all that could.
    let _ = told.recv().await;
    all_told();
    let _ = tokio::time::timeout(grace, async { while open.join_next().await.is_some() {} }).await;
}
