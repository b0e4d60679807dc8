//! The versions of one key, as the events of a watch from its oldest revision tell them.

use super::node::Node;
use super::text;
use super::values;

/// What happened to the key at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The revision.
    pub revision: i64,
    /// What it left.
    pub state: State,
}

/// The key after a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was written.
    Written {
        /// How often since it was created; 1 is the creation.
        version: i64,
        /// The value.
        value: Vec<u8>,
        /// Its lease; 0 is none.
        lease: i64,
    },
    /// It was deleted, by a request or by the end of its lease.
    Deleted,
}

/// The first line of the list.
pub const TITLE: &str = "REVISION  VERSION  WHAT        SIZE  TIME                  VALUE";

/// How many characters of a value a line has.
const VALUE_CHARACTERS_MAX: usize = 60;

impl Version {
    /// Returns its line.
    pub fn line(&self) -> String {
        let revision = self.revision;
        match &self.state {
            State::Deleted => format!("{revision:>8}  {:>7}  deleted", "-"),
            State::Written { version, value, lease } => {
                let what = if *version == 1 { "created" } else { "changed" };
                let (size, time) =
                    (text::size(value.len() as u64), time(value).unwrap_or_else(|| "-".to_owned()));
                let lease = if *lease == 0 { String::new() } else { format!("  lease {lease:016x}") };
                let shown = summary(value);
                format!("{revision:>8}  {version:>7}  {what}  {size:>7}  {time:<20}  {shown}{lease}")
                    .trim_end()
                    .to_owned()
            }
        }
    }
}

/// The first line of a value, or what it is.
fn summary(value: &[u8]) -> String {
    let decoded = values::decode(value);
    match &decoded.content {
        Node::Text(content) => {
            let line = text::key(content.lines().next().unwrap_or_default().as_bytes()).into_owned();
            text::fit(&line, VALUE_CHARACTERS_MAX).into_owned()
        }
        content => match (content.get("kind"), content.get("apiVersion")) {
            (Some(Node::Text(kind)), Some(Node::Text(api))) => format!("{kind} of {api}"),
            _ => {
                let line = serde_json::to_string(content).unwrap_or_default();
                text::fit(&line, VALUE_CHARACTERS_MAX).into_owned()
            }
        },
    }
}

/// The newest time that an object of Kubernetes carries in its metadata: when a manager of fields last changed it, else
/// when it was created. Nothing else knows a time: the history of etcd has none.
fn time(value: &[u8]) -> Option<String> {
    let decoded = values::decode(value);
    let metadata = decoded.content.get("metadata")?;
    let managed = metadata.get("managedFields").map_or(&[][..], Node::items);
    let changes = managed.iter().filter_map(|entry| entry.get("time")?.as_text()).max();
    changes.or_else(|| metadata.get("creationTimestamp")?.as_text()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(revision: i64, version: i64, value: &str, lease: i64) -> Version {
        Version { revision, state: State::Written { version, value: value.into(), lease } }
    }

    #[test]
    fn each_version_is_a_line() {
        let object = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[{"time":"2026-02-01T00:00:00Z"},{"time":"2026-01-15T00:00:00Z"}]}}"#;
        let versions = [
            written(5, 1, "hello\nworld", 0),
            written(6, 2, object, 0),
            Version { revision: 9, state: State::Deleted },
            written(12, 1, "", 0x1a2b),
        ];
        let lines: Vec<String> = versions.iter().map(Version::line).collect();
        assert_eq!(
            lines,
            [
                "       5        1  created     11 B  -                     hello",
                "       6        2  changed    170 B  2026-02-01T00:00:00Z  Pod of v1",
                "       9        -  deleted",
                "      12        1  created      0 B  -                       lease 0000000000001a2b",
            ]
        );
    }
}
