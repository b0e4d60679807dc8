//! What has been found so far, and how far the reading is.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mvcc::inspect::Seen;
use wal::{Finding, Severity};

/// Findings that are kept; there may be one for each sector of a file, and nobody reads more than these.
const FINDINGS_MAX: usize = 10_000;

/// A finding of a part that is looked at beside others.
pub(super) enum Found {
    /// It counts in any case.
    Finding(Finding),
    /// What is wrong at a place, unless a damage has been found there already: it would be the same again in other words.
    UnlessKnown(PathBuf, String),
}

/// Findings, and progress.
pub(super) struct Collected {
    pub(super) findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    pub(super) left_out: usize,
    damages: usize,
    pub(super) bytes_read: u64,
    bar: ProgressBar,
}

impl Collected {
    /// Begins, with a progress bar if there is a terminal to show it on. What lies in the directories is to be read.
    pub(super) fn of(directories: &[&Path]) -> Self {
        let mut total = 0;
        for (place, dir) in directories.iter().enumerate() {
            let is_within = directories[..place].iter().any(|other| dir.starts_with(other));
            total += if is_within { 0 } else { bytes_in(dir) };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { findings: Vec::new(), left_out: 0, damages: 0, bytes_read: 0, bar }
    }

    /// Takes a finding.
    pub(super) fn add(&mut self, finding: Finding) {
        if finding.severity == Severity::Damage {
            self.damages += 1;
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Begins a part, whose progress is shown with that of the whole.
    pub(super) fn part(&self) -> Self {
        Self { findings: Vec::new(), left_out: 0, damages: 0, bytes_read: 0, bar: self.bar.clone() }
    }

    /// Takes what a part has collected.
    pub(super) fn take(&mut self, part: Self) {
        let (left_out, damages) = (part.left_out, self.damages + part.damages);
        part.findings.into_iter().for_each(|finding| self.add(finding));
        self.left_out += left_out;
        self.damages = damages;
        self.bytes_read += part.bytes_read;
    }

    /// Takes a finding, if it says something new.
    pub(super) fn settle(&mut self, found: Found) {
        match found {
            Found::Finding(finding) => self.add(finding),
            Found::UnlessKnown(place, what) => {
                let is_known = |finding: &Finding| {
                    finding.severity == Severity::Damage
                        && (finding.path.starts_with(&place) || place.starts_with(&finding.path))
                };
                if !self.findings.iter().any(is_known) {
                    self.add(Finding::damage(&place, 0, 0, what));
                }
            }
        }
    }

    /// Notes that so many bytes more have been read.
    pub(super) fn read(&mut self, bytes: u64) {
        self.bytes_read += bytes;
        self.bar.inc(bytes);
    }

    /// Takes what the inspection of a store comes across.
    pub(super) fn see(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Read(bytes) => self.read(bytes),
            Seen::Finding(finding) => self.add(finding),
            Seen::Key(..) | Seen::Row(..) | Seen::Segment(_) | Seen::Change(..) => {}
        }
    }

    /// How many damages there are.
    pub(super) fn damages(&self) -> usize {
        self.damages
    }

    /// Takes the progress bar away, so that the report has the terminal.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let Ok(entries) = dir.read_dir() else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        // A segment that was made ahead is not read.
        _ if entry.path().extension().is_some_and(|extension| extension == "tmp") => 0,
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(bytes).sum()
}
