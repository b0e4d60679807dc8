//! The named suites: which rows are measured, on what data, and what they are meant to reach.
//!
//! A [`Stage`] is a group of rows that share their servers and data; a scenario is a stage of its own with new servers
//! for each round. The targets of the suite `issue` are those that the project set itself: server CPU for a
//! request, throughput and p99 as ratios to etcd in the same run.

use crate::figures::{
    BEHIND, CATCH_UP_P99, COMPACTION_P99, COMPACTION_RATE, COUNT_CPU, CPU, FAILOVER, JOIN_P99, LIST_PUT_P99,
    LOGINS_P99, P99, PAST_PUT_P99, RATE, READY, RESIDENT, TXN_LISTS_PUT_P99,
};
use crate::harness::Plan;
use crate::messages::{Consistency, Content};
use crate::report::{Bound, Target};
use crate::scenario::behind::Behind;
use crate::scenario::bulk::Bulk;
use crate::scenario::failover::Failover;
use crate::scenario::footprint::Footprint;
use crate::scenario::history::History;
use crate::scenario::join::Join;
use crate::scenario::logins::Logins;
use crate::scenario::neighbours::Neighbours;
use crate::tickets::{Pace, Span};
use crate::workload::connect::ConnectJob;
use crate::workload::get::Get;
use crate::workload::put::{Order, Put};
use crate::workload::range::Range;
use crate::workload::txn::Txn;
use crate::workload::watch::{STALL_MAX, WatchJob};
use crate::workload::{KeyShape, Shape, Unary};
use clap::ValueEnum;
use std::time::Duration;

/// What a row does.
pub(crate) enum Work {
    Unary(Shape, Box<dyn Unary>),
    Watch(WatchJob),
    Lease(Shape),
    Bulk(Bulk),
    History(History),
    Connect(ConnectJob),
    Failover(Failover),
    Join(Join),
    Logins(Logins),
    Neighbours(Neighbours),
    Behind(Behind),
    Footprint(Footprint),
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) work: Work,
    pub(crate) targets: Vec<Target>,
}

/// Data that is there before the rows are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preload {
    pub(crate) keys: KeyShape,
    pub(crate) value_bytes: usize,
}

/// How servers are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// One of each for all rows and rounds.
    Kept(Preload),
    /// New ones, without data, for each row and round.
    New,
}

pub(crate) struct Stage {
    pub(crate) servers: Servers,
    pub(crate) plan: Plan,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Every workload, briefly: does it work, roughly how fast (a few minutes).
    Quick,
    /// The workloads and scenarios that the project's targets are about.
    Issue,
    /// What the project's targets say of clusters; meant for `--members 3`.
    Cluster,
    /// Also other sizes, other numbers of clients, fixed rates.
    Full,
}

/// What the command line may change of a suite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) rounds: Option<usize>,
    pub(crate) duration: Option<Duration>,
    pub(crate) threads: usize,
}

/// The shape of most rows: 64 clients on 8 connections, keys of 16 B, values of 256 B.
const USUAL: Shape = Shape {
    connections: 8,
    clients: 64,
    pace: Pace::Closed,
    keys: KeyShape { bytes: 16, space: 100_000 },
    value_bytes: 256,
};

impl Suite {
    pub(crate) fn stages(self, options: Options) -> Vec<Stage> {
        let (rounds, duration) = match self {
            Suite::Quick => (1, Duration::from_secs(2)),
            Suite::Issue | Suite::Cluster | Suite::Full => (3, Duration::from_secs(5)),
        };
        let rounds = options.rounds.unwrap_or(rounds);
        let duration = options.duration.unwrap_or(duration);
        let stage = |servers, rows| Stage {
            servers,
            plan: Plan { warm_up: duration / 4, span: Span::Time(duration), threads: options.threads },
            rounds,
            rows,
        };
        let kept = Servers::Kept(Preload { keys: USUAL.keys, value_bytes: USUAL.value_bytes });
        if self == Suite::Cluster {
            return vec![
                stage(kept, cluster_rows()),
                stage(Servers::New, vec![failover_row(30)]),
                stage(Servers::New, vec![join_row(1_000_000, 1024, duration)]),
            ];
        }
        let mut rows = usual_rows();
        if self == Suite::Full {
            rows.extend(other_shapes());
        }
        let mut stages = vec![stage(kept, rows)];
        if self != Suite::Quick {
            stages.push(stage(Servers::New, vec![bulk_row(1_000_000, 1024, duration)]));
            stages.push(stage(Servers::New, vec![history_row(1_000_000, 500_000, duration)]));
        }
        stages
    }
}

impl Row {
    /// A row without targets.
    pub(crate) fn plain(name: &str, title: String, work: Work) -> Row {
        row(name, title, work, &[])
    }
}

fn row(name: &str, title: String, work: Work, targets: &[(&'static str, Bound)]) -> Row {
    let targets = targets.iter().map(|&(figure, bound)| Target { figure, bound }).collect();
    Row { name: name.to_owned(), title, work, targets }
}

/// A unary row; the targets are the most server CPU, and throughput and p99 against the peer.
fn unary(name: &str, what: &str, workload: impl Unary + 'static, cpu_max: Option<f64>) -> Row {
    let mut targets = vec![(RATE, Bound::RatioAtLeast(2.5)), (P99, Bound::RatioAtMost(0.5))];
    targets.extend(cpu_max.map(|most| (CPU, Bound::AtMost(most))));
    let title = format!("{what}, {}", USUAL.describe());
    row(name, title, Work::Unary(USUAL, Box::new(workload)), &targets)
}

/// The rows of every suite.
fn usual_rows() -> Vec<Row> {
    let put = || Put { order: Order::Random };
    let get = |consistency| Get { consistency };
    let range = |length, content| Range { length, content };
    let one = Shape { connections: 1, clients: 1, ..USUAL };
    let watch = WatchJob {
        shape: Shape { clients: 8, pace: Pace::Open { per_second: 500.0 }, ..USUAL },
        watchers: 100,
        streams: 100,
        events_per_write: 1,
        stall_max: STALL_MAX,
    };
    let shared = WatchJob {
        shape: Shape { clients: 8, pace: Pace::Open { per_second: 200.0 }, ..USUAL },
        events_per_write: 10,
        ..watch
    };
    let one_stream = WatchJob { streams: 1, shape: Shape { connections: 1, ..watch.shape }, ..watch };
    vec![
        unary("put", "random keys", put(), Some(1.8)),
        row(
            "put-1",
            format!("random keys, {}", one.describe()),
            Work::Unary(one, Box::new(put())),
            &[(RATE, Bound::RatioAtLeast(1.0))],
        ),
        unary("get", "linearizable", get(Consistency::Linearizable), Some(1.1)),
        unary("sget", "serializable", get(Consistency::Serializable), Some(1.1)),
        unary("txn", "compare mod revision and put", Txn, Some(2.0)),
        unary("range-1000", "1,000 keys with values", range(1_000, Content::KeysAndValues), Some(55.0)),
        unary("count-10000", "count of 10,000 keys", range(10_000, Content::CountOnly), None),
        watch_row("watch", watch, &[(CPU, Bound::AtMost(0.32)), (P99, Bound::RatioAtMost(0.5))]),
        watch_row("watch-1-stream", one_stream, &[(CPU, Bound::AtMost(0.32))]),
        watch_row("watch-shared", shared, &[(CPU, Bound::AtMost(0.1))]),
        row("lease", format!("keepalive, {}", USUAL.describe()), Work::Lease(USUAL), &[]),
        fixed_rate("put-4000", "random keys", 4_000.0, put()),
        // What the writes of `watch` cost without watchers.
        fixed_rate("put-500", "random keys", 500.0, put()),
    ]
}

/// The rows of a cluster: three members share a core, so a request costs all of them.
fn cluster_rows() -> Vec<Row> {
    let put = || Put { order: Order::Random };
    let linearizable = Get { consistency: Consistency::Linearizable };
    let many = |clients| Shape { clients, connections: 100, ..USUAL };
    let cluster = |name: &str, shape: Shape, workload: Box<dyn Unary>, cpu_max: Option<f64>| {
        let mut targets = vec![(P99, Bound::RatioAtMost(0.5))];
        targets.extend(cpu_max.map(|most| (CPU, Bound::AtMost(most))));
        row(name, shape.describe(), Work::Unary(shape, workload), &targets)
    };
    vec![
        cluster("put", USUAL, Box::new(put()), Some(5.0)),
        cluster("put-1000", many(1_000), Box::new(put()), Some(3.5)),
        cluster("put-4000", many(4_000), Box::new(put()), None),
        cluster("get", USUAL, Box::new(linearizable), Some(1.6)),
        cluster("sget", USUAL, Box::new(Get { consistency: Consistency::Serializable }), None),
        cluster("txn", USUAL, Box::new(Txn), Some(5.5)),
    ]
}

/// The scenario of a dead leader. The limit is one and a half of the usual election timeout of 1 s.
pub(crate) fn failover_row(kills: usize) -> Row {
    row(
        "failover",
        format!("the leader is killed {kills} times: time to the first write"),
        Work::Failover(Failover { kills }),
        &[(FAILOVER, Bound::AtMost(1.5))],
    )
}

/// The scenario of a new member.
pub(crate) fn join_row(keys: u64, value_bytes: usize, before: Duration) -> Row {
    let puts_per_second = 500.0;
    row(
        "join",
        format!(
            "a member joins {keys} keys of 16 B, values of {value_bytes} B; {puts_per_second} puts/s to the leader"
        ),
        Work::Join(Join { keys: KeyShape { bytes: 16, space: keys }, value_bytes, puts_per_second, before }),
        &[(JOIN_P99, Bound::AtMost(1.3))],
    )
}

/// New connections. The target is the server's CPU for one, as a share of the peer's.
pub(crate) fn connect_row(job: ConnectJob) -> Row {
    let title = format!("{} clients, each a new connection and one read of a key at a time", job.clients);
    row("connect", title, Work::Connect(job), &[(CPU, Bound::RatioAtMost(0.5))])
}

/// The scenario of a storm of logins, on servers that check users.
pub(crate) fn logins_row(value_bytes: usize, span: Duration) -> Row {
    let puts_per_second = 500.0;
    row(
        "logins",
        format!("{puts_per_second} puts/s before and during a storm of logins"),
        Work::Logins(Logins { keys: USUAL.keys, value_bytes, puts_per_second, span }),
        &[(LOGINS_P99, Bound::AtMost(1.1))],
    )
}

/// The scenario of many watchers that are behind.
pub(crate) fn behind_row(revisions: u64, watchers: u64) -> Row {
    let (keys, value_bytes) = (KeyShape { bytes: 16, space: 10_000 }, 256);
    row(
        "behind",
        format!(
            "{watchers} watchers of one key start {revisions} revisions back, {} keys, values of {value_bytes} B",
            keys.space
        ),
        Work::Behind(Behind { revisions, watchers, keys, value_bytes }),
        &[(BEHIND, Bound::AtMost(5.0))],
    )
}

/// The scenario of what each thing takes of the memory.
pub(crate) fn footprint_row(keys: u64, value_bytes: usize) -> Row {
    // As long as Kubernetes' keys are.
    let keys = KeyShape { bytes: 50, space: keys };
    let footprint = Footprint { keys, value_bytes, leases: 100_000, connections: 1_000, watchers: 20_000 };
    Row::plain(
        "footprint",
        format!("{} keys of 50 B with {value_bytes} B, twice; leases, connections, watchers", keys.space),
        Work::Footprint(footprint),
    )
}

/// The scenario of a client that asks for everything.
pub(crate) fn neighbours_row(keys: u64, value_bytes: usize, span: Duration) -> Row {
    let (gets_per_second, puts_per_second) = (500.0, 100.0);
    let keys_of = KeyShape { bytes: 16, space: keys };
    row(
        "neighbours",
        format!(
            "{gets_per_second} gets/s and {puts_per_second} puts/s before and beside lists of {keys} keys of 16 B, values of {value_bytes} B"
        ),
        Work::Neighbours(Neighbours { keys: keys_of, value_bytes, gets_per_second, puts_per_second, span }),
        &[
            (LIST_PUT_P99, Bound::AtMost(2.0)),
            (PAST_PUT_P99, Bound::AtMost(2.0)),
            (TXN_LISTS_PUT_P99, Bound::AtMost(2.0)),
        ],
    )
}

fn watch_row(name: &str, job: WatchJob, targets: &[(&'static str, Bound)]) -> Row {
    row(name, job.describe(), Work::Watch(job), targets)
}

fn fixed_rate(name: &str, what: &str, per_second: f64, workload: impl Unary + 'static) -> Row {
    let shape = Shape { pace: Pace::Open { per_second }, ..USUAL };
    let title = format!("{what}, {}", shape.describe());
    row(name, title, Work::Unary(shape, Box::new(workload)), &[(P99, Bound::RatioAtMost(0.5))])
}

/// Other clients, sizes, rates.
fn other_shapes() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name: String, shape: Shape, workload: Box<dyn Unary>| {
        rows.push(row(&name, shape.describe(), Work::Unary(shape, workload), &[]));
    };
    for clients in [1, 8, 256, 1000] {
        let shape = Shape { clients, connections: clients.min(100), ..USUAL };
        add(format!("put-{clients}-clients"), shape, Box::new(Put { order: Order::Random }));
        let get = Get { consistency: Consistency::Linearizable };
        add(format!("get-{clients}-clients"), shape, Box::new(get));
    }
    // Values of this size go to keys of their own, so that the rows that read find what they expect.
    for value_bytes in [16, 4 << 10, 64 << 10] {
        let shape = Shape { value_bytes, keys: KeyShape { bytes: 24, space: 1_000 }, ..USUAL };
        add(format!("put-{value_bytes}-bytes"), shape, Box::new(Put { order: Order::Random }));
    }
    add("put-sequential".into(), USUAL, Box::new(Put { order: Order::sequential() }));
    rows.push(fixed_rate(
        "get-4000",
        "linearizable",
        4_000.0,
        Get { consistency: Consistency::Linearizable },
    ));
    let saturated = WatchJob {
        shape: Shape { clients: 8, ..USUAL },
        watchers: 100,
        streams: 100,
        events_per_write: 1,
        stall_max: STALL_MAX,
    };
    rows.push(watch_row("watch-saturated", saturated, &[]));
    rows
}

/// The scenario of many keys.
pub(crate) fn bulk_row(keys: u64, value_bytes: usize, count_for: Duration) -> Row {
    row(
        "bulk",
        format!("{keys} keys of 16 B, values of {value_bytes} B: load, memory, count, restart after kill -9"),
        Work::Bulk(Bulk { keys, key_bytes: 16, value_bytes, count_for }),
        &[
            (RESIDENT, Bound::RatioAtMost(0.5)),
            (READY, Bound::RatioAtMost(0.25)),
            (COUNT_CPU, Bound::AtMost(2.0)),
        ],
    )
}

/// The scenario of a long history.
pub(crate) fn history_row(revisions: u64, behind: u64, before: Duration) -> Row {
    let keys = KeyShape { bytes: 16, space: 10_000 };
    row(
        "history",
        format!(
            "{revisions} revisions of 10,000 keys, 256 B: a watcher {behind} behind (puts at 4,000/s), compaction \
             of all (puts by 64 clients)"
        ),
        Work::History(History {
            revisions,
            behind,
            keys,
            value_bytes: 256,
            puts_per_second: 4_000.0,
            before,
        }),
        &[
            (CATCH_UP_P99, Bound::AtMost(1.1)),
            (COMPACTION_RATE, Bound::AtLeast(0.95)),
            (COMPACTION_P99, Bound::AtMost(1.5)),
        ],
    )
}

impl Shape {
    /// In words, for a title.
    pub(crate) fn describe(&self) -> String {
        let pace = match self.pace {
            Pace::Closed => "closed loop".to_owned(),
            Pace::Open { per_second } => format!("{per_second} a second"),
        };
        let Shape { clients, connections, value_bytes, keys, .. } = self;
        format!(
            "{clients} clients on {connections} connections, {pace}, {} keys of {} B, values of {value_bytes} B",
            keys.space, keys.bytes
        )
    }
}

impl WatchJob {
    /// In words, for a title. What is counted are events.
    pub(crate) fn describe(&self) -> String {
        let WatchJob { shape, watchers, streams, events_per_write, .. } = self;
        let Shape { clients, connections, value_bytes, .. } = shape;
        let pace = match shape.pace {
            Pace::Closed => "writes in closed loop".to_owned(),
            Pace::Open { per_second } => format!("{per_second} writes a second"),
        };
        format!(
            "events of {value_bytes} B to {watchers} watchers on {streams} streams and {connections} connections; \
             {pace} by {clients} clients, {events_per_write} events each"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let options = Options { rounds: None, duration: None, threads: 1 };
        for suite in [Suite::Quick, Suite::Issue, Suite::Cluster, Suite::Full] {
            let stages = suite.stages(options);
            let mut names: Vec<_> =
                stages.iter().flat_map(|stage| &stage.rows).map(|row| &row.name).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{suite:?}");
        }
    }
}
