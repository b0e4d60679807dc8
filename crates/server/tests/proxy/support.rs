//! Proxies: started, asked, and stopped.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Output};

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use testkit::server::free_port;
use testkit::{Program, Server, http, wait};
use tonic::transport::{Channel, Endpoint};

/// The binary under test.
pub(crate) fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}

/// Starts a member.
pub(crate) fn member() -> Server {
    Server::start(&program(), &[])
}

/// A proxy that runs; it is killed with the test.
pub(crate) struct Proxy {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Proxy {
    /// Starts a proxy at a free port, and waits until it says that it serves.
    pub(crate) fn start(group: &str, flags: &[&str]) -> Proxy {
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("a file in a fresh directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.args([group, "start", &format!("--listen-addr=127.0.0.1:{port}")]).args(flags);
        let child =
            command.current_dir(directory.path()).stderr(log).spawn().expect("the binary that Cargo built");
        let mut proxy = Proxy { child, port, directory };
        wait::until("the proxy serves", || {
            assert!(proxy.child.try_wait().expect("a child").is_none(), "it has ended: {}", proxy.log());
            let said = ["ready to proxy client requests", "started gRPC proxy"];
            said.iter().any(|said| proxy.log().contains(said)).then_some(())
        });
        proxy
    }

    /// Returns whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Returns `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns what it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Stops it with SIGTERM, and returns how it has ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill is a program");
        assert!(sent.success());
        self.child.wait().expect("a child")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command line that is expected to end by itself.
pub(crate) fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate")).args(words).output().expect("the binary that Cargo built")
}

/// Runs etcdctl against an address. Returns what it prints; `None` and a line about it where there is no etcdctl.
pub(crate) fn etcdctl(test: &str, address: &str, words: &[&str]) -> Option<String> {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg(format!("--endpoints={address}")).args(words);
    match command.output() {
        Err(error) => {
            testkit::skip::announce(test, &format!("etcdctl cannot be run: {error}"));
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
    }
}

/// A connection to a server of the API.
pub(crate) fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect_lazy()
}

pub(crate) fn kv(address: &str) -> KvClient<Channel> {
    KvClient::new(channel(address)).max_decoding_message_size(1 << 30)
}

pub(crate) async fn put(address: &str, key: &str, value: &str) -> i64 {
    let request =
        PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
    let answer = kv(address).put(request).await.expect("a put");
    answer.into_inner().header.expect("a header").revision
}

/// Reads a key.
pub(crate) async fn get(address: &str, request: RangeRequest) -> Vec<(String, String)> {
    let answer = kv(address).range(request).await.expect("a range").into_inner();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    answer.kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))).collect()
}

/// Returns a sample of the metrics at a path; 0 if there is none.
pub(crate) fn metric(address: &str, path: &str, name: &str) -> f64 {
    let body = http::get(address, path).body;
    let sample =
        body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    sample.unwrap_or(0.0)
}

/// Waits until a metric has a value, while the tasks of the test go on.
pub(crate) async fn await_metric(address: &str, path: &'static str, name: &'static str, value: f64) {
    let address = address.to_owned();
    let waiting = move || wait::until(name, || (metric(&address, path, name) == value).then_some(()));
    tokio::task::spawn_blocking(waiting).await.expect("a metric that has its value");
}
