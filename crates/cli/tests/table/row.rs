//! The rows of a table, as they are in its file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use testkit::Version;

/// A file of the table.
pub(crate) struct Script {
    path: PathBuf,
    text: String,
    pub(crate) rows: Vec<Row>,
}

/// A command, what goes into it and what came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// The number of its line.
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) input: String,
    pub(crate) capture: Option<String>,
    pub(crate) interrupt_after: Option<usize>,
    /// The versions of etcdctl that differ.
    pub(crate) marks: Vec<String>,
    pub(crate) outcome: Outcome,
}

/// What came out of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The lines of standard output, with `| ` or `|q ` in front of them.
    pub(crate) output: Vec<String>,
    pub(crate) code: i32,
    /// The lines of standard error.
    pub(crate) errors: Vec<String>,
}

impl Outcome {
    /// Whether another program's outcome is this one: what it says on standard error may be worded differently.
    pub(crate) fn is_like(&self, other: &Outcome) -> bool {
        let complains = |outcome: &Outcome| outcome.errors.iter().any(|line| line.starts_with("Error:"));
        self.output == other.output && self.code == other.code && complains(self) == complains(other)
    }

    fn written(&self) -> String {
        let mut text = String::new();
        for line in &self.output {
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for (at, line) in self.errors.iter().enumerate() {
            let code = if at == 0 { self.code.to_string() } else { String::new() };
            let _ = writeln!(text, "{}", format!("! {code} {line}").replace("!  ", "! ").trim_end());
        }
        if self.errors.is_empty() && self.code != 0 {
            let _ = writeln!(text, "! {}", self.code);
        }
        text
    }
}

impl Row {
    /// Whether it is marked as different for this version of etcdctl.
    pub(crate) fn differs_from(&self, version: Version) -> bool {
        self.marks.iter().any(|mark| mark == "all" || *mark == version.to_string())
    }

    fn take(&mut self, kind: &str, rest: &str) {
        match kind {
            "<" => self.input += &format!("{rest}\n"),
            "@" => self.capture = Some(rest.to_owned()),
            "^" => self.interrupt_after = Some(rest.parse().expect("a number of lines")),
            "~" => self.marks.push(rest.split_once(':').expect("a version and why").0.to_owned()),
            "|" | "|q" => self.outcome.output.push(format!("{kind} {rest}").trim_end().to_owned()),
            "!" if self.outcome.errors.is_empty() && self.outcome.code == 0 => {
                let (code, error) = rest.split_once(' ').unwrap_or((rest, ""));
                let code = code.parse();
                let error = if code.is_ok() { error } else { rest };
                self.outcome.code = code.unwrap_or(0);
                self.outcome.errors.extend((!error.is_empty()).then(|| error.to_owned()));
            }
            "!" => self.outcome.errors.push(rest.to_owned()),
            _ => panic!("line {} of the row has {kind:?} in front", self.line),
        }
    }
}

/// What a line of a file is, and the rest of it.
fn split(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

impl Script {
    pub(crate) fn read(path: &Path) -> Script {
        let text = std::fs::read_to_string(path).unwrap();
        let mut rows: Vec<Row> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            match split(line) {
                ("" | "#", _) => {}
                ("$", command) => {
                    rows.push(Row { line: at + 1, command: command.to_owned(), ..Row::default() });
                }
                (kind, rest) => rows.last_mut().expect("a command first").take(kind, rest),
            }
        }
        Script { path: path.to_owned(), text, rows }
    }

    /// Writes what came out into the file.
    pub(crate) fn update(&self, rows: &[Row]) {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut text = String::new();
        let mut outcome: Option<String> = None;
        for (at, line) in lines.iter().enumerate() {
            let kind = split(line).0;
            if kind.starts_with('|') || kind == "!" {
                continue;
            }
            if matches!(kind, "" | "#" | "$") {
                text += &outcome.take().unwrap_or_default();
            }
            let _ = writeln!(text, "{line}");
            if kind == "$" {
                outcome = rows.iter().find(|row| row.line == at + 1).map(|row| row.outcome.written());
            }
        }
        text += &outcome.unwrap_or_default();
        std::fs::write(&self.path, text).unwrap();
    }

    pub(crate) fn difference(&self, expected: &Row, row: &Row) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let (command, line) = (&row.command, row.line);
        let (written, came) = (expected.outcome.written(), row.outcome.written());
        format!("{name}:{line}: $ {command}\n--- as it is written\n{written}--- as it came out\n{came}")
    }
}
