//! A server under measurement: started on free loopback ports with a fresh data directory, watched, killed, restarted.
//!
//! Both sides get the same flags, which are etcd's. Ready means: a linearizable read was answered. That takes a bound
//! port, a recovered store and an elected leader, so neither side can look ready before it is.

use crate::client::{Connection, Keep};
use crate::cores;
use crate::endpoint::{Access, Endpoint, scheme};
use crate::messages::{self, Consistency, Content, path};
use crate::secure::{self, Certificates, Security};
use crate::usage::Usage;
use anyhow::{Context, bail};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take: a recovery of gigabytes fits.
const READY_MAX: Duration = Duration::from_secs(300);

/// Time between two attempts to find a server ready: the precision of the time it took.
const READY_POLL: Duration = Duration::from_millis(2);

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Column title.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
    /// Processes that form it.
    pub(crate) members: usize,
    /// Flags beyond the common ones.
    pub(crate) arguments: Vec<String>,
    /// TLS and users.
    pub(crate) security: Security,
    pub(crate) cores: Vec<usize>,
    /// Where data directories are made; the system's temporary directory when `None`.
    pub(crate) data_root: Option<PathBuf>,
}

impl Program {
    /// Names it after its file, which says more than its role.
    pub(crate) fn label_by_file_name(&mut self) {
        if let Some(name) = self.path.file_name() {
            self.label = name.to_string_lossy().into_owned();
        }
    }
}

/// A running server and its data: one member, or a cluster of several on the same cores.
pub(crate) struct Server {
    program: Program,
    members: Vec<Member>,
    /// `--initial-cluster` of the founding members.
    founders: String,
    /// Flags of TLS.
    security_flags: Vec<String>,
    /// What clients present.
    access: Access,
    directory: TempDir,
}

/// One process of a server.
struct Member {
    name: String,
    client: SocketAddr,
    peer: SocketAddr,
    child: Child,
}

/// How a member comes into its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entrance {
    Founds,
    Joins,
}

impl Server {
    /// Starts the members of `program` on empty data directories and waits until each of them is ready.
    pub(crate) fn start(program: &Program) -> anyhow::Result<Server> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("quorate-bench-");
        let directory = match &program.data_root {
            Some(root) => builder.tempdir_in(root),
            None => builder.tempdir(),
        }
        .context("making a data directory")?;
        let addresses = free_addresses(2 * program.members)?;
        let places: Vec<_> =
            (1..).zip(addresses.chunks_exact(2)).map(|(number, pair)| (format!("m{number}"), pair)).collect();
        let peers = scheme(program.security.peer_tls());
        let founders: Vec<_> =
            places.iter().map(|(name, pair)| format!("{name}={peers}://{}", pair[1])).collect();
        let certificates = Certificates::make(directory.path()).context("making certificates")?;
        let mut server = Server {
            program: program.clone(),
            members: Vec::new(),
            founders: founders.join(","),
            security_flags: certificates.flags(&program.security),
            access: certificates.access(&program.security)?,
            directory,
        };
        for (name, pair) in &places {
            let child = server.spawn(name, pair[0], pair[1], &server.founders, Entrance::Founds)?;
            server.members.push(Member { name: name.clone(), client: pair[0], peer: pair[1], child });
        }
        server.wait_until_ready()?;
        if program.security.users() {
            let first = server.endpoint(0);
            let enable = secure::enable_users(&first, server.access.clone(), &program.security);
            server.access = block_on(enable)??;
        }
        Ok(server)
    }

    /// Where its members serve clients.
    pub(crate) fn addresses(&self) -> Vec<Endpoint> {
        (0..self.members.len()).map(|number| self.endpoint(number)).collect()
    }

    fn endpoint(&self, number: usize) -> Endpoint {
        Endpoint::new(self.members[number].client, self.access.clone())
    }

    /// Its processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.child.id()).collect()
    }

    /// What all of its processes have used.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of_all(&self.processes())
    }

    /// Kills all members as a power cut would (SIGKILL) and starts them again on the same data; the time from the new
    /// processes' start until all were ready.
    pub(crate) fn kill_and_restart(&mut self) -> anyhow::Result<Duration> {
        for number in 0..self.members.len() {
            self.kill(number)?;
        }
        let start = Instant::now();
        for number in 0..self.members.len() {
            self.restart(number)?;
        }
        self.wait_until_ready()?;
        Ok(start.elapsed())
    }

    /// Kills one member (SIGKILL).
    pub(crate) fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let child = &mut self.members[number].child;
        child.kill().context("killing a member")?;
        child.wait().context("waiting for the killed member")?;
        Ok(())
    }

    /// Starts a killed member again on its data; does not wait for it.
    pub(crate) fn restart(&mut self, number: usize) -> anyhow::Result<()> {
        let Member { name, client, peer, .. } = &self.members[number];
        self.members[number].child = self.spawn(name, *client, *peer, &self.founders, Entrance::Founds)?;
        Ok(())
    }

    /// Adds a member to the cluster and starts it on an empty data directory; gives where it will serve clients. Does
    /// not wait until it does.
    pub(crate) async fn join(&mut self) -> anyhow::Result<Endpoint> {
        let addresses = free_addresses(2)?;
        let (client, peer) = (addresses[0], addresses[1]);
        let url = format!("{}://{peer}", scheme(self.program.security.peer_tls()));
        let connection = Connection::open(&self.endpoint(0)).await?;
        connection.client(path::MEMBER_ADD).call(messages::member_add(&url), Keep::Head).await?;
        let name = format!("m{}", self.members.len() + 1);
        let cluster = format!("{},{name}={url}", self.founders);
        let child = self.spawn(&name, client, peer, &cluster, Entrance::Joins)?;
        self.members.push(Member { name, client, peer, child });
        Ok(Endpoint::new(client, self.access.clone()))
    }

    /// The number of the member that leads.
    pub(crate) fn leader(&self) -> anyhow::Result<usize> {
        let start = Instant::now();
        loop {
            for number in 0..self.members.len() {
                let status = block_on(status(&self.endpoint(number)))?;
                if status.is_ok_and(|status| status.leader != 0 && status.leader == status.member) {
                    return Ok(number);
                }
            }
            if start.elapsed() > READY_MAX {
                bail!("no leader after {READY_MAX:?}");
            }
            std::thread::sleep(READY_POLL);
        }
    }

    /// The version it reports.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        version(&self.endpoint(0))
    }

    /// Waits until each member answers a linearizable read.
    pub(crate) fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let path = &self.program.path;
        let endpoints = self.addresses();
        for (member, endpoint) in self.members.iter_mut().zip(&endpoints) {
            let log = log_path(self.directory.path(), &member.name);
            while !is_ready(endpoint)? {
                if let Some(status) = member.child.try_wait()? {
                    bail!("{} ended with {status}:\n{}", path.display(), log_tail(&log));
                }
                if start.elapsed() > READY_MAX {
                    bail!("{} not ready after {READY_MAX:?}:\n{}", path.display(), log_tail(&log));
                }
                std::thread::sleep(READY_POLL);
            }
        }
        Ok(())
    }

    /// Starts a member's process from a thread that is pinned to its cores.
    fn spawn(
        &self,
        name: &str,
        client: SocketAddr,
        peer: SocketAddr,
        cluster: &str,
        entrance: Entrance,
    ) -> anyhow::Result<Child> {
        let program = &self.program;
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_path(self.directory.path(), name))
            .context("making a log file")?;
        let clients = scheme(program.security.tls());
        let peers = scheme(program.security.peer_tls());
        let state = if entrance == Entrance::Founds { "new" } else { "existing" };
        let mut command = Command::new(&program.path);
        command
            .args(["--name", name, "--data-dir"])
            .arg(self.directory.path().join(name))
            .arg(format!("--listen-client-urls={clients}://{client}"))
            .arg(format!("--advertise-client-urls={clients}://{client}"))
            .arg(format!("--listen-peer-urls={peers}://{peer}"))
            .arg(format!("--initial-advertise-peer-urls={peers}://{peer}"))
            .arg(format!("--initial-cluster={cluster}"))
            .arg(format!("--initial-cluster-state={state}"))
            .args(&self.security_flags)
            .args(&program.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let pinned = || {
            cores::pin_thread(&program.cores).context("pinning the server")?;
            command.spawn().with_context(|| format!("starting {}", program.path.display()))
        };
        std::thread::scope(|scope| scope.spawn(pinned).join()).expect("starting a process does not panic")
    }
}

impl Drop for Server {
    /// The data directories go next, so there is nothing to close cleanly for.
    fn drop(&mut self) {
        for member in &mut self.members {
            // Both fail only when the process has ended already.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

/// Loopback addresses that are free now.
fn free_addresses(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    // All bound at once, so that they differ.
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port"))
        .collect::<anyhow::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?)).collect()
}

fn log_path(directory: &Path, member: &str) -> PathBuf {
    directory.join(format!("{member}.log"))
}

/// The last lines that a member logged.
fn log_tail(path: &Path) -> String {
    let log = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// A runtime for a few calls from ordinary code.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, future))
}

/// Whether a linearizable read is answered, within a second.
fn is_ready(endpoint: &Endpoint) -> anyhow::Result<bool> {
    let read = async {
        let Ok(connection) = Connection::open(endpoint).await else { return false };
        let request = messages::range(b"ready?", b"", Consistency::Linearizable, Content::CountOnly);
        connection.client(path::RANGE).call(request, Keep::Head).await.is_ok()
    };
    block_on(async { tokio::time::timeout(Duration::from_secs(1), read).await.unwrap_or(false) })
}

/// The version that the server at `endpoint` reports.
pub(crate) fn version(endpoint: &Endpoint) -> anyhow::Result<String> {
    Ok(block_on(status(endpoint))??.version)
}

/// What the member at `endpoint` says of itself, within a second.
pub(crate) async fn status(endpoint: &Endpoint) -> anyhow::Result<messages::Status> {
    let ask = async {
        let connection = Connection::open(endpoint).await?;
        let reply = connection.client(path::STATUS).call(messages::empty(), Keep::Whole).await?;
        anyhow::Ok(messages::status(&reply.message)?)
    };
    tokio::time::timeout(Duration::from_secs(1), ask).await?
}
