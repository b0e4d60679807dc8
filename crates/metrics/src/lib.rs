//! Metrics under etcd's names, so that existing dashboards and alerts work unchanged.
//!
//! [`Metrics`] is one struct of typed handles, shared by all threads. An update is an atomic addition on a field: no registry is
//! asked on the hot path. [`Metrics::exposition`] renders everything as Prometheus text ([`text`]).
//!
//! Names are etcd's to the letter, with their quirks: gauges that end in `_total`, counters that do not. Metrics about things
//! that do not exist here are left out and not faked: Go's runtime (`go_*`), bbolt's rebalance and spill, the v2 store.

pub mod grpc;
pub mod labelled;
pub mod memory;
pub mod peers;
mod process;
mod scrapes;
pub mod text;
pub mod tls;
pub mod value;

pub use grpc::{Grpc, Method};
pub use labelled::{
    Alarms, ByOperation, BySuccess, CallType, ClientRequests, Direction, Features, HealthChecks, Info,
    Operation, StreamApi, StreamFailures, Success,
};
pub use memory::Memory;
pub use scrapes::Scrapes;
pub use value::{Counter, Gauge, Histogram, Unit};

use labelled::OperationLabels;
use text::Exposition;

pub use process::open_files_limit;

/// Detail of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDetail {
    /// Counters and gauges, and histograms of the server's own work.
    Basic,
    /// Also a latency histogram for each gRPC method.
    Extensive,
}

/// Declares a struct of metrics: each field once, with its type, how it starts, its name and its help text.
macro_rules! group {
    ($(#[$doc:meta])* $group:ident { $($field:ident: $type:ty = $new:expr, $name:literal, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $group {
            $(#[doc = concat!("`", $name, "`: ", $help)] pub $field: $type,)*
        }

        impl $group {
            fn new() -> $group {
                $group { $($field: $new,)* }
            }

            fn collect(&self, out: &mut Exposition) {
                $(out.family($name, $help, &self.$field);)*
            }
        }
    };
}

fn seconds(start: f64, count: usize) -> Histogram {
    Histogram::doubling(Unit::Seconds, start, count)
}

fn milliseconds(start: f64, count: usize) -> Histogram {
    Histogram::doubling(Unit::Milliseconds, start, count)
}

fn counter() -> Counter {
    Counter::default()
}

fn gauge() -> Gauge {
    Gauge::default()
}

group! {
    /// Consensus and requests as a whole.
    Server {
        has_leader: Gauge = gauge(), "etcd_server_has_leader", "1 while a leader is known, else 0.";
        is_leader: Gauge = gauge(), "etcd_server_is_leader", "1 while this member is the leader, else 0.";
        is_learner: Gauge = gauge(), "etcd_server_is_learner", "1 while this member is a learner, else 0.";
        leader_changes_seen: Counter = counter(), "etcd_server_leader_changes_seen_total", "Changes of leader seen.";
        learner_promote_successes: Counter = counter(), "etcd_server_learner_promote_successes", "Learners promoted by this member as the leader.";
        heartbeat_send_failures: Counter = counter(), "etcd_server_heartbeat_send_failures_total", "Heartbeats that this member, as the leader, sent an interval too late or more, one for each follower.";
        slow_apply: Counter = counter(), "etcd_server_slow_apply_total", "Commands whose application took too long.";
        proposals_committed: Gauge = gauge(), "etcd_server_proposals_committed_total", "The committed index of the raft log.";
        proposals_applied: Gauge = gauge(), "etcd_server_proposals_applied_total", "The applied index of the raft log.";
        proposals_pending: Gauge = gauge(), "etcd_server_proposals_pending", "Proposals waiting for their outcome.";
        proposals_failed: Counter = counter(), "etcd_server_proposals_failed_total", "Proposals that failed.";
        slow_read_indexes: Counter = counter(), "etcd_server_slow_read_indexes_total", "Read barriers that nobody confirmed in the time that a request may take.";
        read_indexes_failed: Counter = counter(), "etcd_server_read_indexes_failed_total", "Read barriers that failed: too many at once, or the member stopped.";
        quota_backend_bytes: Gauge = gauge(), "etcd_server_quota_backend_bytes", "Size of the store at which writes are refused, in bytes.";
        snapshot_apply_in_progress: Gauge = gauge(), "etcd_server_snapshot_apply_in_progress_total", "1 while a received snapshot is being installed, else 0.";
        version: Info = Info::new("server_version"), "etcd_server_version", "The version served, as a label.";
        id: Info = Info::new("server_id"), "etcd_server_id", "The member id in hexadecimal, as a label.";
        feature_enabled: Features = Features::default(), "etcd_server_feature_enabled", "1 for feature gates that are on, else 0.";
        client_requests: ClientRequests = ClientRequests::default(), "etcd_server_client_requests_total", "Requests by the version of the client.";
        apply_duration: ByOperation = ByOperation::new(OperationLabels::Apply, 0.0001, 20), "etcd_server_apply_duration_seconds", "Time to apply a command.";
        range_duration: BySuccess = BySuccess::new(0.0001, 20), "etcd_server_range_duration_seconds", "Time to read a range.";
        request_duration: ByOperation = ByOperation::new(OperationLabels::Request, 0.001, 14), "etcd_server_request_duration_seconds", "Time from the arrival of a request to its reply.";
        health_success: Counter = counter(), "etcd_server_health_success", "Health checks answered with true.";
        health_failures: Counter = counter(), "etcd_server_health_failures", "Health checks answered with false.";
        healthchecks: HealthChecks = HealthChecks::default(), "etcd_server_healthchecks_total", "Results of the checks behind /livez and /readyz.";
        cluster_version: Info = Info::new("cluster_version"), "etcd_cluster_version", "The cluster version decided on (major.minor), as a label.";
        lease_expired: Counter = counter(), "etcd_debugging_server_lease_expired_total", "Leases that expired.";
        alarms: Alarms = Alarms::default(), "etcd_debugging_server_alarms", "1 for alarms that are raised, else 0.";
        auth_revision: Gauge = gauge(), "etcd_debugging_auth_revision", "The revision of the users and roles.";
    }
}

group! {
    /// The key space and its watchers.
    Mvcc {
        range: Counter = counter(), "etcd_mvcc_range_total", "Ranges read.";
        put: Counter = counter(), "etcd_mvcc_put_total", "Keys put.";
        delete: Counter = counter(), "etcd_mvcc_delete_total", "Deletions.";
        txn: Counter = counter(), "etcd_mvcc_txn_total", "Transactions.";
        db_total_size: Gauge = gauge(), "etcd_mvcc_db_total_size_in_bytes", "Bytes the store takes on disk.";
        db_size_in_use: Gauge = gauge(), "etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of the store that hold data.";
        db_open_read_transactions: Gauge = gauge(), "etcd_mvcc_db_open_read_transactions", "Reads under way that history is kept for, backups among them.";
        hash_duration: Histogram = seconds(0.01, 15), "etcd_mvcc_hash_duration_seconds", "Time to hash the whole store.";
        hash_rev_duration: Histogram = seconds(0.01, 15), "etcd_mvcc_hash_rev_duration_seconds", "Time to hash the keys at a revision.";
        keys: Gauge = gauge(), "etcd_debugging_mvcc_keys_total", "Live keys.";
        watch_streams: Gauge = gauge(), "etcd_debugging_mvcc_watch_stream_total", "Watch streams open.";
        watchers: Gauge = gauge(), "etcd_debugging_mvcc_watcher_total", "Watchers.";
        slow_watchers: Gauge = gauge(), "etcd_debugging_mvcc_slow_watcher_total", "Watchers that are behind.";
        pending_events: Gauge = gauge(), "etcd_debugging_mvcc_pending_events_total", "Events not yet taken by their streams.";
        events: Counter = counter(), "etcd_debugging_mvcc_events_total", "Events sent to watchers.";
        current_revision: Gauge = gauge(), "etcd_debugging_mvcc_current_revision", "The revision of the store.";
        compact_revision: Gauge = gauge(), "etcd_debugging_mvcc_compact_revision", "The last compaction's revision, -1 before the first.";
        total_put_size: Gauge = gauge(), "etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes of all keys and values put.";
        compaction_keys: Counter = counter(), "etcd_debugging_mvcc_db_compaction_keys_total", "Revisions given up by compactions.";
        compaction_last: Gauge = gauge(), "etcd_debugging_mvcc_db_compaction_last", "Unix time at which the files had given up what the last compaction was about.";
        index_compaction_pause: Histogram = milliseconds(0.5, 14), "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", "Time a compaction held up the index: the application of its command.";
        compaction_pause: Histogram = milliseconds(1.0, 13), "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", "Time a compaction held up the store: the application of its command. Files are released beside everything else.";
        compaction_total: Histogram = milliseconds(100.0, 14), "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", "Time from the application of a compaction until the files had given up what it was about.";
        watch_send_loop_watch_stream: Histogram = seconds(0.001, 14), "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds", "Time from taking a watch response out of its queue until the next could be taken: it was encoded, and if it is long, sent.";
        watch_send_loop_per_event: Histogram = seconds(0.001, 14), "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds", "The same, divided by the number of events.";
        watch_send_loop_control_stream: Histogram = seconds(0.001, 14), "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds", "The same, of an answer to a create or cancel.";
        watch_send_loop_progress: Histogram = seconds(0.001, 14), "etcd_debugging_server_watch_send_loop_progress_duration_seconds", "The same, of a progress notification.";
    }
}

group! {
    /// The disk.
    Disk {
        wal_fsync: Histogram = seconds(0.001, 14), "etcd_disk_wal_fsync_duration_seconds", "Time to sync the raft log.";
        wal_write: Histogram = seconds(0.001, 14), "etcd_disk_wal_write_duration_seconds", "Time to write to the raft log.";
        wal_write_bytes: Gauge = gauge(), "etcd_disk_wal_write_bytes_total", "Bytes written to the raft log.";
        backend_commit: Histogram = seconds(0.001, 14), "etcd_disk_backend_commit_duration_seconds", "Time to commit a checkpoint of the store.";
        backend_commit_write: Histogram = seconds(0.001, 14), "etcd_debugging_disk_backend_commit_write_duration_seconds", "Time to write and sync the checkpoint in a commit: here all of it.";
        backend_snapshot: Histogram = seconds(0.01, 17), "etcd_disk_backend_snapshot_duration_seconds", "Time to send a backup of the store.";
        backend_defrag: Histogram = seconds(0.1, 13), "etcd_disk_backend_defrag_duration_seconds", "Time of a defragmentation.";
        defrag_inflight: Gauge = gauge(), "etcd_disk_defrag_inflight", "1 while a defragmentation runs, else 0.";
        snap_fsync: Histogram = seconds(0.001, 14), "etcd_snap_fsync_duration_seconds", "Time to note a snapshot in the raft log before it is installed: there is no snapshot file beside it.";
        snap_db_fsync: Histogram = seconds(0.001, 14), "etcd_snap_db_fsync_duration_seconds", "Time to write and sync the last part of a received store.";
        snap_db_save: Histogram = seconds(0.1, 10), "etcd_snap_db_save_total_duration_seconds", "Time to receive and keep a store.";
    }
}

group! {
    /// The network towards clients.
    Network {
        client_received_bytes: Counter = counter(), "etcd_network_client_grpc_received_bytes_total", "Bytes of gRPC messages received from clients.";
        client_sent_bytes: Counter = counter(), "etcd_network_client_grpc_sent_bytes_total", "Bytes of gRPC messages sent to clients.";
        stream_failures: StreamFailures = StreamFailures::default(), "etcd_network_server_stream_failures_total", "Streams of clients that broke.";
    }
}

group! {
    /// Leases.
    Lease {
        granted: Counter = counter(), "etcd_debugging_lease_granted_total", "Leases granted.";
        revoked: Counter = counter(), "etcd_debugging_lease_revoked_total", "Leases revoked.";
        renewed: Counter = counter(), "etcd_debugging_lease_renewed_total", "Leases renewed by this member as the leader.";
        ttl: Histogram = Histogram::doubling(Unit::One, 1.0, 24), "etcd_debugging_lease_ttl_total", "Lifetimes of the leases granted, in seconds.";
    }
}

group! {
    /// TLS. Not etcd's, which has no metrics about it: exposed by members that have TLS only.
    Tls {
        handshakes: tls::Handshakes = tls::Handshakes::default(), "quorate_tls_handshakes_total", "TLS handshakes, by endpoint and result.";
        reloads: Counter = counter(), "quorate_tls_reloads_total", "Changed TLS files that were read again.";
        reload_failures: Counter = counter(), "quorate_tls_reload_failures_total", "Changed TLS files that cannot be used; what was in them before is used on.";
        ends: tls::Ends = tls::Ends::default(), "quorate_tls_expiry_days", "Days until what is in a TLS file expires; negative afterwards.";
    }
}

group! {
    /// Backups by the clock. Not etcd's, which makes none: exposed by members that are to make some.
    Backups {
        active: Gauge = gauge(), "quorate_backup_active", "1 while this member makes the backups, else 0.";
        last_full_timestamp: Gauge = gauge(), "quorate_backup_last_full_timestamp_seconds", "Unix time of the state in the last full backup that was verified; 0: none by this member.";
        last_full_age: Gauge = gauge(), "quorate_backup_last_full_age_seconds", "Age of that state; 0 while this member does not make the backups.";
        last_full_size: Gauge = gauge(), "quorate_backup_last_full_size_bytes", "Length of that backup.";
        last_full_revision: Gauge = gauge(), "quorate_backup_last_full_revision", "Revision of that backup.";
        last_success_timestamp: Gauge = gauge(), "quorate_backup_last_success_timestamp_seconds", "Unix time at which everything that was due was last done; 0: never by this member.";
        shipped_revision: Gauge = gauge(), "quorate_backup_shipped_revision", "Newest revision that can be restored, as far as this member has shipped it.";
        fulls: Counter = counter(), "quorate_backup_fulls_total", "Full backups made and verified.";
        pieces: Counter = counter(), "quorate_backup_pieces_total", "Pieces of history shipped and verified.";
        piece_bytes: Counter = counter(), "quorate_backup_piece_bytes_total", "Bytes of these pieces.";
        failures: Counter = counter(), "quorate_backup_failures_total", "Attempts at a backup that failed.";
        cuts: Counter = counter(), "quorate_backup_chain_cuts_total", "Times that compaction took history before it was shipped: revisions between cannot be restored.";
        deleted: Counter = counter(), "quorate_backup_deleted_objects_total", "Objects deleted because they were too old.";
        full_duration: Histogram = seconds(0.1, 16), "quorate_backup_full_duration_seconds", "Time of a full backup, read back.";
    }
}

group! {
    /// Following another cluster. Not etcd's: exposed by members that were started with `--follow-endpoints` only.
    Follow {
        phase: Gauge = gauge(), "quorate_follow_phase", "How far the follow is: 1 loading, 2 following, 3 cutting over, 4 ended, 5 stopped.";
        lag_revisions: Gauge = gauge(), "quorate_follow_lag_revisions", "Revisions of the source that are not here, as far as the leader knows.";
        lag_seconds: Gauge = gauge(), "quorate_follow_lag_seconds", "Seconds since the two were last known to be equal; -1: not known, or not the leader.";
        loads: Gauge = gauge(), "quorate_follow_loads", "Loads of everything since this member leads.";
        fault: Gauge = gauge(), "quorate_follow_fault", "1 while the source cannot be followed, else 0.";
    }
}

group! {
    /// A proxy of calls. As in etcd, members show them, and do nothing that they count.
    Proxy {
        watchers_coalescing: Gauge = gauge(), "etcd_grpc_proxy_watchers_coalescing_total", "Total number of current watchers coalescing";
        events_coalescing: Counter = counter(), "etcd_grpc_proxy_events_coalescing_total", "Total number of events coalescing";
        cache_keys: Gauge = gauge(), "etcd_grpc_proxy_cache_keys_total", "Total number of keys/ranges cached";
        cache_hits: Gauge = gauge(), "etcd_grpc_proxy_cache_hits_total", "Total number of cache hits";
        cache_misses: Gauge = gauge(), "etcd_grpc_proxy_cache_misses_total", "Total number of cache misses";
    }
}

/// All metrics of a member.
#[derive(Debug)]
pub struct Metrics {
    /// Consensus and requests as a whole.
    pub server: Server,
    /// The key space and its watchers.
    pub mvcc: Mvcc,
    /// The disk.
    pub disk: Disk,
    /// The network towards clients.
    pub network: Network,
    /// The network towards peers.
    pub peers: peers::Peers,
    /// Leases.
    pub lease: Lease,
    /// TLS.
    pub tls: Tls,
    /// Backups by the clock; `None`: none are to be made.
    pub backups: std::sync::OnceLock<Backups>,
    /// Following another cluster.
    pub follow: Follow,
    /// The memory that clients can fill.
    pub memory: Memory,
    /// A proxy of calls.
    pub proxy: Proxy,
    /// Every gRPC method.
    pub grpc: Grpc,
    /// What was asked for all this.
    pub scrapes: Scrapes,
    detail: MetricsDetail,
}

impl Metrics {
    /// Returns all metrics at their starts, with those of these gRPC methods. What a member knows of itself (versions, ids,
    /// feature gates) is set when it is known.
    pub fn new(detail: MetricsDetail, methods: Vec<grpc::Row>) -> Metrics {
        let metrics = Metrics {
            server: Server::new(),
            mvcc: Mvcc::new(),
            disk: Disk::new(),
            network: Network::new(),
            peers: peers::Peers::default(),
            lease: Lease::new(),
            tls: Tls::new(),
            backups: std::sync::OnceLock::new(),
            follow: Follow::new(),
            memory: Memory::default(),
            proxy: Proxy::new(),
            grpc: Grpc::new(detail, methods),
            scrapes: Scrapes::default(),
            detail,
        };
        metrics.mvcc.compact_revision.set(-1);
        metrics.mvcc.current_revision.set(1);
        metrics.server.auth_revision.set(1);
        metrics
    }

    /// The metrics of backups, which are exposed from now on.
    pub fn of_backups(&self) -> &Backups {
        self.backups.get_or_init(Backups::new)
    }

    /// Everything as Prometheus text.
    pub fn exposition(&self) -> String {
        let mut out = Exposition::default();
        self.collect(&mut out);
        process::collect(&mut out);
        out.finish()
    }

    /// What there is of a proxy as Prometheus text.
    pub fn exposition_of_proxy(&self) -> String {
        let mut out = Exposition::default();
        self.proxy.collect(&mut out);
        self.network.collect(&mut out);
        self.collect_grpc(&mut out);
        if self.tls.ends.are_known() {
            self.tls.collect(&mut out);
        }
        process::collect(&mut out);
        out.finish()
    }

    /// Everything that does not come from the operating system.
    fn collect(&self, out: &mut Exposition) {
        self.server.collect(out);
        self.mvcc.collect(out);
        self.disk.collect(out);
        self.network.collect(out);
        let local = self.server.id.get().unwrap_or_default();
        self.peers.collect(&local, out);
        self.peers.collect_known(&local, out);
        self.lease.collect(out);
        self.proxy.collect(out);
        self.memory.collect(out);
        self.scrapes.collect(out);
        if self.tls.ends.are_known() {
            self.tls.collect(out);
        }
        if let Some(backups) = self.backups.get() {
            backups.collect(out);
        }
        if self.follow.phase.get() != 0 {
            self.follow.collect(out);
        }
        let last_health = labelled::LastHealth(&self.server.healthchecks);
        out.family(
            "etcd_server_healthcheck",
            "The last result of each check behind /livez and /readyz.",
            &last_health,
        );
        self.collect_grpc(out);
    }

    /// What is counted of gRPC methods.
    fn collect_grpc(&self, out: &mut Exposition) {
        out.family("grpc_server_started_total", "gRPC calls begun.", &grpc::Started(&self.grpc));
        out.family(
            "grpc_server_handled_total",
            "gRPC calls ended, by status code.",
            &grpc::Handled(&self.grpc),
        );
        out.family(
            "grpc_server_msg_received_total",
            "Messages received in gRPC calls.",
            &grpc::Received(&self.grpc),
        );
        out.family("grpc_server_msg_sent_total", "Messages sent in gRPC calls.", &grpc::Sent(&self.grpc));
        if self.detail == MetricsDetail::Extensive {
            out.family(
                "grpc_server_handling_seconds",
                "Time from begin to end of a gRPC call.",
                &grpc::Handling(&self.grpc),
            );
        }
    }
}
