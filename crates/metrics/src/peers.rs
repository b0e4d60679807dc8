//! Metrics about each peer, under etcd's names. Peers come and go; each has its own handles, looked up once for a
//! connection and not for a message.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::text::{Exposition, Metric, Samples};
use super::value::{Counter, Gauge, Histogram, Unit};

/// Peers with handles of their own; those beyond share one. Only members get here, and a cluster has 256 at most: but
/// over the years, members are replaced.
const PEERS_MAX: usize = 1024;

/// What is counted of one peer.
#[derive(Debug)]
pub struct Peer {
    /// `etcd_network_peer_sent_bytes_total`
    pub sent_bytes: Counter,
    /// `etcd_network_peer_received_bytes_total`
    pub received_bytes: Counter,
    /// `etcd_network_peer_sent_failures_total`
    pub sent_failures: Counter,
    /// `etcd_network_peer_received_failures_total`
    pub received_failures: Counter,
    /// `etcd_network_peer_round_trip_time_seconds`
    pub round_trip: Histogram,
    /// `etcd_network_known_peers`
    pub known: Gauge,
    /// `etcd_network_active_peers`
    pub active: Gauge,
    /// `etcd_network_disconnected_peers_total`
    pub disconnected: Counter,
    /// `etcd_network_snapshot_send_*`
    pub snapshot_send: Transfers,
    /// `etcd_network_snapshot_receive_*`
    pub snapshot_receive: Transfers,
}

/// Snapshots in one direction.
#[derive(Debug)]
pub struct Transfers {
    /// Under way.
    pub inflight: Gauge,
    /// Ended well.
    pub success: Counter,
    /// Failed.
    pub failures: Counter,
    /// How long those took that ended well.
    pub duration: Histogram,
}

impl Transfers {
    fn new() -> Transfers {
        Transfers {
            inflight: Gauge::default(),
            success: Counter::default(),
            failures: Counter::default(),
            duration: Histogram::doubling(Unit::Seconds, 0.1, 10),
        }
    }

    fn was_used(&self) -> bool {
        self.inflight.get() != 0 || self.success.get() + self.failures.get() != 0
    }
}

impl Default for Peer {
    fn default() -> Peer {
        Peer {
            sent_bytes: Counter::default(),
            received_bytes: Counter::default(),
            sent_failures: Counter::default(),
            received_failures: Counter::default(),
            round_trip: Histogram::doubling(Unit::Seconds, 0.0001, 16),
            known: Gauge::default(),
            active: Gauge::default(),
            disconnected: Counter::default(),
            snapshot_send: Transfers::new(),
            snapshot_receive: Transfers::new(),
        }
    }
}

/// All peers, by their ids in hexadecimal.
#[derive(Debug, Default)]
pub struct Peers(RwLock<BTreeMap<String, Arc<Peer>>>);

impl Peers {
    /// The handles of a peer.
    pub fn of(&self, id: u64) -> Arc<Peer> {
        let id = format!("{id:x}");
        let mut peers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let id = if peers.len() < PEERS_MAX || peers.contains_key(&id) { id } else { "other".to_owned() };
        Arc::clone(peers.entry(id).or_default())
    }

    /// Writes which members the cluster has and had, this one included.
    pub(super) fn collect_known(&self, local: &str, out: &mut Exposition) {
        if !local.is_empty() {
            let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
            out.family(
                "etcd_network_known_peers",
                "1 for members of the cluster.",
                &Known { peers: &peers, local },
            );
        }
    }

    /// Writes every family about one peer each. `local` is this member's id.
    pub(super) fn collect(&self, local: &str, out: &mut Exposition) {
        let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let family = |label, value| Family { peers: &peers, labels: Labels::One(label), value };
        let pair = |value| Family { peers: &peers, labels: Labels::Pair { local }, value };
        let counter = |name, label, value| (name, family(label, Value::Counter(value)));
        for (name, one) in [
            counter("etcd_network_peer_sent_bytes_total", "To", |peer| &peer.sent_bytes),
            counter("etcd_network_peer_received_bytes_total", "From", |peer| &peer.received_bytes),
            counter("etcd_network_peer_sent_failures_total", "To", |peer| &peer.sent_failures),
            counter("etcd_network_peer_received_failures_total", "From", |peer| &peer.received_failures),
            counter("etcd_network_snapshot_send_success", "To", |peer| &peer.snapshot_send.success),
            counter("etcd_network_snapshot_send_failures", "To", |peer| &peer.snapshot_send.failures),
            counter("etcd_network_snapshot_receive_success", "From", |peer| &peer.snapshot_receive.success),
            counter("etcd_network_snapshot_receive_failures", "From", |peer| &peer.snapshot_receive.failures),
            ("etcd_network_disconnected_peers_total", pair(Value::Counter(|peer| &peer.disconnected))),
        ] {
            out.family(name, help_of(name), &Counters(one));
        }
        for (name, one) in [
            ("etcd_network_active_peers", pair(Value::Gauge(|peer| &peer.active))),
            (
                "etcd_network_snapshot_send_inflights_total",
                family("To", Value::Transfers(|peer| &peer.snapshot_send)),
            ),
            (
                "etcd_network_snapshot_receive_inflights_total",
                family("From", Value::Transfers(|peer| &peer.snapshot_receive)),
            ),
        ] {
            out.family(name, help_of(name), &Gauges(one));
        }
        for (name, label, value) in [
            (
                "etcd_network_peer_round_trip_time_seconds",
                "To",
                (|peer| &peer.round_trip) as fn(&Peer) -> &Histogram,
            ),
            ("etcd_network_snapshot_send_total_duration_seconds", "To", |peer| &peer.snapshot_send.duration),
            ("etcd_network_snapshot_receive_total_duration_seconds", "From", |peer| {
                &peer.snapshot_receive.duration
            }),
        ] {
            out.family(name, help_of(name), &Histograms(family(label, Value::Histogram(value))));
        }
    }
}

fn help_of(name: &str) -> &'static str {
    match name.trim_start_matches("etcd_network_") {
        "peer_sent_bytes_total" => "Bytes sent to each peer.",
        "peer_received_bytes_total" => "Bytes received from each peer.",
        "peer_sent_failures_total" => "Messages that could not be sent to each peer.",
        "peer_received_failures_total" => "Connections of each peer that broke while being read.",
        "peer_round_trip_time_seconds" => "Time from a ping to its answer.",
        "active_peers" => "1 while the peer is connected, else 0.",
        "disconnected_peers_total" => "How often the connection to each peer was lost.",
        "snapshot_send_inflights_total" => "Snapshots being sent.",
        "snapshot_send_success" => "Snapshots sent.",
        "snapshot_send_failures" => "Snapshots that could not be sent.",
        "snapshot_send_total_duration_seconds" => "Time to send a snapshot.",
        "snapshot_receive_inflights_total" => "Snapshots being received.",
        "snapshot_receive_success" => "Snapshots received.",
        "snapshot_receive_failures" => "Snapshots that could not be received.",
        _ => "Time to receive a snapshot.",
    }
}

#[derive(Clone, Copy)]
enum Labels<'a> {
    /// `To` or `From`.
    One(&'static str),
    /// `Local` and `Remote`.
    Pair { local: &'a str },
}

/// Where a family's numbers are. What has never happened to a peer is not exposed, as in etcd.
#[derive(Clone, Copy)]
enum Value {
    Counter(fn(&Peer) -> &Counter),
    Gauge(fn(&Peer) -> &Gauge),
    Transfers(fn(&Peer) -> &Transfers),
    Histogram(fn(&Peer) -> &Histogram),
}

#[derive(Clone, Copy)]
struct Family<'a> {
    peers: &'a BTreeMap<String, Arc<Peer>>,
    labels: Labels<'a>,
    value: Value,
}

impl Family<'_> {
    fn samples(&self, out: &mut Samples<'_>) {
        for (id, peer) in self.peers {
            match self.labels {
                Labels::One(label) => self.value.sample(peer, &[(label, id)], out),
                Labels::Pair { local } => self.value.sample(peer, &[("Local", local), ("Remote", id)], out),
            }
        }
    }
}

impl Value {
    fn sample(self, peer: &Peer, labels: &[(&str, &str)], out: &mut Samples<'_>) {
        match self {
            Value::Counter(of) if of(peer).get() > 0 => out.sample(labels, of(peer).get() as f64),
            Value::Gauge(of) => out.sample(labels, of(peer).get() as f64),
            Value::Transfers(of) if of(peer).was_used() => {
                out.sample(labels, of(peer).inflight.get() as f64);
            }
            Value::Histogram(of) if of(peer).count() > 0 => of(peer).labelled_samples(labels, out),
            _ => {}
        }
    }
}

/// The members that are known.
struct Known<'a> {
    peers: &'a BTreeMap<String, Arc<Peer>>,
    local: &'a str,
}

impl Metric for Known<'_> {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        let mut known: BTreeMap<&str, i64> =
            self.peers.iter().map(|(id, peer)| (id.as_str(), peer.known.get())).collect();
        known.insert(self.local, 1);
        for (id, is_known) in known {
            out.sample(&[("Local", self.local), ("Remote", id)], is_known as f64);
        }
    }
}

macro_rules! kinds {
    ($($kind:ident = $type:literal;)*) => {$(
        struct $kind<'a>(Family<'a>);

        impl Metric for $kind<'_> {
            const TYPE: &'static str = $type;

            fn samples(&self, out: &mut Samples<'_>) {
                self.0.samples(out);
            }
        }
    )*};
}

kinds! {
    Counters = "counter";
    Gauges = "gauge";
    Histograms = "histogram";
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exposition(peers: &Peers) -> String {
        let mut out = Exposition::default();
        peers.collect("a", &mut out);
        out.finish()
    }

    #[test]
    fn a_peer_has_etcds_names_and_labels() {
        let peers = Peers::default();
        let peer = peers.of(0x2f);
        peer.active.set(1);
        peer.sent_bytes.add(5);
        peer.round_trip.observe(Duration::from_micros(150));
        let text = exposition(&peers);
        for line in [
            "etcd_network_active_peers{Local=\"a\",Remote=\"2f\"} 1",
            "etcd_network_peer_sent_bytes_total{To=\"2f\"} 5",
            "etcd_network_peer_round_trip_time_seconds_bucket{To=\"2f\",le=\"0.0001\"} 0",
            "etcd_network_peer_round_trip_time_seconds_bucket{To=\"2f\",le=\"0.0002\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("snapshot"), "what never happened is not shown:\n{text}");
    }

    #[test]
    fn a_member_is_known_to_itself() {
        let peers = Peers::default();
        peers.of(0x2f).known.set(1);
        peers.of(0x9).known.set(0);
        let mut out = Exposition::default();
        peers.collect_known("a", &mut out);
        let text = out.finish();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "etcd_network_known_peers{Local=\"a\",Remote=\"2f\"} 1",
                "etcd_network_known_peers{Local=\"a\",Remote=\"9\"} 0",
                "etcd_network_known_peers{Local=\"a\",Remote=\"a\"} 1",
            ]
        );
    }

    #[test]
    fn without_peers_there_is_nothing() {
        assert_eq!(exposition(&Peers::default()), "");
    }

    #[test]
    fn peers_are_bounded() {
        let peers = Peers::default();
        for id in 0..2 * PEERS_MAX as u64 {
            peers.of(id).sent_bytes.inc();
        }
        assert_eq!(peers.of(u64::MAX).sent_bytes.get(), PEERS_MAX as u64);
        assert!(peers.0.read().unwrap().len() <= PEERS_MAX + 1);
    }
}
