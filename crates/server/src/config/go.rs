//! How Go reads numbers, booleans and durations.
//!
//! Operators wrote their flags for a Go program, so `--snapshot-count=0x2710`, `--pre-vote=T` and
//! `--watch-progress-notify-interval=1m30s` must mean here what they mean there. These are the rules of the Go
//! packages `strconv` and `time`, and nothing else.

/// Nanoseconds: Go's `time.Duration`. Signed, because a negative duration is a value that validation then refuses by
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub i64);

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

/// A duration such as `300ms`, `1.5h`, `1m30s` or `0`. Units: ns, us (µs, μs), ms, s, m, h. A bare number other than 0 has no
/// unit and is refused.
pub(super) fn parse_duration(text: &str) -> Option<Nanos> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Nanos(0));
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, remaining) = parse_term(rest)?;
        total = total.checked_add(nanos)?;
        rest = remaining;
    }
    let total = if negative { -total } else { total };
    i64::try_from(total).ok().map(Nanos)
}

/// One `<decimal><unit>` of a duration, and what follows it.
fn parse_term(text: &str) -> Option<(i128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit: i128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole.checked_mul(unit)?.checked_add(scaled_fraction(fraction, unit))?, rest))
}

/// `unit` times the decimal fraction with these digits, towards zero. Digits that no longer change the result are
/// dropped (as Go does), so an absurdly long fraction cannot overflow.
fn scaled_fraction(digits: &str, unit: i128) -> i128 {
    let (mut value, mut scale) = (0i128, 1i128);
    for digit in digits.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

/// A duration as Go prints it: `1h0m0s`, `1.5s`, `100ms`, `0s`.
impl std::fmt::Display for Nanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{seconds}s"),
                    (0, minutes) => write!(f, "{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

/// `value / unit` with as many decimals as it needs.
fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{}", value / unit) } else { format!("{}.{fraction}", value / unit) }
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
    fn durations_are_read_and_printed_as_go_does() {
        let cases = [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("1ns", 1, "1ns"),
            ("1us", 1_000, "1µs"),
            ("1.5µs", 1_500, "1.5µs"),
            ("100ms", 100_000_000, "100ms"),
            ("1.5s", 1_500_000_000, "1.5s"),
            (".5s", 500_000_000, "500ms"),
            ("5.s", 5_000_000_000, "5s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("2h", 7_200_000_000_000, "2h0m0s"),
            ("1h2m3.004s", 3_723_004_000_000, "1h2m3.004s"),
            ("-1s", -1_000_000_000, "-1s"),
            ("+1s", 1_000_000_000, "1s"),
        ];
        for (text, nanos, printed) in cases {
            assert_eq!(parse_duration(text), Some(Nanos(nanos)), "{text}");
            assert_eq!(Nanos(nanos).to_string(), printed);
        }
        for bad in [
            "",
            "-",
            "1",
            "10",
            "1x",
            "s",
            ".s",
            "1..5s",
            "1 s",
            "1h ",
            "9999999999h",
            "１s",
            "170141183460469231731687303715884105.999us",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
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
