//! How Go reads numbers, booleans and durations.
//!
//! Operators wrote their flags for a Go program, so `--snapshot-count=0x2710`, `--pre-vote=T` and
//! `--watch-progress-notify-interval=1m30s` must mean here what they mean there. These are the rules of the Go
//! packages `strconv` and `time` (for which the crate `gotext` has them), and nothing else.

pub use gotext::Nanos;

/// The words Go takes for true and false; nothing else is a boolean (not `yes`, not `on`).
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Why a number was refused; Go's flag package has exactly these two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberError {
    #[error("parse error")]
    Syntax,
    #[error("value out of range")]
    Range,
}

/// An unsigned number with Go's base prefixes: `10`, `0x1f`, `0o17`, `017`, `0b11`, `1_000`.
pub(super) fn parse_uint(text: &str) -> Result<u64, NumberError> {
    let (digits, radix, prefixed) = split_base(text);
    let digits = without_underscores(digits, prefixed).ok_or(NumberError::Syntax)?;
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NumberError::Syntax);
    }
    u64::from_str_radix(&digits, radix).map_err(|_| NumberError::Range)
}

/// A signed number: an optional sign before what [`parse_uint`] takes.
pub(super) fn parse_int(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = i128::from(parse_uint(digits)?);
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map_err(|_| NumberError::Range)
}

fn split_base(text: &str) -> (&str, u32, bool) {
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    match lower.as_deref() {
        Some("0x") => (&text[2..], 16, true),
        Some("0o") => (&text[2..], 8, true),
        Some("0b") => (&text[2..], 2, true),
        Some(short) if short.starts_with('0') => (&text[1..], 8, true),
        _ => (text, 10, false),
    }
}

/// Go allows `_` only between digits, or between a base prefix and a digit.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let leads = digits.starts_with('_') && !prefixed;
    if leads || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    Some(digits.replace('_', ""))
}

/// Reads a duration; `None` if the text is none. What exactly is wrong with one, etcd's flags do not say either.
pub(super) fn parse_duration(text: &str) -> Option<Nanos> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strconv_reads_them() {
        use NumberError::{Range, Syntax};
        let cases = [
            ("0", Ok(0)),
            ("10", Ok(10)),
            ("0x1F", Ok(31)),
            ("0b101", Ok(5)),
            ("0o17", Ok(15)),
            ("017", Ok(15)),
            ("1_000", Ok(1000)),
            ("0x_ff", Ok(255)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073709551616", Err(Range)),
            ("", Err(Syntax)),
            ("-1", Err(Syntax)),
            ("+1", Err(Syntax)),
            ("1__0", Err(Syntax)),
            ("_1", Err(Syntax)),
            ("1_", Err(Syntax)),
            ("08", Err(Syntax)),
            ("1s", Err(Syntax)),
            (" 1", Err(Syntax)),
            ("١", Err(Syntax)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_uint(text), expected, "{text:?}");
        }
        let signed = [
            ("-1", Ok(-1)),
            ("+5", Ok(5)),
            ("-0x10", Ok(-16)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Range)),
            ("--1", Err(Syntax)),
        ];
        for (text, expected) in signed {
            assert_eq!(parse_int(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_gos_words_are_booleans() {
        for (text, value) in
            [("true", Some(true)), ("T", Some(true)), ("0", Some(false)), ("yes", None), ("", None)]
        {
            assert_eq!(parse_bool(text), value, "{text}");
        }
    }
}
