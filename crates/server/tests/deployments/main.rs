//! The settings of real deployments: each starts a member that serves.
//!
//! What others wrote for etcd is in [`table`]: which flags, variables or keys, and which values, with addresses and paths of this
//! machine. A deployment with TLS starts without it and with it.

mod table;

use std::process::{Child, Command};

use table::{DEPLOYMENTS, Deployment, Given, PKI, Security};
use testkit::pki::{Authority, Request};
use testkit::server::{free_port, run_to_end};
use testkit::{Program, http, wait};

fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}

/// A place for a deployment: addresses that are free and a directory of its own.
struct Place {
    client: u16,
    peer: u16,
    metrics: u16,
    directory: tempfile::TempDir,
}

impl Place {
    fn free() -> Place {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Place { client: free_port(), peer: free_port(), metrics: free_port(), directory }
    }

    fn fill(&self, text: &str, scheme: &str) -> String {
        let data = self.directory.path().join("data");
        text.replace("{client}", &self.client.to_string())
            .replace("{peer}", &self.peer.to_string())
            .replace("{metrics}", &self.metrics.to_string())
            .replace("{data}", &data.display().to_string())
            .replace("{pki}", &self.directory.path().display().to_string())
            .replace("{scheme}", scheme)
    }

    /// Makes the files that deployments name: all certificates are of one CA, and for both sides of a connection.
    fn make_pki(&self) {
        let ca = Authority::new("the CA of a deployment");
        let write = |name: &str, text: &str| {
            std::fs::write(self.directory.path().join(name), text).expect("a file in a fresh directory");
        };
        PKI.0.iter().for_each(|name| write(name, &ca.pem()));
        for (certificate, key) in PKI.1 {
            let issued = ca.issue(&Request::named("member"));
            write(certificate, &issued.cert);
            write(key, &issued.key);
        }
    }

    /// The arguments and the environment of a deployment, with or without its TLS settings.
    fn settings(&self, deployment: &Deployment, security: Security) -> (Vec<String>, Vec<(String, String)>) {
        let scheme = if security == Security::Tls { "https" } else { "http" };
        let secure = if security == Security::Tls { deployment.tls } else { Given::Nothing };
        let (mut arguments, mut environment, mut file) = (Vec::new(), Vec::new(), String::new());
        for given in [deployment.plain, secure] {
            match given {
                Given::Flags(flags) => arguments.extend(flags.iter().map(|flag| self.fill(flag, scheme))),
                Given::Environment(variables) => environment.extend(
                    variables.iter().map(|(name, value)| ((*name).to_owned(), self.fill(value, scheme))),
                ),
                Given::File(text) => file.push_str(&self.fill(text, scheme)),
                Given::Nothing => {}
            }
        }
        if !file.is_empty() {
            let path = self.directory.path().join("etcd.conf.yml");
            std::fs::write(&path, file).expect("a file in a fresh directory");
            arguments.push(format!("--config-file={}", path.display()));
        }
        (arguments, environment)
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(mut command: Command, place: &Place) -> Running {
    let log = std::fs::File::create(place.directory.path().join("log")).expect("a log file");
    let stdout = log.try_clone().expect("a second handle");
    Running(command.stdout(stdout).stderr(log).spawn().expect("the program starts"))
}

/// Waits until something is so; panics with the member's log if it ends before.
fn await_running(running: &mut Running, place: &Place, name: &str, is_so: impl Fn(&str) -> bool) {
    wait::until(&format!("{name} to serve"), || {
        let ended = running.0.try_wait().expect("its status can be asked");
        let log = std::fs::read_to_string(place.directory.path().join("log")).unwrap_or_default();
        assert!(ended.is_none(), "{name} ended before it served:\n{log}");
        is_so(&log).then_some(())
    });
}

fn start(place: &Place, (arguments, environment): &(Vec<String>, Vec<(String, String)>)) -> Running {
    let mut command = program().command();
    command.args(arguments).envs(environment.iter().cloned()).current_dir(place.directory.path());
    spawn(command, place)
}

/// Whether the member answers over plain HTTP.
fn is_healthy(place: &Place) -> bool {
    let address = format!("127.0.0.1:{}", place.client);
    http::try_get(&address, "/health").is_ok_and(|health| health.status == 200)
}

#[test]
fn every_deployment_starts_and_starts_again() {
    for deployment in DEPLOYMENTS {
        let place = Place::free();
        let settings = place.settings(deployment, Security::None);
        // The second time on data, as after an upgrade of the machine.
        for _ in 0..2 {
            let mut running = start(&place, &settings);
            await_running(&mut running, &place, deployment.name, |_| is_healthy(&place));
        }
    }
}

#[test]
fn every_deployment_with_tls_starts_and_starts_again() {
    for deployment in DEPLOYMENTS.iter().filter(|deployment| deployment.tls != Given::Nothing) {
        let place = Place::free();
        place.make_pki();
        let settings = place.settings(deployment, Security::Tls);
        for _ in 0..2 {
            let mut running = start(&place, &settings);
            let is_ready = |log: &str| log.contains("ready to serve client requests");
            await_running(&mut running, &place, deployment.name, is_ready);
            assert!(!is_healthy(&place), "{}: in plain text", deployment.name);
        }
    }
}

/// etcd does not look at what founded a cluster once there is data: a line that was broken since must not keep all members of
/// a site from coming back (kubernetes-sigs/kubespray#12249).
#[test]
fn a_member_with_data_starts_whatever_its_founding_settings_say() {
    let place = Place::free();
    let basic = |extra: &[&str]| -> Vec<String> {
        let flags = [
            "--data-dir={data}",
            "--listen-client-urls=http://127.0.0.1:{client}",
            "--advertise-client-urls=http://127.0.0.1:{client}",
            "--listen-peer-urls=http://127.0.0.1:{peer}",
        ];
        flags.iter().chain(extra).map(|flag| place.fill(flag, "http")).collect()
    };
    let founding = [
        "--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        "--initial-cluster=default=http://127.0.0.1:{peer}",
    ];
    let later: &[&[&str]] = &[
        &founding,
        &["--initial-cluster=foo"],
        &["--initial-cluster=default=\"http://127.0.0.1:1\""],
        &["--initial-cluster=default=http://127.0.0.1:1/path"],
        &["--initial-cluster=somebody=http://127.0.0.1:1"],
        &["--initial-cluster="],
        &["--initial-cluster=default=http://127.0.0.1:1", "--initial-cluster-token=other"],
        &["--initial-cluster-state=existing", "--initial-cluster=foo"],
        &["--initial-advertise-peer-urls=http://127.0.0.1:1"],
        &["--discovery-srv=name.invalid"],
        &["--discovery-endpoints=http://127.0.0.1:1", "--discovery-token=token"],
        &["--name=other", "--initial-cluster=foo"],
    ];
    for flags in later {
        let mut command = program().command();
        command.args(basic(flags));
        let mut running = spawn(command, &place);
        await_running(&mut running, &place, &flags.join(" "), |_| is_healthy(&place));
    }
    for flags in &later[1..] {
        let empty = Place::free();
        let fresh = |flag: &String| {
            flag.replace(
                &place.directory.path().display().to_string(),
                &empty.directory.path().display().to_string(),
            )
        };
        let arguments: Vec<String> = basic(flags).iter().map(fresh).collect();
        if flags.iter().any(|flag| flag.starts_with("--initial-cluster=foo")) {
            let ended = run_to_end(&program(), &arguments);
            assert_eq!(ended.code, Some(1), "without data {flags:?} is refused: {}", ended.stderr);
        }
    }
}
