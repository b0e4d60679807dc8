//! One side of the comparison: a server, the script run against it, the answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use std::time::Duration;

use testkit::{Server, wait};

use crate::normalise::Facts;
use crate::script::{Call, Step};

/// How long a call may take that should end, or write its lines, by itself.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// What stands for the exit code of a call that did neither.
pub(crate) const HUNG: &str = "hung";

/// What a call gave, normalised; how it is printed and listed in `differences.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) Vec<String>);

/// Runs every step of `script` against `server`; the answers are in the order of the calls.
pub(crate) fn run(script: &[Step], server: &Server, etcdctl: &Path) -> Vec<Answer> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut side = Side {
        server,
        etcdctl,
        output: directory.path().join("stdout"),
        errors: directory.path().join("stderr"),
        variables: BTreeMap::new(),
        facts: Facts::default(),
    };
    side.learn();
    script.iter().filter_map(|step| side.step(step)).collect()
}

struct Side<'a> {
    server: &'a Server,
    etcdctl: &'a Path,
    output: PathBuf,
    errors: PathBuf,
    /// Revisions and lease ids (lower hexadecimal), by name.
    variables: BTreeMap<String, String>,
    facts: Facts,
}

/// What a call gave, as it was.
struct Raw {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    end: String,
}

impl Side<'_> {
    /// Asks the server for what differs from server to server and means nothing.
    fn learn(&mut self) {
        let raw = self.execute(&["member", "list", "-w", "json"].map(str::to_owned), "", None);
        let text = String::from_utf8_lossy(&raw.stdout).into_owned();
        self.facts.address("<client>", &self.server.client_address());
        self.facts.address("<peer>", &self.server.peer_address());
        for (name, key) in [("<cluster>", "\"cluster_id\":"), ("<member>", "\"member_id\":")] {
            let id = number_after(&text, key)
                .unwrap_or_else(|| panic!("{key} in {text:?}; {}", escape(&raw.stderr)));
            self.facts.id(name, id);
        }
    }

    fn step(&mut self, step: &Step) -> Option<Answer> {
        match step {
            Step::Revision(name) => {
                let raw = self.execute(&["get", "no such key", "-w", "json"].map(str::to_owned), "", None);
                let text = String::from_utf8_lossy(&raw.stdout).into_owned();
                let revision = number_after(&text, "\"revision\":").expect("a header has a revision");
                self.variables.insert(name.clone(), revision.to_string());
                None
            }
            Step::Call(call) => Some(self.call(call)),
        }
    }

    fn call(&mut self, call: &Call) -> Answer {
        let arguments: Vec<String> = call.arguments.iter().map(|argument| self.fill(argument)).collect();
        let raw = self.execute(&arguments, &self.fill(&call.input), call.lines);
        if let Some(name) = &call.capture {
            self.remember_lease(name, &raw);
        }
        let mut lines = self.facts.stdout(&arguments, &raw.stdout);
        lines.extend(self.facts.stderr(&raw.stderr));
        lines.push(raw.end);
        Answer(lines)
    }

    /// Puts the values of variables in: `$L`, `${R+1}`, `${R-1}`.
    fn fill(&self, text: &str) -> String {
        let Some((before, after)) = text.split_once('$') else { return text.to_owned() };
        let (expression, rest) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some(parts) => parts,
            None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len())),
        };
        let (name, offset) = match expression.find(['+', '-']) {
            Some(at) => (&expression[..at], expression[at..].parse::<i64>().expect("an offset")),
            None => (expression, 0),
        };
        let value = self.variables.get(name).unwrap_or_else(|| panic!("no variable ${name} for {text:?}"));
        let value = match offset {
            0 => value.clone(),
            _ => (value.parse::<i64>().expect("a revision") + offset).to_string(),
        };
        format!("{before}{value}{}", self.fill(rest))
    }

    fn remember_lease(&mut self, name: &str, raw: &Raw) {
        let text = String::from_utf8_lossy(&raw.stdout).into_owned();
        let id = text
            .strip_prefix("lease ")
            .and_then(|text| text.split(' ').next())
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .or_else(|| number_after(&text, "\"ID\":"))
            .or_else(|| number_after(&text, "\"ID\" : "))
            .unwrap_or_else(|| panic!("no lease id in {text:?}; {}", escape(&raw.stderr)));
        self.variables.insert(name.to_owned(), format!("{id:x}"));
        self.facts.id(&format!("<lease {name}>"), id);
    }

    fn execute(&self, arguments: &[String], input: &str, lines: Option<usize>) -> Raw {
        // New files each time: a command that `watch` started may outlive it and still write to the old ones.
        for path in [&self.output, &self.errors] {
            let _ = std::fs::remove_file(path);
        }
        let mut child = Command::new(self.etcdctl)
            .arg(format!("--endpoints={}", self.server.client_address()))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(File::create(&self.output).expect("a file in a fresh directory"))
            .stderr(File::create(&self.errors).expect("a file in a fresh directory"))
            .spawn()
            .expect("etcdctl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A call that does not read its input closes the pipe: no failure of ours.
        let _ = stdin.write_all(input.as_bytes());
        // A call that is to be stopped may end at the end of its input (`watch -i`), so that one stays open.
        let kept = lines.is_some().then_some(stdin);
        let ended = wait::within(CALL_DEADLINE, || {
            let status = child.try_wait().expect("its status can be asked");
            let enough = lines.is_some_and(|lines| count_lines(&self.output) >= lines);
            (status.is_some() || enough).then_some(status)
        });
        let end = match ended {
            Some(Some(status)) => format!("exit {}", status.code().unwrap_or(-1)),
            Some(None) => "stopped".to_owned(),
            None => HUNG.to_owned(),
        };
        if !end.starts_with("exit") {
            child.kill().expect("SIGKILL is delivered");
            child.wait().expect("a killed process ends");
        }
        drop(kept);
        let read = |path| std::fs::read(path).expect("its output is there");
        let mut stdout = read(&self.output);
        if let Some(lines) = lines {
            // What came after those is a matter of when we looked.
            let kept = stdout.split_inclusive(|byte| *byte == b'\n').take(lines);
            stdout = kept.flatten().copied().collect();
        }
        Raw { stdout, stderr: read(&self.errors), end }
    }
}

fn count_lines(path: &Path) -> usize {
    std::fs::read(path).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let after = text.split_once(key)?.1;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
