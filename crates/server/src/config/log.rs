//! Where log lines go, from which level on, in which shape, and how their file is rotated.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Node;

use super::{ConfigError, Settings};

/// Logging.
#[derive(Clone, Debug)]
pub struct Log {
    /// Least level written.
    pub level: tracing::Level,
    /// The shape of a line.
    pub format: LogFormat,
    /// Where lines go.
    pub outputs: Vec<LogOutput>,
    /// How the file among the outputs is rotated, if it is.
    pub rotation: Option<Rotation>,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON, on a terminal too: containers have one, and what collects their logs reads JSON.
    Json,
    /// For people.
    Console,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// systemd's journal.
    Journal,
    /// A file, appended to.
    File(PathBuf),
}

/// When a log file is put aside, and what becomes of those that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The longest that a file gets, in bytes.
    pub bytes_max: u64,
    /// How old a file that was put aside gets.
    pub age_max: Option<Duration>,
    /// How many such files are kept.
    pub files_max: Option<usize>,
    /// Whether the names of such files have the time of this place, and not of Greenwich.
    pub local_time: bool,
    /// Whether such files are compressed.
    pub compress: bool,
}

impl Log {
    /// Reads the settings, which have been checked.
    ///
    /// # Errors
    /// When the settings of a rotation cannot be read.
    pub(super) fn from_settings(settings: &Settings) -> Result<Log, ConfigError> {
        let rotates = settings.bool("enable-log-rotation");
        Ok(Log {
            level: match settings.text("log-level") {
                "debug" => tracing::Level::DEBUG,
                "" | "info" => tracing::Level::INFO,
                "warn" => tracing::Level::WARN,
                // Everything above an error is logged as one.
                _ => tracing::Level::ERROR,
            },
            format: match settings.text("log-format") {
                "console" => LogFormat::Console,
                _ => LogFormat::Json,
            },
            outputs: outputs(settings.list("log-outputs")),
            rotation: rotates
                .then(|| Rotation::parse(settings.text("log-rotation-config-json")))
                .transpose()?,
        })
    }
}

/// Checks that the outputs go together, with etcd's words.
///
/// # Errors
/// That of the first rule that they break.
pub(super) fn check_outputs(words: &[String], rotates: bool) -> Result<(), ConfigError> {
    let refuse = |text: String| Err(ConfigError::Invalid(text));
    if words.iter().all(String::is_empty) {
        return refuse("--log-outputs names no output".to_owned());
    }
    if words.len() > 1 && words.iter().any(|word| word == "default") {
        return refuse("multi logoutput for \"default\" is not supported yet".to_owned());
    }
    let files = words.iter().filter(|word| !["default", "stdout", "stderr"].contains(&word.as_str())).count();
    if rotates && (files > 1 || words.len() == 1 && files == 0) {
        return refuse(
            "--log-outputs requires a single file path when --log-rotate-config-json is defined".to_owned(),
        );
    }
    if words.len() > 1 && words.iter().any(|word| word == JOURNAL) {
        let quoted = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
        return refuse(format!(
            "running with systemd/journal but other '--log-outputs' values ([{quoted}]) are configured with 'default'; \
             override 'default' value with something else"
        ));
    }
    Ok(())
}

const JOURNAL: &str = "systemd/journal";

/// Returns the outputs, `default` being stderr, none of them twice.
fn outputs(words: &[String]) -> Vec<LogOutput> {
    let mut outputs = Vec::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let output = match word.as_str() {
            "default" | "stderr" => LogOutput::Stderr,
            "stdout" => LogOutput::Stdout,
            JOURNAL => LogOutput::Journal,
            path => LogOutput::File(PathBuf::from(path)),
        };
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    outputs
}

/// Bytes of what the settings call a megabyte.
const MEGABYTE: u64 = 1 << 20;

/// The longest file where the settings name none, in megabytes.
const MEGABYTES_DEFAULT: u64 = 100;

impl Rotation {
    /// Reads `--log-rotation-config-json`. As for etcd, names are the same in capitals, unknown ones do not count, and 0 of
    /// something is the default or no limit.
    fn parse(text: &str) -> Result<Rotation, ConfigError> {
        let refuse = |what: &str, why: String| ConfigError::Invalid(format!("{what}: {why}"));
        let root: Node = serde_json::from_str(text).map_err(|error| {
            let end = "unexpected end of JSON input".to_owned();
            let why = if error.is_eof() { end } else { error.to_string() };
            refuse("improperly formatted log rotation config", why)
        })?;
        let fields = Fields::of(&root).map_err(|why| refuse("invalid log rotation config", why))?;
        let bytes_max = match u64::try_from(fields.megabytes) {
            Ok(0) => MEGABYTES_DEFAULT.saturating_mul(MEGABYTE),
            Ok(megabytes) => megabytes.saturating_mul(MEGABYTE),
            // etcd takes it, and then writes nothing.
            Err(_) => {
                let why = format!("maxsize must not be negative (set to {})", fields.megabytes);
                return Err(refuse("invalid log rotation config", why));
            }
        };
        let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
        Ok(Rotation {
            bytes_max,
            age_max: positive(fields.days).map(|days| Duration::from_secs(days.saturating_mul(86_400))),
            files_max: positive(fields.files).map(|files| usize::try_from(files).unwrap_or(usize::MAX)),
            local_time: fields.local_time,
            compress: fields.compress,
        })
    }
}

#[derive(Default)]
struct Fields {
    megabytes: i64,
    days: i64,
    files: i64,
    local_time: bool,
    compress: bool,
}

impl Fields {
    fn of(root: &Node) -> Result<Fields, String> {
        let mut fields = Fields::default();
        let entries = match root {
            Node::Null => return Ok(fields),
            Node::Object(entries) => entries,
            other => {
                let what = go_kind(other);
                return Err(format!(
                    "json: cannot unmarshal {what} into Go value of type embed.logRotationConfig"
                ));
            }
        };
        for (name, node) in entries.iter().filter(|(_, node)| !node.is_null()) {
            let lower = name.to_ascii_lowercase();
            let wrong = |kind: &str| {
                let what = go_kind(node);
                format!(
                    "json: cannot unmarshal {what} into Go struct field logRotationConfig.Logger.{lower} of type {kind}"
                )
            };
            let number = || node.as_i64().ok_or_else(|| wrong("int"));
            let truth = || node.as_bool().ok_or_else(|| wrong("bool"));
            match lower.as_str() {
                "maxsize" => fields.megabytes = number()?,
                "maxage" => fields.days = number()?,
                "maxbackups" => fields.files = number()?,
                "localtime" => fields.local_time = truth()?,
                "compress" => fields.compress = truth()?,
                _ => {}
            }
        }
        Ok(fields)
    }
}

/// Returns what Go calls a value that is of the wrong type.
fn go_kind(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(_) => "bool".to_owned(),
        Node::Number(number) => format!("number {number}"),
        Node::String(_) => "string".to_owned(),
        Node::Array(_) => "array".to_owned(),
        Node::Object(_) => "object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Rotation, String> {
        Rotation::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rotation_is_read_as_etcd_reads_it() {
        let default = Rotation {
            bytes_max: 100 << 20,
            age_max: None,
            files_max: None,
            local_time: false,
            compress: false,
        };
        let of_flag = super::super::table::find("log-rotation-config-json").expect("a flag").default;
        for text in
            [of_flag, "{}", "null", r#"{"maxsize": 0, "nosuch": [1], "compress": null, "filename": "x"}"#]
        {
            assert_eq!(parsed(text), Ok(default), "{text}");
        }
        let all = r#"{"MaxSize": 1, "maxage": 2, "maxbackups": 3, "localtime": true, "compress": true}"#;
        let expected = Rotation {
            bytes_max: 1 << 20,
            age_max: Some(Duration::from_secs(2 * 86_400)),
            files_max: Some(3),
            local_time: true,
            compress: true,
        };
        assert_eq!(parsed(all), Ok(expected));
    }

    #[test]
    fn what_is_no_rotation_has_etcds_words() {
        for (text, why) in [
            (
                r#"{"maxsize": true}"#,
                "invalid log rotation config: json: cannot unmarshal bool into Go struct field \
                 logRotationConfig.Logger.maxsize of type int",
            ),
            (r#"{"maxsize": true"#, "improperly formatted log rotation config: unexpected end of JSON input"),
            ("", "improperly formatted log rotation config: unexpected end of JSON input"),
            (
                r#"{"maxage": 1.5}"#,
                "invalid log rotation config: json: cannot unmarshal number 1.5 into Go struct field \
                 logRotationConfig.Logger.maxage of type int",
            ),
            (
                r#"{"compress": "yes"}"#,
                "invalid log rotation config: json: cannot unmarshal string into Go struct field \
                 logRotationConfig.Logger.compress of type bool",
            ),
            (
                "[]",
                "invalid log rotation config: json: cannot unmarshal array into Go value of type embed.logRotationConfig",
            ),
            (r#"{"maxsize": -1}"#, "invalid log rotation config: maxsize must not be negative (set to -1)"),
        ] {
            assert_eq!(parsed(text), Err(why.to_owned()), "{text}");
        }
        assert!(parsed("{maxsize}").unwrap_err().starts_with("improperly formatted log rotation config: "));
        assert!(parsed(&"[".repeat(100_000)).is_err());
    }
}
