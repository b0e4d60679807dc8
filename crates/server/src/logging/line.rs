//! One log line, from an event to its text.

use std::error::Error;
use std::fmt::{self, Write};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use super::time::timestamp;

/// The parts of a line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) level: &'static str,
    ts: String,
    caller: String,
    message: String,
    /// The fields in the order of the event, as the inside of a JSON object: `"a":1,"b":"x"`.
    fields: String,
}

impl Line {
    pub(super) fn of(event: &Event<'_>, time: SystemTime) -> Line {
        let mut fields = Fields::default();
        event.record(&mut fields);
        Line {
            level: level_name(event.metadata()),
            ts: timestamp(time),
            caller: caller(event.metadata()),
            message: fields.message,
            fields: fields.json,
        }
    }

    /// The directory of the code that logs.
    pub(super) fn directory(&self) -> &str {
        self.caller.split_once('/').map_or(".", |(directory, _)| directory)
    }

    /// The line as JSON, newline included.
    pub(super) fn json(&self) -> String {
        let mut text = format!("{{\"level\":\"{}\",\"ts\":\"{}\",\"caller\":", self.level, self.ts);
        push_string(&mut text, &self.caller);
        text.push_str(",\"msg\":");
        push_string(&mut text, &self.message);
        if !self.fields.is_empty() {
            text.push(',');
            text.push_str(&self.fields);
        }
        text.push_str("}\n");
        text
    }

    /// The line for people, newline included; `level` as it shall appear.
    pub(super) fn console(&self, level: &str) -> String {
        let mut text = format!("{}\t{level}\t{}\t{}", self.ts, self.caller, self.message);
        if !self.fields.is_empty() {
            let _ = write!(text, "\t{{{}}}", self.fields);
        }
        text.push('\n');
        text
    }
}

fn level_name(metadata: &Metadata<'_>) -> &'static str {
    match *metadata.level() {
        _ if metadata.target() == super::FATAL => "fatal",
        Level::TRACE | Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

/// Directory, file and line of the code that logs: `http/health.rs:40`. The directory `src` says nothing and is skipped.
fn caller(metadata: &Metadata<'_>) -> String {
    let path = metadata.file().unwrap_or("unknown");
    let mut parts: Vec<&str> = path.rsplit('/').filter(|part| *part != "src").take(2).collect();
    parts.reverse();
    format!("{}:{}", parts.join("/"), metadata.line().unwrap_or(0))
}

/// Returns a list of texts as JSON, if it is one: in etcd's lines lists are arrays.
fn array(debug: &str) -> Option<String> {
    let list: Vec<String> = debug.starts_with('[').then(|| serde_json::from_str(debug).ok())??;
    serde_json::to_string(&list).ok()
}

/// Appends a JSON string.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[derive(Default)]
struct Fields {
    message: String,
    json: String,
}

impl Fields {
    fn push(&mut self, name: &str, value: impl FnOnce(&mut String)) {
        if !self.json.is_empty() {
            self.json.push(',');
        }
        push_string(&mut self.json, name.strip_prefix("r#").unwrap_or(name));
        self.json.push(':');
        value(&mut self.json);
    }

    fn push_raw(&mut self, field: &Field, value: impl fmt::Display) {
        self.push(field.name(), |out| {
            let _ = write!(out, "{value}");
        });
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            let text = format!("{value:?}");
            self.push(field.name(), |out| match array(&text) {
                Some(array) => out.push_str(&array),
                None => push_string(out, &text),
            });
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.push(field.name(), |out| push_string(out, value));
        }
    }

    /// An error with all its causes, as one text. A cause that the text names already is not repeated.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let reason = error.to_string();
            if !text.contains(&reason) {
                let _ = write!(text, ": {reason}");
            }
            cause = error.source();
        }
        self.push(field.name(), |out| push_string(out, &text));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_raw(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_raw(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.push_raw(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.push_raw(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_raw(field, value);
    }

    /// JSON has no infinities; they become texts.
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.push_raw(field, value);
        } else {
            self.push(field.name(), |out| push_string(out, &value.to_string()));
        }
    }
}
