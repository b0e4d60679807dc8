//! What etcdutl says on standard error while it works: a line of its log, in the form that it has on a console, but without a
//! place in a source file.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warn,
}

/// Prints a line with its fields.
pub(super) fn print(level: Level, what: &str, fields: &[(&str, Value)]) {
    eprintln!("{}", line(OffsetDateTime::now_utc(), level, what, fields));
}

fn line(now: OffsetDateTime, level: Level, what: &str, fields: &[(&str, Value)]) -> String {
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
    };
    let now = now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
    let line = format!("{now}\t{level}\t{what}");
    if fields.is_empty() {
        return line;
    }
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}: {value}", Value::from(*name))).collect();
    format!("{line}\t{{{}}}", fields.join(", "))
}

/// Fields that are said in one value.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_of_etcdutls() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let fields = [("path", Value::from("a b.db")), ("size", Value::from(7))];
        assert_eq!(
            line(now, Level::Info, "restoring snapshot", &fields),
            "2023-11-14T22:13:20Z\tinfo\trestoring snapshot\t{\"path\": \"a b.db\", \"size\": 7}"
        );
        assert_eq!(line(now, Level::Warn, "so", &[]), "2023-11-14T22:13:20Z\twarn\tso");
    }
}
