//! One side of the comparison: its servers, the script run against them, the answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use std::time::Duration;

use serde_json::Value;
use testkit::wait;

use crate::normalise::Facts;
use crate::script::{Call, Step};
use crate::stage::Stage;

/// How long a call may take that should end, or write its lines, by itself.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// How a call ends that succeeds.
const SUCCESS: &str = "exit 0";

/// What stands for the exit code of a call that did neither.
pub(crate) const HUNG: &str = "hung";

/// What a call gave, normalised; how it is printed and listed in `differences.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) Vec<String>);

/// Runs every step of `script` on the `stage`; the answers are in the order of the calls.
pub(crate) fn run(script: &[Step], stage: Stage<'_>, etcdctl: &Path) -> Vec<Answer> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut side = Side {
        stage,
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
    stage: Stage<'a>,
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
    /// Asks the servers for what differs from server to server and means nothing.
    fn learn(&mut self) {
        let raw = self.ask(&["member", "list", "-w", "json"]);
        let list = serde_json::from_slice(&raw.stdout).unwrap_or(Value::Null);
        let cluster = list["header"]["cluster_id"].as_u64();
        self.facts.id("<cluster>", cluster.unwrap_or_else(|| panic!("a list, not {}", escape(&raw.stderr))));
        let alone = self.stage.members().len() == 1;
        for (member, address) in self.stage.members().iter().zip(self.stage.addresses()) {
            let name = member.name();
            let suffix = if alone { String::new() } else { format!(" {name}") };
            self.facts.address(&format!("<client{suffix}>"), address);
            self.facts.address(&format!("<peer{suffix}>"), &member.peer_address());
            self.variables.insert(format!("{name}client"), address.clone());
            self.variables.insert(format!("{name}peer"), member.peer_address());
            let listed = list["members"].as_array().into_iter().flatten();
            if let Some(id) = listed.filter(|listed| listed["name"] == name).find_map(|m| m["ID"].as_u64()) {
                self.facts.id(&format!("<member{suffix}>"), id);
                self.variables.insert(name.to_owned(), format!("{id:x}"));
            }
        }
    }

    fn step(&mut self, step: &Step) -> Option<Answer> {
        match step {
            Step::Revision(name) => {
                let raw = self.ask(&["get", "no such key", "-w", "json"]);
                let text = String::from_utf8_lossy(&raw.stdout).into_owned();
                let revision = number_after(&text, "\"revision\":").expect("a header has a revision");
                self.variables.insert(name.clone(), revision.to_string());
                None
            }
            Step::Act(action) => {
                self.stage.act(action);
                None
            }
            Step::Call(call) => Some(self.call(call)),
        }
    }

    fn call(&mut self, call: &Call) -> Answer {
        let arguments: Vec<String> = call.arguments.iter().map(|argument| self.fill(argument)).collect();
        let input = self.fill(&call.input);
        let connection = self.stage.connection(&call.at, call.who.as_deref());
        let mut raw = self.execute(&connection, &arguments, &input, call.lines);
        if call.until {
            let _ = wait::within(wait::DEADLINE, || {
                if raw.end != SUCCESS {
                    raw = self.execute(&connection, &arguments, &input, call.lines);
                }
                (raw.end == SUCCESS).then_some(())
            });
        }
        if let Some(name) = &call.capture {
            self.remember(name, &raw);
        }
        let mut lines = self.facts.stdout(&arguments, &raw.stdout);
        lines.extend(self.facts.stderr(&arguments, &raw.stderr));
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

    /// Remembers the id of the lease or the member that a call made.
    fn remember(&mut self, name: &str, raw: &Raw) {
        let text = String::from_utf8_lossy(&raw.stdout).into_owned();
        let kind = if text.starts_with("Member ") { "member" } else { "lease" };
        let id = text
            .strip_prefix("lease ")
            .or_else(|| text.strip_prefix("Member "))
            .and_then(|text| text.trim_start().split(' ').next())
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .or_else(|| number_after(&text, "\"ID\":"))
            .or_else(|| number_after(&text, "\"ID\" : "))
            .unwrap_or_else(|| panic!("no {kind} id in {text:?}; {}", escape(&raw.stderr)));
        self.variables.insert(name.to_owned(), format!("{id:x}"));
        self.facts.id(&format!("<{kind} {name}>"), id);
    }

    /// Makes a call that is none of the script's.
    fn ask(&self, arguments: &[&str]) -> Raw {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.execute(&self.stage.connection(&[], Some("root")), &arguments, "", None)
    }

    fn execute(&self, connection: &[String], arguments: &[String], input: &str, lines: Option<usize>) -> Raw {
        // New files each time: a command that `watch` started may outlive it and still write to the old ones.
        for path in [&self.output, &self.errors] {
            let _ = std::fs::remove_file(path);
        }
        let mut child = Command::new(self.etcdctl)
            .args(connection)
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
