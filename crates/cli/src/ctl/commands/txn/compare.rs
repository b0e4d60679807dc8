//! The compares of a transaction: `target("key") op "value"`.

use proto::etcdserverpb::Compare;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

use super::{Compared, invalid};
use crate::go::number::{parse_decimal, parse_hexadecimal};
use crate::go::quote::{quote, unquote_prefix};

/// Reads a compare.
///
/// # Errors
/// With exit code 3 when it is none.
pub(super) fn parse(line: &str) -> Compared {
    let Some((target, rest)) = line.split_once('(') else {
        return Err(invalid(format!("malformed comparison: {line}")));
    };
    let parts = Parts::read(rest);
    let (Some(key), Some(operator), Some(value)) = (&parts.key, parts.operator, &parts.value) else {
        return Err(invalid(format!("malformed comparison: {line}; got {}", parts.describe(target))));
    };
    let number = |read: fn(&str) -> Result<i64, String>| {
        let text = std::str::from_utf8(value).unwrap_or_default();
        read(text).map_err(|_| invalid(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(parse_decimal)?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number(parse_decimal)?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(parse_decimal)?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(value.clone().into())),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(parse_hexadecimal)?)),
        _ => return Err(invalid(format!("malformed comparison: {line} (unknown target {target})"))),
    };
    let result = match operator {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        _ => return Err(invalid(format!("malformed comparison: {line} (unknown result op {operator})"))),
    };
    Ok(Compare {
        key: key.clone().into(),
        range_end: Vec::new().into(),
        target: target.into(),
        result: result.into(),
        target_union: Some(union),
    })
}

/// What was read of `"key") op "value"` until it made no sense any more.
#[derive(Default)]
struct Parts<'a> {
    key: Option<Vec<u8>>,
    operator: Option<&'a str>,
    value: Option<Vec<u8>>,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Parts<'a> {
        let mut parts = Parts::default();
        let Some((key, rest)) = unquote_prefix(text.trim_start()) else { return parts };
        parts.key = Some(key);
        let Some(rest) = rest.strip_prefix(')') else { return parts };
        let rest = rest.trim_start();
        let (operator, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        parts.operator = Some(operator).filter(|operator| !operator.is_empty());
        parts.value = unquote_prefix(rest.trim_start()).map(|(value, _)| value);
        parts
    }

    fn describe(&self, target: &str) -> String {
        let quoted = |text: &Option<Vec<u8>>| quote(text.as_deref().unwrap_or_default());
        format!("{target}({}) {} {}", quoted(&self.key), self.operator.unwrap_or(""), quoted(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_are_read() {
        let cases = [
            (r#"mod("a") > "0""#, CompareTarget::Mod, CompareResult::Greater, TargetUnion::ModRevision(0)),
            (
                r#"c("a")   =   "1""#,
                CompareTarget::Create,
                CompareResult::Equal,
                TargetUnion::CreateRevision(1),
            ),
            (
                r#"ver("a") < "-1" rest"#,
                CompareTarget::Version,
                CompareResult::Less,
                TargetUnion::Version(-1),
            ),
            (r#"lease("a") != "1f""#, CompareTarget::Lease, CompareResult::NotEqual, TargetUnion::Lease(31)),
            (
                "val(`a`) = \"\\xff\"",
                CompareTarget::Value,
                CompareResult::Equal,
                TargetUnion::Value(vec![0xff].into()),
            ),
        ];
        for (line, target, result, union) in cases {
            let compare = parse(line).unwrap();
            assert_eq!((compare.key.as_ref(), compare.target()), (&b"a"[..], target), "{line}");
            assert_eq!((compare.result(), compare.target_union), (result, Some(union)), "{line}");
        }
    }

    #[test]
    fn what_is_no_compare_is_explained() {
        let cases = [
            ("foo", "malformed comparison: foo"),
            (r#"mod("a")>"0""#, r#"malformed comparison: mod("a")>"0"; got mod("a") >"0" """#),
            (r#"mod(a) > "0""#, r#"malformed comparison: mod(a) > "0"; got mod("")  """#),
            (r#"x("a") > "0""#, r#"malformed comparison: x("a") > "0" (unknown target x)"#),
            (r#"mod("a") >= "0""#, r#"malformed comparison: mod("a") >= "0" (unknown result op >=)"#),
            (r#"mod("a") > "x""#, r#"invalid txn compare request: mod("a") > "x""#),
        ];
        for (line, said) in cases {
            assert_eq!(parse(line).unwrap_err().text.as_deref(), Some(said));
        }
    }
}
