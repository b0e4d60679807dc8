//! `--config-file`: YAML, or JSON, which is YAML.
//!
//! The file replaces flags and environment as a whole. Its keys are the flags' names, some of them nested (the table's
//! [`FileKey`](super::table::FileKey)). Durations are whole numbers of nanoseconds, as for etcd, or
//! (which etcd refuses) texts like `10m`. A trap is etcd's and is kept: a key without a value (`data-dir:`, and of lists `''` and
//! `[]`) means the default. A key that is no setting is skipped, as etcd does, but reported. What expands or nests beyond
//! measure is refused.

use std::fs::File;
use std::io::Read;

use serde_json::Value as Node;

use super::error::ConfigError;
use super::go::{self, Nanos};
use super::notice::Notice;
use super::settings::{Settings, Source};
use super::table::{self, Flag};
use super::value::{self, Kind, Value};
use crate::limits::CONFIG_FILE_BYTES_MAX;

/// Reads the file at `path`.
pub(super) fn load(path: &str, notices: &mut Vec<Notice>) -> Result<Settings, ConfigError> {
    let text = read_text(path)?;
    let settings = parse(path, &text, notices)?;
    notices.push(Notice::FileLoaded { path: path.to_owned() });
    Ok(settings)
}

/// Returns the text of the file. It may be a device without an end.
fn read_text(path: &str) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::FileUnreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > CONFIG_FILE_BYTES_MAX {
        let reason = format!("the file has more than {CONFIG_FILE_BYTES_MAX} bytes, too many for settings");
        return Err(ConfigError::FileSyntax { path: path.to_owned(), reason });
    }
    Ok(text)
}

/// Reads the text of a file; `path` is for errors.
pub(super) fn parse(path: &str, text: &str, notices: &mut Vec<Notice>) -> Result<Settings, ConfigError> {
    let syntax = |reason: String| ConfigError::FileSyntax { path: path.to_owned(), reason };
    let root: Node = if text.trim().is_empty() {
        Node::Null
    } else {
        // A key that stands twice counts where it stands last, as in etcd.
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| syntax(error.to_string()))?
    };
    let mut settings = Settings::default();
    match root {
        Node::Null => {}
        Node::Object(_) => {
            let mut reader = Reader { path, settings: &mut settings, notices };
            reader.read(String::new(), &root)?;
        }
        _ => return Err(syntax("the file is not a mapping of settings".to_owned())),
    }
    Ok(settings)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins }
}

struct Reader<'a> {
    path: &'a str,
    settings: &'a mut Settings,
    notices: &'a mut Vec<Notice>,
}

impl Reader<'_> {
    /// Takes the node at `key`: the value of a setting, or a mapping with settings below it.
    fn read(&mut self, key: String, node: &Node) -> Result<(), ConfigError> {
        let flag = table::flags().find(|flag| flag.file_key() == Some(key.as_str()));
        match (flag, node) {
            (_, Node::Null) => {}
            (Some(flag), node) if flag.kind.is_nothing(node) => {}
            (Some(flag), node) => {
                let value = flag.kind.value_of(node).map_err(|reason| ConfigError::FileValue {
                    path: self.path.to_owned(),
                    key,
                    reason,
                })?;
                self.settings.set(flag, value, Source::File);
            }
            (None, Node::Object(entries)) if key.is_empty() || is_section(&key) => {
                for (name, node) in entries {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    self.read(key, node)?;
                }
            }
            (None, _) if is_section(&key) => {
                return Err(ConfigError::FileValue {
                    path: self.path.to_owned(),
                    reason: format!("invalid {key}: not a mapping"),
                    key,
                });
            }
            (None, _) => self.notices.push(Notice::UnknownFileKey { key }),
        }
        Ok(())
    }
}

/// Whether settings stand below this key.
fn is_section(key: &str) -> bool {
    let below = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    table::flags().filter_map(Flag::file_key).any(below)
}

impl Kind {
    /// Returns whether the node is a list with nothing in it.
    fn is_nothing(self, node: &Node) -> bool {
        match (self, node) {
            (Kind::Urls, Node::String(text)) => text.is_empty(),
            (Kind::Set | Kind::List, Node::Array(items)) => items.is_empty(),
            _ => false,
        }
    }

    /// Reads a value as it stands in the file. Numbers and booleans are taken where a text is expected (`name: 1`), never
    /// the other way round.
    fn value_of(self, node: &Node) -> Result<Value, String> {
        let mismatch = || format!("{} is not {}", describe(node), self.expectation());
        Ok(match self {
            Kind::Bool => Value::Bool(node.as_bool().ok_or_else(mismatch)?),
            Kind::Int => Value::Int(signed(node).ok_or_else(mismatch)?),
            Kind::Uint => Value::Uint(unsigned(node).ok_or_else(mismatch)?),
            Kind::Uint32 => {
                let number = unsigned(node).ok_or_else(mismatch)?;
                Value::Uint(value::within_u32(number).map_err(|error| error.to_string())?)
            }
            Kind::Duration => Value::Duration(duration(node).ok_or_else(mismatch)?),
            Kind::Text => Value::Text(scalar(node).ok_or_else(mismatch)?),
            Kind::Choice(_) | Kind::Choices(_) | Kind::Level | Kind::Urls | Kind::Origins => {
                let text = scalar(node).ok_or_else(mismatch)?;
                if text.is_empty() {
                    return self.parse_empty();
                }
                self.parse(&text).map_err(|error| format!("{text:?}: {error}"))?
            }
            Kind::Set => Value::List(value::unique(self.words(node).ok_or_else(mismatch)?)),
            Kind::List => Value::List(self.words(node).ok_or_else(mismatch)?),
            Kind::Discarded => Value::Discarded,
        })
    }

    /// An empty text where a word or URLs stand: nothing was chosen.
    fn parse_empty(self) -> Result<Value, String> {
        Ok(self.empty())
    }

    /// A sequence of texts, or one comma-separated text (etcd has both, depending on the key; either is taken).
    fn words(self, node: &Node) -> Option<Vec<String>> {
        match node {
            Node::Array(items) => items.iter().map(scalar).collect(),
            _ => match self.parse(&scalar(node)?) {
                Ok(Value::List(words)) => Some(words),
                _ => None,
            },
        }
    }

    fn expectation(self) -> &'static str {
        match self {
            Kind::Bool => "a boolean (true or false)",
            Kind::Int => "a whole number",
            Kind::Uint | Kind::Uint32 => "a whole number that is not negative",
            Kind::Duration => "a duration: a text like 10m, or a whole number of nanoseconds (600000000000)",
            Kind::Text | Kind::Choice(_) | Kind::Choices(_) | Kind::Level => "a text",
            Kind::Urls | Kind::Origins => "a text of comma-separated URLs",
            Kind::Set | Kind::List => "a sequence of texts",
            Kind::Discarded => "anything",
        }
    }
}

/// A number of nanoseconds, or a duration as the command line has it.
fn duration(node: &Node) -> Option<Nanos> {
    match node {
        Node::String(text) => go::parse_duration(text),
        node => signed(node).map(Nanos),
    }
}

fn signed(node: &Node) -> Option<i64> {
    node.as_i64().or_else(|| whole(node))
}

fn unsigned(node: &Node) -> Option<u64> {
    node.as_u64().or_else(|| u64::try_from(whole(node)?).ok())
}

/// A whole number written as another one (`8e9`, `1000.0`). Go's YAML library hands etcd such a number as its digits.
fn whole(node: &Node) -> Option<i64> {
    /// Up to here every whole number is a `f64`.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let number = node.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX)?;
    Some(number as i64)
}

/// A text, or a number or boolean as text.
fn scalar(node: &Node) -> Option<String> {
    match node {
        Node::String(text) => Some(text.clone()),
        Node::Number(number) => Some(number.to_string()),
        Node::Bool(value) => Some(value.to_string()),
        Node::Null | Node::Array(_) | Node::Object(_) => None,
    }
}

fn describe(node: &Node) -> String {
    match node {
        Node::Array(_) => "a sequence".to_owned(),
        Node::Object(_) => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Settings, Vec<Notice>), ConfigError> {
        let mut notices = Vec::new();
        parse("etcd.conf.yml", text, &mut notices).map(|settings| (settings, notices))
    }

    #[test]
    fn yaml_and_json_are_read_alike() {
        let yaml = "name: n1\nsnapshot-count: 5000\npre-vote: false\ngrpc-keepalive-interval: 60000000000\n\
                    listen-client-urls: http://10.0.0.1:2379,http://127.0.0.1:2379\nlog-outputs: [stderr, /tmp/x.log]\n\
                    socket-options:\n  reuse-port: true\nclient-transport-security:\n  cert-file: /c.pem\n  client-cert-auth: true\n";
        let json = r#"{"name":"n1","snapshot-count":5000,"pre-vote":false,"grpc-keepalive-interval":60000000000,
                    "listen-client-urls":"http://10.0.0.1:2379,http://127.0.0.1:2379","log-outputs":["stderr","/tmp/x.log"],
                    "socket-options":{"reuse-port":true},"client-transport-security":{"cert-file":"/c.pem","client-cert-auth":true}}"#;
        for text in [yaml, json] {
            let (settings, notices) = read(text).unwrap();
            assert_eq!(notices, []);
            assert_eq!(settings.text("name"), "n1");
            assert_eq!(settings.uint("snapshot-count"), 5000);
            assert!(!settings.bool("pre-vote"));
            assert_eq!(settings.duration("grpc-keepalive-interval").to_string(), "1m0s");
            assert_eq!(settings.urls("listen-client-urls").len(), 2);
            assert_eq!(settings.list("log-outputs"), ["/tmp/x.log", "stderr"]);
            assert!(settings.bool("socket-reuse-port"));
            assert_eq!(settings.text("cert-file"), "/c.pem");
            assert!(settings.bool("client-cert-auth"));
            assert_eq!(settings.source("cert-file"), Source::File);
        }
    }

    #[test]
    fn a_key_without_a_value_is_the_default() {
        let (settings, _) = read("data-dir:\nclient-transport-security:\n  cert-file:\nsnapshot-count:\ninitial-cluster-state: ''\n").unwrap();
        assert_eq!((settings.text("data-dir"), settings.source("data-dir")), ("", Source::Default));
        assert_eq!(settings.uint("snapshot-count"), 10000);
        assert!(read("").is_ok() && read("# only a comment\n").is_ok());
    }

    /// What templates make of a value that nobody gave.
    #[test]
    fn a_list_without_anything_in_it_is_the_default() {
        let (settings, _) =
            read("listen-client-urls: ''\nadvertise-client-urls: ''\nlog-outputs: []\n").unwrap();
        for name in ["listen-client-urls", "advertise-client-urls"] {
            assert_eq!(super::super::url::join(settings.urls(name)), "http://localhost:2379", "{name}");
            assert_eq!(settings.source(name), Source::Default, "{name}");
        }
        assert_eq!(settings.list("log-outputs"), ["default"]);
    }

    #[test]
    fn a_key_that_stands_twice_counts_where_it_stands_last() {
        let twice = "name: one\nname: two\nsocket-options: {reuse-port: false, reuse-port: true}\n";
        let (settings, _) = read(twice).unwrap();
        assert_eq!((settings.text("name"), settings.bool("socket-reuse-port")), ("two", true));
    }

    #[test]
    fn whole_numbers_may_be_written_with_an_exponent() {
        let (settings, _) =
            read("quota-backend-bytes: 8e9\nmax-request-bytes: 1.5e6\nwarning-apply-duration: 1e8\n")
                .unwrap();
        assert_eq!(settings.int("quota-backend-bytes"), 8_000_000_000);
        assert_eq!(settings.uint("max-request-bytes"), 1_500_000);
        assert_eq!(settings.duration("warning-apply-duration").to_string(), "100ms");
        assert!(read("quota-backend-bytes: 8.5").is_err() && read("max-request-bytes: -1e3").is_err());
    }

    #[test]
    fn durations_are_texts_or_nanoseconds() {
        for (text, expected) in [
            ("1m30s", "1m30s"),
            ("'500ms'", "500ms"),
            ("90000000000", "1m30s"),
            ("\"0\"", "0s"),
            ("0", "0s"),
            ("-1s", "-1s"),
        ] {
            let (settings, _) =
                read(&format!("discovery-config: {{client: {{dial-timeout: {text}}}}}\n")).unwrap();
            assert_eq!(settings.duration("discovery-dial-timeout").to_string(), expected, "{text}");
        }
        for text in ["10", "'5'", "5x", "''", "[1s]", "true", "9999999999h"] {
            let found = read(&format!("warning-apply-duration: {text}\n"));
            assert_eq!(found.is_ok(), text == "10", "{text}");
        }
    }

    /// What somebody has put together to do harm, or a file that is something else.
    #[test]
    fn hostile_files_are_refused() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (one, next) in ('a'..'k').zip('b'..'l') {
            bomb.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 10].join(", ")));
        }
        for (text, what) in [
            (bomb, "anchors that expand"),
            (format!("name: {}", "[".repeat(100_000)), "deep nesting"),
            (format!("{}1", "{a: ".repeat(100_000)), "deep nesting of mappings"),
            (format!("name: {}{}", "[".repeat(50_000), "]".repeat(50_000)), "deep nesting that ends"),
            ("name: &a [*a]\n".to_owned(), "an anchor within itself"),
            ("name: *nowhere\n".to_owned(), "an anchor that is not there"),
            ("name: !!binary '\u{1}'\n\u{0}".to_owned(), "a control character"),
            ("name: a\n---\nname: b\n".to_owned(), "two documents"),
            ("name: {a: b}\n".to_owned(), "a mapping for a name"),
            ("? [a, b]\n: c\n".to_owned(), "a sequence for a key"),
        ] {
            let found = read(&text);
            assert!(
                found.is_err(),
                "{what}: {:?}",
                found.map(|(settings, _)| settings.text("name").to_owned())
            );
        }
    }

    #[test]
    fn files_that_are_no_text_or_too_long_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etcd.conf.yml");
        let path = path.to_str().unwrap();
        let error = |bytes: &[u8]| {
            std::fs::write(path, bytes).unwrap();
            load(path, &mut Vec::new()).unwrap_err().to_string()
        };
        assert_eq!(error(b"name: \xff\xfe\n"), format!("open {path}: stream did not contain valid UTF-8"));
        let long = format!("name: {}", "x".repeat(CONFIG_FILE_BYTES_MAX as usize));
        let why =
            format!("{path}: the file has more than {CONFIG_FILE_BYTES_MAX} bytes, too many for settings");
        assert_eq!(error(long.as_bytes()), why);
        assert!(load("/dev/zero", &mut Vec::new()).is_err(), "a file without an end");
        assert!(load(directory.path().to_str().unwrap(), &mut Vec::new()).is_err(), "a directory");
        std::fs::write(path, "name: short\n").unwrap();
        assert_eq!(load(path, &mut Vec::new()).unwrap().text("name"), "short");
    }

    #[test]
    fn a_file_may_be_indented_as_a_whole() {
        let (settings, _) = read("  name: a\n  snapshot-count: 7\n").unwrap();
        assert_eq!((settings.text("name"), settings.uint("snapshot-count")), ("a", 7));
    }

    #[test]
    fn numbers_are_taken_for_texts() {
        let (settings, _) = read("auto-compaction-retention: 1\ninitial-cluster-token: 12\n").unwrap();
        assert_eq!(
            (settings.text("auto-compaction-retention"), settings.text("initial-cluster-token")),
            ("1", "12")
        );
    }

    #[test]
    fn unknown_keys_are_reported() {
        let (_, notices) =
            read("proxy: 'off'\nclient-transport-security: {nosuch: 1}\nconfig-file: x\n").unwrap();
        let keys: Vec<_> = ["proxy", "client-transport-security.nosuch", "config-file"]
            .map(|key| Notice::UnknownFileKey { key: key.to_owned() })
            .into();
        let mut sorted = notices.clone();
        sorted.sort_by_key(|notice| keys.iter().position(|key| key == notice));
        assert_eq!(sorted, keys);
    }

    #[test]
    fn values_of_the_wrong_kind_are_named() {
        let cases = [
            (
                "grpc-keepalive-interval: 10 minutes",
                "etcd.conf.yml: grpc-keepalive-interval: \"10 minutes\" is not a duration: a text like 10m, or a whole number of \
                 nanoseconds (600000000000)",
            ),
            ("pre-vote: 1", "etcd.conf.yml: pre-vote: 1 is not a boolean (true or false)"),
            (
                "snapshot-count: -1",
                "etcd.conf.yml: snapshot-count: -1 is not a whole number that is not negative",
            ),
            (
                "snapshot-count: '5'",
                "etcd.conf.yml: snapshot-count: \"5\" is not a whole number that is not negative",
            ),
            (
                "max-concurrent-streams: 4294967296",
                "etcd.conf.yml: max-concurrent-streams: value out of range",
            ),
            ("name: [a]", "etcd.conf.yml: name: a sequence is not a text"),
            (
                "listen-peer-urls: foo",
                "etcd.conf.yml: listen-peer-urls: \"foo\": URL scheme must be http, https, unix, or unixs: foo",
            ),
            (
                "peer-transport-security: 5",
                "etcd.conf.yml: peer-transport-security: invalid peer-transport-security: not a mapping",
            ),
            ("- a\n- b\n", "etcd.conf.yml: the file is not a mapping of settings"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap_err().to_string(), expected);
        }
        assert!(matches!(read("name: [").unwrap_err(), ConfigError::FileSyntax { .. }));
    }
}
