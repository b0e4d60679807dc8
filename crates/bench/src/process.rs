//! A server under measurement: started on free loopback ports with a fresh data directory, watched, killed, restarted.
//!
//! Both sides get the same flags, which are etcd's. Ready means: a linearizable read was answered. That takes a bound
//! port, a recovered store and an elected leader, so neither side can look ready before it is.

use crate::client::{Connection, Keep};
use crate::cores;
use crate::messages::{self, Consistency, Content, path};
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
    /// Flags beyond the common ones.
    pub(crate) arguments: Vec<String>,
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

/// A running server and its data.
pub(crate) struct Server {
    program: Program,
    child: Child,
    client_address: SocketAddr,
    peer_address: SocketAddr,
    directory: TempDir,
}

impl Server {
    /// Starts `program` on an empty data directory and waits until it is ready.
    pub(crate) fn start(program: &Program) -> anyhow::Result<Server> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("quorate-bench-");
        let directory = match &program.data_root {
            Some(root) => builder.tempdir_in(root),
            None => builder.tempdir(),
        }
        .context("making a data directory")?;
        let [client_address, peer_address] = free_addresses()?;
        let child = spawn(program, client_address, peer_address, directory.path())?;
        let program = program.clone();
        let mut server = Server { program, child, client_address, peer_address, directory };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it serves clients.
    pub(crate) fn address(&self) -> SocketAddr {
        self.client_address
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process())
    }

    /// Kills it as a power cut would (SIGKILL) and starts it again on the same data; the time from the new process's
    /// start until it was ready.
    pub(crate) fn kill_and_restart(&mut self) -> anyhow::Result<Duration> {
        self.child.kill().context("killing the server")?;
        self.child.wait().context("waiting for the killed server")?;
        let start = Instant::now();
        self.child = spawn(&self.program, self.client_address, self.peer_address, self.directory.path())?;
        self.wait_until_ready()?;
        Ok(start.elapsed())
    }

    /// The version it reports.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        version(self.client_address)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.program.path.display(), self.log_tail());
            }
            if is_ready(self.client_address)? {
                return Ok(());
            }
            if start.elapsed() > READY_MAX {
                bail!("{} not ready after {READY_MAX:?}:\n{}", self.program.path.display(), self.log_tail());
            }
            std::thread::sleep(READY_POLL);
        }
    }

    /// The last lines that the server logged.
    fn log_tail(&self) -> String {
        let log = std::fs::read(log_path(self.directory.path())).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Server {
    /// The data directory goes next, so there is nothing to close cleanly for.
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two loopback addresses that are free now.
fn free_addresses() -> anyhow::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port");
    let (one, two) = (listen()?, listen()?); // both bound at once, so that they differ
    Ok([one.local_addr()?, two.local_addr()?])
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

/// Starts the process from a thread that is pinned to its cores.
fn spawn(program: &Program, client: SocketAddr, peer: SocketAddr, directory: &Path) -> anyhow::Result<Child> {
    let log =
        File::options().create(true).append(true).open(log_path(directory)).context("making a log file")?;
    let mut command = Command::new(&program.path);
    command
        .args(["--name", "bench", "--data-dir"])
        .arg(directory.join("data"))
        .arg(format!("--listen-client-urls=http://{client}"))
        .arg(format!("--advertise-client-urls=http://{client}"))
        .arg(format!("--listen-peer-urls=http://{peer}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peer}"))
        .arg(format!("--initial-cluster=bench=http://{peer}"))
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

/// A runtime for a few calls from ordinary code.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, future))
}

/// Whether a linearizable read is answered, within a second.
fn is_ready(address: SocketAddr) -> anyhow::Result<bool> {
    let read = async {
        let Ok(connection) = Connection::open(address).await else { return false };
        let request = messages::range(b"ready?", b"", Consistency::Linearizable, Content::CountOnly);
        connection.client(path::RANGE).call(request, Keep::Head).await.is_ok()
    };
    block_on(async { tokio::time::timeout(Duration::from_secs(1), read).await.unwrap_or(false) })
}

/// The version that the server at `address` reports.
pub(crate) fn version(address: SocketAddr) -> anyhow::Result<String> {
    block_on(async {
        let connection = Connection::open(address).await?;
        let reply = connection.client(path::STATUS).call(messages::empty(), Keep::Whole).await?;
        Ok(messages::version(&reply.message)?)
    })?
}
