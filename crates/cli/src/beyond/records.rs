//! The file of `export` and `import`: one JSON object a line.
//!
//! ```text
//! {"export":1,"revision":42,"prefix":"/app/","leases":false}
//! {"key":"/app/a","value":"1"}
//! {"key_base64":"/wA=","value":"2","lease":"1a2b","ttl":60}
//! {"end":true,"keys":2}
//! ```
//!
//! The last line tells a whole file from one that was cut off: `import` writes nothing before it has seen it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The only version there is.
const FORMAT: u32 = 1;

/// A key and its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The lease it was attached to and the seconds that were granted for it.
    pub lease: Option<(i64, i64)>,
}

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The revision that all keys were read at.
    pub revision: i64,
    /// What their keys begin with.
    pub prefix: Vec<u8>,
}

/// Any of the lines.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
}

impl Line {
    /// Returns the line, with its line feed.
    fn write(&self) -> String {
        // Numbers, texts and booleans: there is nothing that JSON cannot say.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Returns the first line of a file.
pub fn head_line(head: &Head) -> String {
    let (prefix, prefix_base64) = split(&head.prefix);
    Line { export: Some(FORMAT), revision: Some(head.revision), prefix, prefix_base64, ..Line::default() }
        .write()
}

/// Returns the line of a record.
pub fn record_line(record: &Record) -> String {
    let (key, key_base64) = split(&record.key);
    let (value, value_base64) = split(&record.value);
    let lease = record.lease.map(|(id, _)| format!("{id:x}"));
    let ttl = record.lease.map(|(_, ttl)| ttl);
    Line { key, key_base64, value, value_base64, lease, ttl, ..Line::default() }.write()
}

/// Returns the last line of a file with this many records.
pub fn end_line(keys: u64) -> String {
    Line { end: Some(true), keys: Some(keys), ..Line::default() }.write()
}

/// Text as text, other bytes in Base64.
fn split(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// Returns the records of a whole file.
///
/// # Errors
/// When a line is not of this form, or the end is missing: the line and what is wrong with it.
pub fn read(text: &str) -> Result<(Head, Vec<Record>), String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, first) = lines.next().ok_or("it is empty")?;
    let head = read_head(&parse(0, first)?).map_err(|why| at(0, &why))?;
    let mut records = Vec::new();
    for (place, text) in lines.by_ref() {
        let line = parse(place, text)?;
        if line.end.is_some() {
            return finish(head, records, line.keys, lines.next().map(|(place, _)| place));
        }
        records.push(read_record(line).map_err(|why| at(place, &why))?);
    }
    Err(format!("it ends after {} keys without a last line: it was cut off", records.len()))
}

fn finish(
    head: Head,
    records: Vec<Record>,
    keys: Option<u64>,
    more: Option<usize>,
) -> Result<(Head, Vec<Record>), String> {
    if let Some(place) = more {
        return Err(at(place, "there is more after the end"));
    }
    match keys {
        Some(keys) if keys == records.len() as u64 => Ok((head, records)),
        _ => {
            Err(format!("it has {} keys, but its last line says {}", records.len(), keys.unwrap_or_default()))
        }
    }
}

fn at(place: usize, why: &str) -> String {
    format!("line {}: {why}", place + 1)
}

fn parse(place: usize, text: &str) -> Result<Line, String> {
    serde_json::from_str(text).map_err(|error| at(place, &error.to_string()))
}

fn read_head(line: &Line) -> Result<Head, String> {
    match line.export {
        Some(FORMAT) => {}
        Some(other) => return Err(format!("format {other} is not known here, only {FORMAT}")),
        None => return Err("it does not begin with {\"export\":1,...} as a file of `export` does".to_owned()),
    }
    let prefix = join(line.prefix.as_deref(), line.prefix_base64.as_deref(), "prefix")?;
    Ok(Head { revision: line.revision.unwrap_or_default(), prefix })
}

fn read_record(line: Line) -> Result<Record, String> {
    let key = join(line.key.as_deref(), line.key_base64.as_deref(), "key")?;
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    let value = join(line.value.as_deref(), line.value_base64.as_deref(), "value")?;
    let lease = match (line.lease, line.ttl) {
        (None, None) => None,
        (Some(id), Some(ttl)) => {
            let id = i64::from_str_radix(&id, 16)
                .map_err(|_| format!("lease {id:?} is not a hexadecimal number"))?;
            Some((id, ttl))
        }
        _ => return Err("lease and ttl come together".to_owned()),
    };
    Ok(Record { key, value, lease })
}

/// The bytes of a text, or of the Base64 in its place.
fn join(text: Option<&str>, base64: Option<&str>, name: &str) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(base64)) => STANDARD.decode(base64).map_err(|error| format!("{name}_base64: {error}")),
        (None, None) => Err(format!("{name} is missing")),
        (Some(_), Some(_)) => Err(format!("{name} and {name}_base64 exclude each other")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> String {
        let records = [
            Record { key: b"/a".to_vec(), value: b"1\n".to_vec(), lease: None },
            Record { key: b"\xff\0".to_vec(), value: b"\xfe".to_vec(), lease: Some((0x1a2b, 60)) },
        ];
        let body: String = records.iter().map(record_line).collect();
        head_line(&Head { revision: 42, prefix: b"/".to_vec() }) + &body + &end_line(2)
    }

    #[test]
    fn a_file_is_lines_of_json() {
        let expected = r#"{"export":1,"revision":42,"prefix":"/"}
{"key":"/a","value":"1\n"}
{"key_base64":"/wA=","value_base64":"/g==","lease":"1a2b","ttl":60}
{"end":true,"keys":2}
"#;
        assert_eq!(file(), expected);
    }

    #[test]
    fn what_was_written_is_read() {
        let (head, records) = read(&file()).expect("a whole file");
        assert_eq!(head, Head { revision: 42, prefix: b"/".to_vec() });
        let rewritten: String = records.iter().map(record_line).collect();
        assert_eq!(head_line(&head) + &rewritten + &end_line(2), file());
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let file = file();
        let head = r#"{"export":1,"revision":1,"prefix":""}"#;
        for (text, why) in [
            ("", "it is empty"),
            ("{}", "line 1: it does not begin with {\"export\":1,...} as a file of `export` does"),
            (
                &file[..file.rfind("{\"end").expect("an end")],
                "it ends after 2 keys without a last line: it was cut off",
            ),
            (&file.replace("\"keys\":2", "\"keys\":3"), "it has 2 keys, but its last line says 3"),
            (&format!("{file}{{}}"), "line 5: there is more after the end"),
            (&format!("{head}\n{{\"key\":\"a\"}}"), "line 2: value is missing"),
            (&format!("{head}\n{{\"key\":\"\",\"value\":\"\"}}"), "line 2: the key is empty"),
            (
                &format!("{head}\n{{\"key\":\"a\",\"value\":\"\",\"ttl\":5}}"),
                "line 2: lease and ttl come together",
            ),
        ] {
            assert_eq!(read(text).expect_err(text), why);
        }
    }
}
