//! The unit file as a service manager reads it, as far as a test can be one.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::server::free_port;
use testkit::{http, wait};

/// Returns the values of a key, in any section.
pub(crate) fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

/// A member that runs as its unit says.
pub(crate) struct Service {
    child: Child,
    client: String,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Service {
    /// Runs `ExecStart` of the unit, with its paths below other directories, and waits until the member says that it is ready.
    /// `configuration` is the file that the command line names; it gets free ports and a directory for the data.
    pub(crate) fn start(unit: &str, programs: &Path, configuration: &Path) -> Service {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (client, peer) = (free_port(), free_port());
        let text = std::fs::read_to_string(configuration).expect("the configuration was unpacked");
        let settings = settings(client, peer, &directory.path().join("data"));
        std::fs::write(configuration, replaced(&text, &settings)).expect("the configuration can be written");
        assert_eq!(values(unit, "Type"), ["notify"]);
        let [line] = values(unit, "ExecStart").try_into().expect("one command");
        let words: Vec<String> =
            line.split(' ').map(|word| relocated(word, programs, configuration)).collect();
        let notified = directory.path().join("notify");
        let socket = UnixDatagram::bind(&notified).expect("a socket in a fresh directory");
        let log = directory.path().join("log");
        let file = std::fs::File::create(&log).expect("a log file");
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("NOTIFY_SOCKET", &notified)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let service = Service { child, client: format!("127.0.0.1:{client}"), log, _directory: directory };
        socket.set_read_timeout(Some(wait::DEADLINE)).expect("a time-out");
        let mut said = [0; 64];
        let length = socket.recv(&mut said).unwrap_or_else(|error| service.give_up(&error));
        assert_eq!(&said[..length], b"READY=1");
        service
    }

    fn give_up(&self, error: &io::Error) -> usize {
        panic!(
            "the member did not say that it is ready: {error}\n{}",
            std::fs::read_to_string(&self.log).unwrap_or_default()
        )
    }

    /// Returns the address for clients.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// Returns whether the member says that it is ready, to those who ask.
    pub(crate) fn is_ready(&self) -> bool {
        http::try_get(&self.client, "/readyz").is_ok_and(|reply| reply.status == 200)
    }

    /// Stops it as a service manager does.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).expect("a signal is delivered");
        wait::until("the member to stop", || self.child.try_wait().expect("its status can be asked"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a word of the command line with the paths of an installed system replaced.
fn relocated(word: &str, programs: &Path, configuration: &Path) -> String {
    word.replace("/usr/bin/", &format!("{}/", programs.display()))
        .replace("/etc/quorate/quorate.yaml", &configuration.display().to_string())
}

fn settings(client: u16, peer: u16, data: &Path) -> Vec<(&'static str, String)> {
    let [client, peer] = [client, peer].map(|port| format!("http://127.0.0.1:{port}"));
    vec![
        ("data-dir", data.display().to_string()),
        ("listen-client-urls", client.clone()),
        ("advertise-client-urls", client),
        ("initial-cluster", format!("default={peer}")),
        ("initial-advertise-peer-urls", peer.clone()),
        ("listen-peer-urls", peer),
    ]
}

/// Returns a configuration file with these settings in force, whether it had them or showed them as a comment.
fn replaced(text: &str, settings: &[(&str, String)]) -> String {
    let line = |line: &str| {
        let key = line.trim_start_matches('#').split(':').next().unwrap_or_default();
        match settings.iter().find(|(name, _)| *name == key) {
            Some((name, value)) => format!("{name}: {value}\n"),
            None => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}
