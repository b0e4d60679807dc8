//! One server process: started on free loopback ports with a data directory of its own, polled until it serves,
//! stopped in every way a server can be stopped.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use crate::ports::free_port;
use crate::{Program, http, wait};

/// Whatever else runs on the machine may take a port between our looking for a free one and the server's binding it; then
/// we look again.
const PORT_ATTEMPTS: usize = 5;

/// Asked until it is answered well: a member serves whatever alarms are raised.
const HEALTH: &str = "/health?exclude=NOSPACE&exclude=CORRUPT";

/// The last lines of a log that a failure shows.
const LOG_TAIL_LINES: usize = 25;

/// How a member is told who founds its cluster.
#[derive(Debug)]
enum Founders {
    /// It is alone.
    Alone,
    /// `--initial-cluster`.
    Listed(String),
    /// `--discovery-srv`.
    Domain(String),
    /// `--discovery-endpoints`, and `--discovery-token`.
    Service { endpoints: String, token: String },
}

/// A server process and what belongs to it. Dropping it kills the process and removes the directory.
#[derive(Debug)]
pub struct Server {
    program: Program,
    name: String,
    founders: Founders,
    extra: Vec<String>,
    environment: Vec<(String, String)>,
    client_port: u16,
    peer_port: u16,
    directory: TempDir,
    data: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts `program` with etcd's flags for a single member, plus `extra`, and waits until it serves.
    ///
    /// # Panics
    /// When it does not come up; the message ends with the tail of its log.
    pub fn start(program: &Program, extra: &[&str]) -> Server {
        let directory =
            tempfile::Builder::new().prefix("quorate-test-").tempdir().expect("a temporary directory");
        let data = directory.path().join("data");
        Server::start_in(program, extra, directory, data)
    }

    /// As [`Server::start`], with the data directory at `data` (a mount of its own, say).
    pub fn start_at(program: &Program, extra: &[&str], data: &Path) -> Server {
        let directory =
            tempfile::Builder::new().prefix("quorate-test-").tempdir().expect("a temporary directory");
        Server::start_in(program, extra, directory, data.to_owned())
    }

    fn start_in(program: &Program, extra: &[&str], directory: TempDir, data: PathBuf) -> Server {
        let mut server = Server::prepare_in(program, "default", extra, directory, data);
        for _ in 0..PORT_ATTEMPTS {
            match server.try_start() {
                Ok(()) => return server,
                Err(why)
                    if why.contains("address already in use") || why.contains("Address already in use") =>
                {
                    (server.client_port, server.peer_port) = (free_port(), free_port());
                }
                Err(why) => panic!("{why}"),
            }
        }
        panic!("no free port in {PORT_ATTEMPTS} attempts");
    }

    /// A member of a cluster, not started: its ports are known, and [`Server::set_cluster`] tells it of the others.
    pub fn prepare(program: &Program, name: &str, extra: &[&str]) -> Server {
        let directory =
            tempfile::Builder::new().prefix("quorate-test-").tempdir().expect("a temporary directory");
        let data = directory.path().join("data");
        Server::prepare_in(program, name, extra, directory, data)
    }

    fn prepare_in(
        program: &Program,
        name: &str,
        extra: &[&str],
        directory: TempDir,
        data: PathBuf,
    ) -> Server {
        Server {
            program: program.clone(),
            name: name.to_owned(),
            founders: Founders::Alone,
            extra: extra.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: Vec::new(),
            client_port: free_port(),
            peer_port: free_port(),
            directory,
            data,
            child: None,
        }
    }

    /// Sets `--initial-cluster`; the next start uses it.
    pub fn set_cluster(&mut self, initial_cluster: &str) {
        self.founders = Founders::Listed(initial_cluster.to_owned());
    }

    /// Sets `--discovery-srv` in place of `--initial-cluster`; the next start uses it.
    pub fn set_discovery(&mut self, domain: &str) {
        self.founders = Founders::Domain(domain.to_owned());
    }

    /// Sets `--discovery-endpoints` and `--discovery-token` in place of `--initial-cluster`; the next start uses them.
    pub fn set_discovery_service(&mut self, endpoints: &str, token: &str) {
        self.founders = Founders::Service { endpoints: endpoints.to_owned(), token: token.to_owned() };
    }

    /// Its part of `--initial-cluster`: `name=http://host:port`.
    pub fn peer_entry(&self) -> String {
        format!("{}=http://{}", self.name, self.peer_address())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts the process again: same ports, same data directory, same flags.
    ///
    /// # Panics
    /// When it still runs, or does not come up.
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|why| panic!("{why}"));
    }

    /// As [`Server::restart`], for a start that may be refused: an `Err` has the tail of the log.
    ///
    /// # Panics
    /// When it still runs, or neither serves nor ends.
    pub fn try_restart(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "still running");
        self.try_start()
    }

    /// Replaces the flags beyond the basic ones; the next [`Server::restart`] uses them.
    pub fn set_extra(&mut self, extra: &[&str]) {
        self.extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
    }

    /// Sets a variable of its environment, which is empty otherwise; the next start uses it.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn try_start(&mut self) -> Result<(), String> {
        self.spawn()?;
        self.await_serving()
    }

    /// Starts the process without waiting for it to serve: a member of a cluster serves when a majority is there.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn spawn(&mut self) -> Result<(), String> {
        assert!(self.child.is_none(), "still running");
        let log =
            OpenOptions::new().create(true).append(true).open(self.log_path()).expect("the log file opens");
        let stdout = log.try_clone().expect("a second handle");
        let name = self.program.path().display().to_string();
        let child = self
            .program
            .command()
            .args(self.flags())
            .args(&self.extra)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the process that was started serves.
    ///
    /// # Errors
    /// When it has ended: the message has the tail of its log.
    ///
    /// # Panics
    /// When it neither serves nor ends.
    pub fn await_serving(&mut self) -> Result<(), String> {
        let name = self.program.path().display().to_string();
        let address = self.client_address();
        // `Some(true)`: serves. `Some(false)`: the process has ended.
        let serves = wait::until(&format!("{name} to serve on {address}"), || {
            if self.has_ended() {
                return Some(false);
            }
            http::try_get(&address, HEALTH).ok().filter(|health| health.status == 200).map(|_| true)
        });
        if serves {
            return Ok(());
        }
        self.child = None;
        Err(format!("{name} ended before it served; its log ends with\n{}", self.log_tail()))
    }

    /// The flags every server here is started with: what makes it a member on its own ports.
    pub fn flags(&self) -> Vec<String> {
        let client = format!("http://{}", self.client_address());
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let founders = match &self.founders {
            Founders::Alone => vec![("initial-cluster", self.peer_entry())],
            Founders::Listed(entries) => vec![("initial-cluster", entries.clone())],
            Founders::Domain(domain) => vec![("discovery-srv", domain.clone())],
            Founders::Service { endpoints, token } => {
                vec![("discovery-endpoints", endpoints.clone()), ("discovery-token", token.clone())]
            }
        };
        let own = [
            ("name", self.name.clone()),
            ("data-dir", self.data.display().to_string()),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client),
            ("listen-peer-urls", peer.clone()),
            ("initial-advertise-peer-urls", peer),
        ];
        own.into_iter().chain(founders).map(|(flag, value)| format!("--{flag}={value}")).collect()
    }

    /// `127.0.0.1:port` of the client listener.
    pub fn client_address(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// `127.0.0.1:port` of the peer listener.
    pub fn peer_address(&self) -> String {
        format!("127.0.0.1:{}", self.peer_port)
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The program it runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// SIGKILL: no chance to do anything. Returns when the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("SIGKILL is delivered");
            child.wait().expect("a killed process ends");
        }
    }

    /// SIGSTOP: it does nothing until [`Server::resume`]. Returns when none of its threads can run any more: a thread that was
    /// running goes on for a moment after the signal was sent.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let id = self.id();
        wait::until("the threads to stop", || threads_are_stopped(id).then_some(()));
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).expect("a process id is an i32");
        kill_process(Pid::from_raw(id).expect("not zero"), signal).expect("a signal is delivered");
    }

    /// Sends SIGTERM and returns at once.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal_terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it does not end within [`wait::DEADLINE`].
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        wait::until("the server to end", || child.try_wait().expect("its status can be asked"))
    }

    /// SIGTERM and [`Server::wait`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal_terminate();
        self.wait()
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("its status can be asked").is_some())
    }

    /// Everything it wrote to stdout and stderr, restarts included.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The last lines of the log, for a failure's message.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of {} ends with\n{}", self.program.path().display(), self.log_tail());
        }
        self.kill();
    }
}

/// What a run that is expected to end by itself gave: exit code and both outputs.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `program` with exactly `arguments`, expecting it to end by itself (refused flags, a locked directory).
///
/// # Panics
/// When it does not end within [`wait::DEADLINE`]: it is killed, and what it wrote is shown.
pub fn run_to_end(program: &Program, arguments: &[String]) -> Ended {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| directory.path().join(name));
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut child = program
        .command()
        .args(arguments)
        .current_dir(directory.path())
        .stdout(File::create(&stdout).expect("a file in a fresh directory"))
        .stderr(File::create(&stderr).expect("a file in a fresh directory"))
        .spawn()
        .expect("the program starts");
    let status = wait::within(wait::DEADLINE, || child.try_wait().expect("its status can be asked"));
    if status.is_none() {
        child.kill().expect("SIGKILL is delivered");
        child.wait().expect("a killed process ends");
        panic!("{} {arguments:?} did not end; it wrote\n{}", program.path().display(), read(&stderr));
    }
    Ended { code: status.and_then(|status| status.code()), stdout: read(&stdout), stderr: read(&stderr) }
}

/// Returns whether all threads of a process are stopped, or wait for a disk, after which they are.
fn threads_are_stopped(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    // A thread that has ended meanwhile has no state.
    let states = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    states.into_iter().all(|stat| {
        // The name before it is in brackets, and may have some itself.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| "TDZX".contains(state))
    })
}
