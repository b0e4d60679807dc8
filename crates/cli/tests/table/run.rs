//! Runs of a command.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use quorate_cli::ctl::words;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::{Version, wait};

use super::CTL_VARIABLE;
use super::normal::Names;
use super::row::{Outcome, Row};

/// The exit code of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// A program that is etcdctl.
pub(crate) struct Ctl {
    path: PathBuf,
    pub(crate) version: Version,
    /// Where our binary has the name etcdctl.
    _directory: Option<TempDir>,
}

impl Ctl {
    /// Our binary, under the name of etcdctl.
    pub(crate) fn ours() -> Ctl {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("etcdctl");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quoratectl"), &path)
            .expect("a fresh directory takes a link");
        Ctl { path, version: Version::CONTRACT, _directory: Some(directory) }
    }

    /// A real etcdctl.
    pub(crate) fn theirs() -> Result<Ctl, String> {
        let path = std::env::var_os(CTL_VARIABLE).map_or_else(|| PathBuf::from("etcdctl"), PathBuf::from);
        let run = Command::new(&path).arg("version").env_clear().output();
        let output = run.map_err(|error| format!("cannot run {}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.strip_prefix("etcdctl version: ").and_then(Version::parse);
        let version = version.ok_or_else(|| format!("{} is no etcdctl: {text}", path.display()))?;
        Ok(Ctl { path, version, _directory: None })
    }

    /// An answer with a header, in JSON.
    pub(crate) fn header(&self, endpoint: &str) -> String {
        let arguments = ["--endpoints", endpoint, "get", "no such key", "-w", "json"];
        let output = Command::new(&self.path).args(arguments).env_clear().output().expect("it runs");
        String::from_utf8(output.stdout).expect("JSON")
    }

    /// Runs a row and returns it with what came out.
    pub(crate) fn run(&self, row: &Row, names: &mut Names) -> Row {
        let mut child = self.start(row, names);
        let mut input = child.stdin.take().expect("a pipe");
        let text = names.put_into(&row.input);
        // It may end without reading.
        let writing = std::thread::spawn(move || {
            let _ = input.write_all(text.as_bytes());
            input
        });
        let mut errors = child.stderr.take().expect("a pipe");
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            errors.read_to_end(&mut text).map(|_| text)
        });
        // The input of a command that is interrupted does not end before.
        let mut writing = Some(writing);
        if row.interrupt_after.is_none() {
            drop(writing.take().map(JoinHandle::join));
        }
        let (output, code) = finish(child, row.interrupt_after);
        drop(writing.map(JoinHandle::join));
        let errors =
            String::from_utf8_lossy(&reading.join().expect("the reader ends").expect("a pipe can be read"))
                .into_owned();
        if let Some(name) = &row.capture {
            names.learn_lease(name, &String::from_utf8_lossy(&output));
        }
        // Log lines of the Go client are no part of what is compared.
        let errors = names.normal(&errors);
        let errors = errors.lines().filter(|line| !line.is_empty() && !line.starts_with("{\"level\""));
        let errors = errors.map(str::to_owned).collect();
        Row { outcome: Outcome { output: names.normal_output(&output), code, errors }, ..row.clone() }
    }

    fn start(&self, row: &Row, names: &Names) -> Child {
        let command = names.put_into(&row.command);
        let mut words = words::split(&command).expect("the words of a row");
        let is_variable = |word: &std::ffi::OsString| word.to_string_lossy().starts_with("ETCDCTL_");
        let arguments =
            words.split_off(words.iter().position(|word| !is_variable(word)).unwrap_or(words.len()));
        let variables = words.into_iter().map(|word| {
            let text = String::from_utf8(word.into_vec()).expect("a variable is UTF-8");
            let (name, value) = text.split_once('=').expect("a variable has a value");
            (name.to_owned(), value.to_owned())
        });
        let mut child = if row.interrupt_after.is_some() {
            testkit::interruptible(&self.path)
        } else {
            Command::new(&self.path)
        };
        child.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if !row.command.contains("--endpoints") {
            child.env("ETCDCTL_ENDPOINTS", &names.endpoint);
        }
        child.envs(variables).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        child.spawn().expect("it starts")
    }
}

/// Waits for the end of a process, and brings it about when it has printed so many lines.
fn finish(mut child: Child, interrupt_after: Option<usize>) -> (Vec<u8>, i32) {
    let id = Pid::from_child(&child);
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let reading = std::thread::spawn(move || read(output, id, interrupt_after));
    let status = wait::within(wait::DEADLINE, || child.try_wait().expect("its status can be asked"));
    if status.is_none() {
        child.kill().expect("SIGKILL is delivered");
    }
    let status = child.wait().expect("it ends");
    (reading.join().expect("the reader ends"), status.code().unwrap_or(INTERRUPTED))
}

fn read(mut output: BufReader<ChildStdout>, id: Pid, interrupt_after: Option<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..interrupt_after.unwrap_or(0) {
        output.read_until(b'\n', &mut bytes).expect("a pipe can be read");
    }
    if interrupt_after.is_some() {
        let _ = kill_process(id, Signal::INT);
    }
    output.read_to_end(&mut bytes).expect("a pipe can be read");
    bytes
}
