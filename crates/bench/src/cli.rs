//! The command line.

use crate::cores::Placement;
use crate::harness::Plan;
use crate::messages::{Consistency, Content};
use crate::process::Program;
use crate::runner::Source;
use crate::secure::{Secure, Security};
use crate::suite::{self, Options, Preload, Row, Servers, Stage, Suite, Work};
use crate::tickets::{Pace, Span};
use crate::workload::authenticate::Authenticate;
use crate::workload::connect::ConnectJob;
use crate::workload::get::Get;
use crate::workload::put::{Order, Put};
use crate::workload::range::Range;
use crate::workload::txn::Txn;
use crate::workload::watch::{STALL_MAX, WatchJob};
use crate::workload::{KeyShape, Shape, Unary};
use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Measures servers of the etcd v3 API: one alone, or two side by side with ratios.
///
/// The server is pinned to one core and the load to another; rounds are interleaved and medians reported. Latencies
/// of a run with --rate count from when a request was due.
#[derive(Debug, Parser)]
#[command(name = "quorate-bench", version)]
pub(crate) struct Cli {
    /// Server binary to measure: started on free loopback ports with a fresh data directory.
    #[arg(long, value_name = "PATH", global = true)]
    server: Option<PathBuf>,
    /// Flag to pass to it (may be repeated).
    #[arg(long, value_name = "FLAG", global = true, allow_hyphen_values = true)]
    server_arg: Vec<String>,
    /// A second server binary (an etcd), measured in the same run and compared.
    #[arg(long, value_name = "PATH", global = true)]
    peer: Option<PathBuf>,
    /// Flag to pass to it (may be repeated).
    #[arg(long, value_name = "FLAG", global = true, allow_hyphen_values = true)]
    peer_arg: Vec<String>,
    /// What both servers are secured with (may be repeated); certificates and users are made for the run.
    #[arg(long, value_enum, value_name = "WHAT", global = true, conflicts_with = "endpoint")]
    secure: Vec<Secure>,
    /// The same for the peer alone, instead of --secure: for comparing a server with itself.
    #[arg(long, value_enum, value_name = "WHAT", global = true, requires = "peer")]
    peer_secure: Vec<Secure>,
    /// Members of each server: more than one form a cluster, on the same cores; connections are spread over them.
    #[arg(long, default_value_t = 1, global = true, value_parser = positive)]
    members: usize,
    /// Measure a server that is running already, at this address, instead.
    #[arg(long, value_name = "IP:PORT", global = true, conflicts_with_all = ["server", "peer"])]
    endpoint: Option<SocketAddr>,
    /// Process id of that server, to read its use of CPU, memory and disk.
    #[arg(long, global = true, requires = "endpoint")]
    pid: Option<u32>,
    /// Run every row of a suite.
    #[arg(long, value_enum, global = true)]
    suite: Option<Suite>,
    /// Of the suite, only the rows whose name contains this (may be repeated).
    #[arg(long, value_name = "TEXT", global = true)]
    only: Vec<String>,
    /// Write every sample to this file.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// Where data directories are made (default: the system's temporary directory).
    #[arg(long, value_name = "DIR", global = true)]
    data_root: Option<PathBuf>,
    /// Rounds; the report has their medians [default: 3, or the suite's].
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// Seconds of each measurement [default: 5, or the suite's].
    #[arg(long, value_name = "SECONDS", global = true, value_parser = seconds)]
    duration: Option<Duration>,
    /// Operations of each measurement, instead of a duration; without a suite only.
    #[arg(long, value_name = "OPERATIONS", global = true, conflicts_with_all = ["duration", "suite"])]
    count: Option<u64>,
    /// Seconds of load before each measurement.
    #[arg(long, value_name = "SECONDS", default_value = "1", global = true, value_parser = seconds)]
    warm_up: Duration,
    /// Load threads, each with its own runtime and its share of the callers.
    #[arg(long, default_value_t = 1, global = true, value_parser = positive)]
    threads: usize,
    /// Cores for servers, such as 0 or 0,1 [default: the first].
    #[arg(long, value_name = "CORES", value_delimiter = ',', global = true)]
    server_cores: Option<Vec<usize>>,
    /// Cores for the load [default: the last].
    #[arg(long, value_name = "CORES", value_delimiter = ',', global = true)]
    load_cores: Option<Vec<usize>>,
    /// Leave all processes where the system puts them.
    #[arg(long, global = true, conflicts_with_all = ["server_cores", "load_cores"])]
    no_pin: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Sizes and pace of a single workload.
#[derive(Clone, Debug, Args)]
struct ShapeArgs {
    /// HTTP/2 connections.
    #[arg(long, default_value_t = 8, value_parser = positive)]
    connections: usize,
    /// Callers, each with one request in flight.
    #[arg(long, default_value_t = 64, value_parser = positive)]
    clients: usize,
    /// Operations a second that fall due whatever the server does (open loop) [default: closed loop].
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Bytes of a key.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    key_size: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// Different keys; all are put before the first measurement.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    key_space: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Puts.
    Put {
        #[command(flatten)]
        shape: ShapeArgs,
        /// Keys in order instead of random ones.
        #[arg(long)]
        sequential: bool,
    },
    /// Reads of one key.
    Get {
        #[command(flatten)]
        shape: ShapeArgs,
        /// Ask only the answering member, not the quorum.
        #[arg(long)]
        serializable: bool,
    },
    /// Reads of neighbouring keys with their values.
    Range {
        #[command(flatten)]
        shape: ShapeArgs,
        /// Keys in each.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
        keys: u64,
    },
    /// Counts of neighbouring keys.
    Count {
        #[command(flatten)]
        shape: ShapeArgs,
        /// Keys in each.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
        keys: u64,
    },
    /// Compare-and-put transactions.
    Txn {
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Fan-out of events; --clients are the writers, --rate their writes.
    Watch {
        #[command(flatten)]
        shape: ShapeArgs,
        #[arg(long, default_value_t = 100, value_parser = positive)]
        watchers: usize,
        /// Streams that the watchers are on, spread over the connections.
        #[arg(long, default_value_t = 1, value_parser = positive)]
        streams: usize,
        /// Puts in each write: more than one is a transaction, whose events can share a message.
        #[arg(long, default_value_t = 1, value_parser = positive)]
        events_per_write: usize,
    },
    /// Lease keepalives, one lease and stream for each client.
    Lease {
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// New connections, each for one read.
    Connect {
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Logins (with --secure users).
    Authenticate {
        #[command(flatten)]
        shape: ShapeArgs,
    },
    /// Puts before and during a storm of logins (with --secure users).
    Logins {
        #[arg(long, default_value_t = 256)]
        value_size: usize,
    },
    /// Gets and puts before and beside lists of everything, of the past, and in transactions.
    Neighbours {
        #[arg(long, default_value_t = 30_000)]
        keys: u64,
        #[arg(long, default_value_t = 10_000)]
        value_size: usize,
    },
    /// Many watchers of one key each that start at the beginning of a long history.
    Behind {
        #[arg(long, default_value_t = 200_000)]
        revisions: u64,
        #[arg(long, default_value_t = 1_000)]
        watchers: u64,
    },
    /// Keys, revisions, leases, connections, watchers: what each takes of the memory.
    Footprint {
        #[arg(long, default_value_t = 1_000_000)]
        keys: u64,
        #[arg(long, default_value_t = 256)]
        value_size: usize,
    },
    /// Many keys: load, memory, count, ready time after kill -9.
    Bulk {
        #[arg(long, default_value_t = 1_000_000)]
        keys: u64,
        #[arg(long, default_value_t = 1024)]
        value_size: usize,
    },
    /// A long history: puts beside a watcher far behind, and beside a compaction.
    History {
        #[arg(long, default_value_t = 1_000_000)]
        revisions: u64,
        /// How far behind the watcher starts.
        #[arg(long, default_value_t = 500_000)]
        behind: u64,
    },
    /// A cluster (--members 3) whose leader is killed: time to the first write.
    Failover {
        #[arg(long, default_value_t = 30, value_parser = positive)]
        kills: usize,
    },
    /// A cluster (--members 3) that a new member joins: what puts feel of it.
    Join {
        #[arg(long, default_value_t = 1_000_000)]
        keys: u64,
        #[arg(long, default_value_t = 1024)]
        value_size: usize,
    },
    /// What the generator can do: puts to a server in this process that only echoes.
    Echo {
        #[command(flatten)]
        shape: ShapeArgs,
    },
}

/// What to do, from the command line.
pub(crate) enum Task {
    Measure { source: Source, stages: Vec<Stage> },
    Echo { shape: Shape, plan: Plan },
}

impl Cli {
    pub(crate) fn placement(&self) -> anyhow::Result<Placement> {
        if self.no_pin {
            return Ok(Placement::default());
        }
        let default = Placement::of_this_machine()?;
        Ok(Placement {
            server: self.server_cores.clone().unwrap_or(default.server),
            load: self.load_cores.clone().unwrap_or(default.load),
        })
    }

    pub(crate) fn task(&self, placement: &Placement) -> anyhow::Result<Task> {
        if let Some(Command::Echo { shape }) = &self.command {
            return Ok(Task::Echo { shape: shape.shape(), plan: self.plan() });
        }
        let mut stages = match (&self.suite, &self.command) {
            (Some(suite), None) => {
                suite.stages(Options { rounds: self.rounds, duration: self.duration, threads: self.threads })
            }
            (None, Some(command)) => vec![self.stage(command)],
            (Some(_), Some(_)) => bail!("give either --suite or a workload"),
            (None, None) => bail!("give a workload or --suite; --help lists them"),
        };
        if !self.only.is_empty() {
            let wanted = |row: &Row| self.only.iter().any(|text| row.name.contains(text.as_str()));
            stages.iter_mut().for_each(|stage| stage.rows.retain(wanted));
            stages.retain(|stage| !stage.rows.is_empty());
        }
        Ok(Task::Measure { source: self.source(placement)?, stages })
    }

    fn source(&self, placement: &Placement) -> anyhow::Result<Source> {
        if let Some(address) = self.endpoint {
            return Ok(Source::Running { address: address.into(), process: self.pid });
        }
        let program = |label: &str, path: &PathBuf, arguments: &[String], secure: &[Secure]| Program {
            label: label.to_owned(),
            path: path.clone(),
            members: self.members,
            arguments: arguments.to_vec(),
            security: Security(secure.to_vec()),
            cores: placement.server.clone(),
            data_root: self.data_root.clone(),
        };
        let mut programs = Vec::new();
        programs
            .extend(self.server.as_ref().map(|path| program("server", path, &self.server_arg, &self.secure)));
        let peer_secure = if self.peer_secure.is_empty() { &self.secure } else { &self.peer_secure };
        programs.extend(self.peer.as_ref().map(|path| program("peer", path, &self.peer_arg, peer_secure)));
        if programs.is_empty() {
            bail!("give --server PATH or --endpoint IP:PORT");
        }
        let name = |program: &Program| program.path.file_name().map(|name| name.to_owned());
        // Two files of one name keep their roles as labels.
        if programs.len() == 1 || name(&programs[0]) != name(&programs[1]) {
            programs.iter_mut().for_each(Program::label_by_file_name);
        }
        Ok(Source::Programs(programs))
    }

    fn plan(&self) -> Plan {
        let time = Span::Time(self.duration.unwrap_or(Duration::from_secs(5)));
        Plan { warm_up: self.warm_up, span: self.count.map_or(time, Span::Operations), threads: self.threads }
    }

    fn stage(&self, command: &Command) -> Stage {
        let duration = self.duration.unwrap_or(Duration::from_secs(5));
        let (servers, row) = match command {
            Command::Bulk { keys, value_size } => {
                (Servers::New, suite::bulk_row(*keys, *value_size, duration))
            }
            Command::History { revisions, behind } => {
                (Servers::New, suite::history_row(*revisions, *behind, duration))
            }
            Command::Logins { value_size } => (Servers::New, suite::logins_row(*value_size, duration)),
            Command::Neighbours { keys, value_size } => {
                (Servers::New, suite::neighbours_row(*keys, *value_size, duration))
            }
            Command::Behind { revisions, watchers } => {
                (Servers::New, suite::behind_row(*revisions, *watchers))
            }
            Command::Footprint { keys, value_size } => {
                (Servers::New, suite::footprint_row(*keys, *value_size))
            }
            Command::Failover { kills } => (Servers::New, suite::failover_row(*kills)),
            Command::Join { keys, value_size } => {
                (Servers::New, suite::join_row(*keys, *value_size, duration))
            }
            _ => command.workload(),
        };
        Stage { servers, plan: self.plan(), rounds: self.rounds.unwrap_or(3), rows: vec![row] }
    }
}

impl Command {
    /// A single workload as a row.
    fn workload(&self) -> (Servers, Row) {
        let kept =
            |shape: &Shape| Servers::Kept(Preload { keys: shape.keys, value_bytes: shape.value_bytes });
        let unary = |name: &str, args: &ShapeArgs, workload: Box<dyn Unary>| {
            let shape = args.shape();
            (kept(&shape), Row::plain(name, shape.describe(), Work::Unary(shape, workload)))
        };
        match self {
            Command::Put { shape, sequential } => {
                let order = if *sequential { Order::sequential() } else { Order::Random };
                unary("put", shape, Box::new(Put { order }))
            }
            Command::Get { shape, serializable: false } => {
                unary("get", shape, Box::new(Get { consistency: Consistency::Linearizable }))
            }
            Command::Get { shape, serializable: true } => {
                unary("sget", shape, Box::new(Get { consistency: Consistency::Serializable }))
            }
            Command::Range { shape, keys } => {
                unary("range", shape, Box::new(Range { length: *keys, content: Content::KeysAndValues }))
            }
            Command::Count { shape, keys } => {
                unary("count", shape, Box::new(Range { length: *keys, content: Content::CountOnly }))
            }
            Command::Txn { shape } => unary("txn", shape, Box::new(Txn)),
            Command::Authenticate { shape } => unary("authenticate", shape, Box::new(Authenticate)),
            Command::Connect { shape } => {
                let shape = shape.shape();
                let job = ConnectJob { clients: shape.clients, pace: shape.pace };
                (kept(&shape), suite::connect_row(job))
            }
            Command::Watch { shape, watchers, streams, events_per_write } => {
                let shape = shape.shape();
                let job = WatchJob {
                    shape,
                    watchers: *watchers,
                    streams: *streams,
                    events_per_write: *events_per_write,
                    stall_max: STALL_MAX,
                };
                (kept(&shape), Row::plain("watch", job.describe(), Work::Watch(job)))
            }
            Command::Lease { shape } => {
                let shape = shape.shape();
                (kept(&shape), Row::plain("lease", shape.describe(), Work::Lease(shape)))
            }
            Command::Bulk { .. }
            | Command::History { .. }
            | Command::Failover { .. }
            | Command::Join { .. }
            | Command::Logins { .. }
            | Command::Neighbours { .. }
            | Command::Behind { .. }
            | Command::Footprint { .. }
            | Command::Echo { .. } => unreachable!("not a single workload"),
        }
    }
}

impl ShapeArgs {
    fn shape(&self) -> Shape {
        Shape {
            connections: self.connections,
            clients: self.clients,
            pace: self.rate.map_or(Pace::Closed, |per_second| Pace::Open { per_second }),
            keys: KeyShape { bytes: self.key_size, space: self.key_space },
            value_bytes: self.value_size,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("must be a number above 0".into()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("must be a whole number above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn task(arguments: &[&str]) -> anyhow::Result<Task> {
        let program = ["quorate-bench"];
        let cli = Cli::try_parse_from(program.iter().chain(arguments)).map_err(anyhow::Error::from)?;
        cli.task(&Placement::default())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_or_after_the_workload() {
        for arguments in [
            &["--server", "a", "--peer", "b", "put", "--clients", "3", "--rounds", "2"][..],
            &["put", "--clients", "3", "--server", "a", "--peer", "b", "--rounds", "2"][..],
        ] {
            let Ok(Task::Measure { source: Source::Programs(programs), stages }) = task(arguments) else {
                panic!("{arguments:?}")
            };
            assert_eq!((programs.len(), stages[0].rounds), (2, 2));
            assert_eq!((programs[0].label.as_str(), programs[1].label.as_str()), ("a", "b"));
        }
    }

    #[test]
    fn a_suite_can_be_cut_down_to_rows() {
        let arguments = ["--server", "a", "--suite", "issue", "--only", "history", "--only", "watch-shared"];
        let Ok(Task::Measure { stages, .. }) = task(&arguments) else { panic!() };
        let names: Vec<_> =
            stages.iter().flat_map(|stage| &stage.rows).map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["watch-shared", "history"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for arguments in [
            &["--server", "a"][..],
            &["put"],
            &["--suite", "quick", "--server", "a", "put"],
            &["put", "--server", "a", "--rate", "0"],
            &["put", "--server", "a", "--clients", "0"],
            &["put", "--endpoint", "127.0.0.1:1", "--peer", "b"],
        ] {
            assert!(task(arguments).is_err(), "{arguments:?}");
        }
    }
}
