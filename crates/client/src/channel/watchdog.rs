//! Finding out that a connection is dead though nothing says so.
//!
//! Whenever a call or stream is in flight and nothing has come in for a while, the member is asked for a sign of life. If
//! none comes, the connection is cut, and what was in flight fails over. The question is a call (gRPC's health check, which
//! needs neither a token nor a leader) and not an HTTP/2 ping: etcd ends the connections of clients that ping more often
//! than every five seconds. A connection without calls is left alone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::link::{Connection, Link};
use super::outgoing::Outgoing;
use super::pulse::Pulse;
use super::request;

/// How much longer a lone endpoint is waited for: there is nothing to fail over to.
const PATIENCE_WITHOUT_ALTERNATIVE: u32 = 4;

/// The method that is called (members do not look at the host), and its empty message: not compressed, of length 0.
const HEALTH_CHECK: &str = "http://localhost/grpc.health.v1.Health/Check";
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// Watches over a connection until it ends.
pub(crate) async fn watch(link: Weak<Link>, pulse: Arc<Pulse>) {
    let mut asked_at: Option<Instant> = None;
    loop {
        let pause = match link.upgrade() {
            None => return,
            Some(link) => next_look(&pulse, link.settings.probe_interval, asked_at),
        };
        tokio::time::sleep(pause).await;
        let Some(link) = link.upgrade() else { return };
        let (interval, timeout) = (link.settings.probe_interval, link.settings.probe_timeout);
        if !pulse.is_in_use() || pulse.silence() < interval.min(timeout) {
            asked_at = None;
            continue;
        }
        let Some(since) = asked_at else {
            if pulse.silence() >= interval {
                asked_at = Some(Instant::now());
                link.connection().map(|(connection, _)| tokio::spawn(ask(connection)));
            }
            continue;
        };
        let patience = if link.settings.has_alternatives() { 1 } else { PATIENCE_WITHOUT_ALTERNATIVE };
        if since.elapsed().min(pulse.waits()) >= timeout * patience {
            tracing::debug!(endpoint = link.address.text, "the connection is silent and is given up");
            pulse.cut();
            return;
        }
    }
}

/// Returns how long nothing can happen.
fn next_look(pulse: &Pulse, interval: Duration, asked_at: Option<Instant>) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(20);
    if asked_at.is_some() {
        return (interval / 8).max(SHORTEST);
    }
    interval.saturating_sub(pulse.silence()).max(interval / 8).max(SHORTEST)
}

async fn ask(mut connection: Connection) {
    let question = request::bare(HEALTH_CHECK, Outgoing::Message(Some(Bytes::from_static(EMPTY_MESSAGE))));
    // Whatever is answered: bytes came in.
    let _ = connection.sender.send_request(question).await;
}
