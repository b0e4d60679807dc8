//! What the files say of themselves: marker, hard state, files of the log, checkpoint, files of the history.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datadir::{How, Marker, State};
use mvcc::inspect::{Checkpoint, CheckpointMark, inspect_history};
use raft::durable::Facts;
use serde_json::json;
use wal::{Disk, Finding, SegmentSeen};

use super::lines::Lines;
use crate::util::disk::ReadOnlyDisk;
use crate::util::failure::Failure;
use crate::util::held::Held;

pub(super) fn dump(held: &Held, lines: &mut Lines<'_>) -> Result<(), Failure> {
    let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk::default());
    let root = held.layout.root();
    dump_marker(&*disk, &held.layout.marker(), root, lines);
    dump_log(&*disk, &held.wal, root, lines)?;
    dump_store(&disk, &held.layout.store(), root, lines)
}

/// A file's name within the data directory.
fn name(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn dump_marker(disk: &dyn Disk, path: &Path, root: &Path, lines: &mut Lines<'_>) {
    let marker = match Marker::read(disk, path) {
        Ok(Some(marker)) => marker,
        Ok(None) => return lines.finding(&Finding::damage(path, 0, 0, "it is missing")),
        Err(error) => return lines.finding(&Finding::damage(path, 0, 0, error.to_string())),
    };
    let how = match marker.origin.how {
        How::Founded => "founded",
        How::Joined => "joined",
    };
    let state = match marker.state {
        State::Founding => "founding",
        State::Complete => "complete",
        State::StartingOver => "starting over",
    };
    let identity = marker.origin.identity;
    let (file, cluster, member) = (name(path, root), identity.cluster, identity.member);
    let text = || format!("marker {file}: member {member} of cluster {cluster}, {how}, {state}");
    let json = || {
        json!({
            "file": file, "clusterId": cluster.to_string(), "memberId": member.to_string(), "how": how, "state": state,
        })
    };
    lines.line(text, json);
}

fn dump_log(disk: &dyn Disk, dir: &Path, root: &Path, lines: &mut Lines<'_>) -> Result<(), Failure> {
    use raft::durable::{Seen, inspect};
    let mut files = Files::new("entries", root);
    let done = inspect(disk, dir, None, &wal::InTurn, &mut |seen| match seen {
        Seen::HardState { path, sequence, facts } => show_facts(&name(path, root), sequence, facts, lines),
        Seen::Segment(segment) => files.next(&segment, lines),
        Seen::Entry(_, entry) => files.count(entry.index.0),
        Seen::Finding(finding) => lines.finding(&finding),
        Seen::Read(_) => {}
    });
    files.flush(lines);
    done.map(drop).map_err(|error| Failure::error(error.to_string()))
}

fn show_facts(file: &str, sequence: u64, facts: &Facts, lines: &mut Lines<'_>) {
    let Facts { incarnation, boot, hard_state, commit, base, .. } = facts;
    let vote = hard_state.vote.map(|node| format!("{:x}", node.0));
    let text = || {
        let vote = vote.as_deref().unwrap_or("nobody");
        let term = hard_state.term;
        format!(
            "hard state {file}: change {sequence}, term {term}, vote {vote}, commit {commit}, base {base}, \
             incarnation {}, boot {}{}{}{}",
            incarnation.0,
            boot.0,
            if facts.loss.is_some() { ", has a loss" } else { "" },
            if facts.expected.is_some() { ", expects a snapshot" } else { "" },
            if facts.is_void { ", is void" } else { "" },
        )
    };
    let json = || {
        json!({
            "file": file, "sequence": sequence, "term": hard_state.term.0, "vote": vote,
            "commitIndex": commit.index.0, "commitTerm": commit.term.0,
            "baseIndex": base.index.0, "baseTerm": base.term.0,
            "incarnation": incarnation.0, "boot": boot.0, "hasLoss": facts.loss.is_some(),
            "expectsSnapshot": facts.expected.is_some(), "isVoid": facts.is_void,
        })
    };
    lines.line(text, json);
}

fn dump_store(disk: &Arc<dyn Disk>, dir: &Path, root: &Path, lines: &mut Lines<'_>) -> Result<(), Failure> {
    use mvcc::inspect::Seen;
    let checkpoint = Checkpoint::open(disk.clone(), dir, None, &mut |seen| {
        if let Seen::Finding(finding) = seen {
            lines.finding(&finding);
        }
    });
    if let Some(checkpoint) = &checkpoint {
        show_mark(&name(checkpoint.path(), root), checkpoint.mark(), lines);
    }
    let mut files = Files::new("history", root);
    let mut see = |seen: Seen<'_>| match seen {
        Seen::Segment(segment) => files.next(&segment, lines),
        Seen::Change(_, change) => files.count(change.revision.main.cast_unsigned()),
        Seen::Finding(finding) => lines.finding(&finding),
        Seen::Read(_) | Seen::Key(..) | Seen::Row(..) => {}
    };
    let done = inspect_history(&**disk, dir, checkpoint.as_ref(), None, &wal::InTurn, &mut see);
    files.flush(lines);
    done.map(drop).map_err(|error| Failure::error(error.to_string()))
}

fn show_mark(file: &str, mark: &CheckpointMark, lines: &mut Lines<'_>) {
    let CheckpointMark { revision, compact_revision, applied, keys, rows, state_hash, .. } = mark;
    let text = || {
        format!(
            "checkpoint {file}: revision {revision}, compacted {compact_revision}, applied {}@{}, {keys} key(s), \
             {rows} row(s), state hash {state_hash:032x}, history from {} to {}, {} indexed part(s)",
            applied.index,
            applied.term,
            mark.tail_start,
            mark.history_end,
            mark.runs.len()
        )
    };
    let json = || {
        let runs: Vec<_> = mark.runs.iter().map(|(first, last)| json!([first.main, last.main])).collect();
        json!({
            "file": file, "revision": revision, "compactRevision": compact_revision,
            "appliedIndex": applied.index, "appliedTerm": applied.term, "keys": keys, "rows": rows,
            "stateHash": format!("{state_hash:032x}"), "historyEnd": mark.history_end.to_string(),
            "tailStart": mark.tail_start.to_string(), "runs": runs,
        })
    };
    lines.line(text, json);
}

/// The files of a log, each shown when what it holds is known.
struct Files<'a> {
    kind: &'static str,
    root: &'a Path,
    current: Option<(PathBuf, u64, bool)>,
    /// How many records, the first number and the last.
    held: Option<(u64, u64, u64)>,
}

impl<'a> Files<'a> {
    fn new(kind: &'static str, root: &'a Path) -> Self {
        Self { kind, root, current: None, held: None }
    }

    fn next(&mut self, segment: &SegmentSeen<'_>, lines: &mut Lines<'_>) {
        self.flush(lines);
        self.current = Some((segment.path.to_owned(), segment.file_bytes, segment.is_sealed));
    }

    fn count(&mut self, number: u64) {
        let (count, first, _) = self.held.unwrap_or((0, number, number));
        self.held = Some((count + 1, first, number));
    }

    fn flush(&mut self, lines: &mut Lines<'_>) {
        let held = self.held.take();
        let Some((path, bytes, is_sealed)) = self.current.take() else { return };
        let (kind, file) = (self.kind, name(&path, self.root));
        let text = || {
            let held = held.map_or("nothing".to_owned(), |(count, first, last)| {
                format!("{count} record(s), {first} to {last}")
            });
            format!("{kind} {file}: {bytes} bytes, {held}{}", if is_sealed { ", sealed" } else { "" })
        };
        let json = || {
            json!({
                "file": file, "kind": kind, "bytes": bytes, "isSealed": is_sealed,
                "records": held.map_or(0, |held| held.0),
                "first": held.map(|held| held.1), "last": held.map(|held| held.2),
            })
        };
        lines.line(text, json);
    }
}
