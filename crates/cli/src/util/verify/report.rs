//! What `verify` says in the end.

use std::io::{self, Write};

use mvcc::inspect::CheckpointMark;
use raft::durable::Inspected;
use serde_json::{Value, json};
use wal::{Finding, Severity};

use super::collected::Collected;
use crate::util::arguments::Format;

/// What the raft log is.
pub(super) struct LogReport {
    pub(super) identity: Option<[u64; 2]>,
    term: Option<u64>,
    committed: Option<String>,
    first: u64,
    last: u64,
    entries: u64,
    files: usize,
}

impl LogReport {
    pub(super) fn of(inspected: &Inspected, entries: u64) -> Self {
        let facts = inspected.facts.as_ref();
        Self {
            identity: facts.map(|facts| facts.identity),
            term: facts.map(|facts| facts.hard_state.term.0),
            committed: facts.map(|facts| facts.commit.to_string()),
            first: inspected.terms.base().index.next().0,
            last: inspected.terms.last().index.0,
            entries,
            files: inspected.segments,
        }
    }

    fn json(&self) -> Value {
        let Self { term, committed, first, last, entries, files, .. } = self;
        json!({
            "term": term, "committed": committed, "first": first, "last": last, "entries": entries, "files": files,
        })
    }
}

/// What the store is.
pub(super) struct StateReport {
    pub(super) mark: CheckpointMark,
    pub(super) changes: u64,
}

impl StateReport {
    fn json(&self) -> Value {
        let mark = &self.mark;
        json!({
            "revision": mark.revision,
            "compactRevision": mark.compact_revision,
            "appliedIndex": mark.applied.index,
            "appliedTerm": mark.applied.term,
            "keys": mark.keys,
            "rows": mark.rows,
            "stateHash": format!("{:032x}", mark.state_hash),
            "changes": self.changes,
        })
    }
}

/// The whole.
pub(super) struct Report {
    pub(super) identity: Option<[u64; 2]>,
    pub(super) log: Option<LogReport>,
    pub(super) state: Option<StateReport>,
    pub(super) collected: Collected,
}

impl Report {
    pub(super) fn damages(&self) -> usize {
        self.collected.damages()
    }

    pub(super) fn print(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        self.collected.finish();
        match format {
            Format::Simple => self.print_simple(out),
            Format::Json => writeln!(out, "{}", self.json()),
        }
    }

    fn print_simple(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some([cluster, member]) = self.identity {
            writeln!(out, "member {member:x} of cluster {cluster:x}")?;
        }
        if let Some(log) = &self.log {
            let unknown = || "unknown".to_owned();
            writeln!(
                out,
                "raft log: entries {} to {}, term {}, committed at least {}; {} file(s)",
                log.first,
                log.last,
                log.term.map_or_else(unknown, |term| term.to_string()),
                log.committed.clone().unwrap_or_else(unknown),
                log.files
            )?;
        }
        if let Some(StateReport { mark, changes }) = &self.state {
            writeln!(
                out,
                "state: revision {}, compacted {}, applied {}@{}; {} key(s), {} row(s), {changes} change(s)",
                mark.revision,
                mark.compact_revision,
                mark.applied.index,
                mark.applied.term,
                mark.keys,
                mark.rows
            )?;
        }
        for finding in &self.collected.findings {
            writeln!(out, "{}", line(finding))?;
        }
        if self.collected.left_out > 0 {
            writeln!(out, "and {} more", self.collected.left_out)?;
        }
        let bytes = self.collected.bytes_read;
        match self.damages() {
            0 => writeln!(out, "ok: {bytes} bytes read, nothing is damaged"),
            damages => writeln!(out, "damaged: {damages} finding(s) in {bytes} bytes"),
        }
    }

    fn json(&self) -> Value {
        let ids = self.identity.map(|ids| ids.map(|id| format!("{id:x}")));
        json!({
            "ok": self.damages() == 0,
            "clusterId": ids.as_ref().map(|ids| &ids[0]),
            "memberId": ids.as_ref().map(|ids| &ids[1]),
            "bytesRead": self.collected.bytes_read,
            "log": self.log.as_ref().map(LogReport::json),
            "state": self.state.as_ref().map(StateReport::json),
            "findings": self.collected.findings.iter().map(finding_json).collect::<Vec<_>>(),
            "leftOut": self.collected.left_out,
        })
    }
}

/// A finding on a line: what it is worth, where it is, and what it is.
fn line(finding: &Finding) -> String {
    let Finding { severity, path, offset, bytes, what } = finding;
    let severity = name(*severity);
    match bytes {
        0 if *offset == 0 => format!("{severity}: {}: {what}", path.display()),
        0 => format!("{severity}: {} at offset {offset}: {what}", path.display()),
        bytes => format!("{severity}: {} at offset {offset}, {bytes} bytes: {what}", path.display()),
    }
}

fn finding_json(finding: &Finding) -> Value {
    let Finding { severity, path, offset, bytes, what } = finding;
    json!({
        "severity": name(*severity), "file": path.display().to_string(), "offset": offset, "bytes": bytes, "what": what,
    })
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Damage => "damage",
    }
}
