//! The lines of a dump, as text or JSON.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use wal::{Finding, Severity};

use crate::util::arguments::Format;

/// Writes lines. After the first error of the output nothing more is written.
pub(super) struct Lines<'a> {
    out: &'a mut dyn Write,
    format: Format,
    failed: Option<io::Error>,
    damages: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(out: &'a mut dyn Write, format: Format) -> Self {
        Self { out, format, failed: None, damages: 0 }
    }

    /// Writes a line in the form that is wanted.
    pub(super) fn line(&mut self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
        if self.failed.is_some() {
            return;
        }
        let written = match self.format {
            Format::Simple => writeln!(self.out, "{}", text()),
            Format::Json => writeln!(self.out, "{}", json()),
        };
        self.failed = written.err();
    }

    /// Says what is wrong on standard error.
    pub(super) fn finding(&mut self, finding: &Finding) {
        if finding.severity == Severity::Damage {
            self.damages += 1;
            eprintln!("damage: {} at offset {}: {}", finding.path.display(), finding.offset, finding.what);
        }
    }

    /// Returns how many damaged places there were.
    pub(super) fn finish(self) -> io::Result<usize> {
        self.failed.map_or(Ok(self.damages), Err)
    }
}

/// Bytes as text: in quotes, what is not printable as `\x` escapes.
pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// Bytes in JSON, as etcdctl has them.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
