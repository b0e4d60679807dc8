//! How Go's package `time` reads and prints durations.

use std::time::Duration;

/// Reads a duration such as `300ms`, `1.5h`, `1m30s` or `0`. A negative one is read as none at all: time that is over
/// already.
///
/// # Errors
/// What `time.ParseDuration` says.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let nanos = parse_nanos(text).map_err(|what| {
        let quoted = super::quote::quote(text.as_bytes());
        format!("time: {what} {quoted}")
    })?;
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

fn parse_nanos(text: &str) -> Result<i64, String> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    let invalid = || "invalid duration".to_owned();
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, remaining) = parse_term(rest)?;
        total = total.checked_add(nanos).ok_or_else(invalid)?;
        rest = remaining;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// One `<decimal><unit>` of a duration, and what follows it.
fn parse_term(text: &str) -> Result<(i128, &str), String> {
    let invalid = || "invalid duration".to_owned();
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(invalid());
    }
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit = unit_nanos(unit)?;
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let nanos = whole.checked_mul(unit).and_then(|nanos| nanos.checked_add(scaled_fraction(fraction, unit)));
    Ok((nanos.ok_or_else(invalid)?, rest))
}

fn unit_nanos(unit: &str) -> Result<i128, String> {
    match unit {
        "ns" => Ok(1),
        "us" | "µs" | "μs" => Ok(1_000),
        "ms" => Ok(1_000_000),
        "s" => Ok(1_000_000_000),
        "m" => Ok(60 * 1_000_000_000),
        "h" => Ok(3_600 * 1_000_000_000),
        "" => Err("missing unit in duration".to_owned()),
        _ => Err(format!("unknown unit \"{unit}\" in duration")),
    }
}

/// Returns `unit` times the decimal fraction with these digits, towards zero. Digits that do not change the result are
/// dropped, so that a long fraction cannot overflow.
fn scaled_fraction(digits: &str, unit: i128) -> i128 {
    let (mut value, mut scale) = (0i128, 1i128);
    for digit in digits.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

/// Returns a duration as Go prints it: `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub fn print_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => print_clock(nanos),
    }
}

fn print_clock(nanos: u64) -> String {
    let minutes = nanos / 60_000_000_000;
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
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
    fn durations_are_read_and_printed_as_go_does() {
        let cases = [
            ("0", 0, "0s"),
            ("1ns", 1, "1ns"),
            ("1.5µs", 1_500, "1.5µs"),
            ("100ms", 100_000_000, "100ms"),
            (".5s", 500_000_000, "500ms"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("2h", 7_200_000_000_000, "2h0m0s"),
            ("1h2m3.004s", 3_723_004_000_000, "1h2m3.004s"),
            ("-1s", 0, "0s"),
        ];
        for (text, nanos, printed) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
            assert_eq!(print_duration(Duration::from_nanos(nanos)), printed);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_in_gos_words() {
        let cases = [
            ("", "time: invalid duration \"\""),
            ("10", "time: missing unit in duration \"10\""),
            ("1x", "time: unknown unit \"x\" in duration \"1x\""),
            ("1..5s", "time: invalid duration \"1..5s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ];
        for (text, said) in cases {
            assert_eq!(parse_duration(text), Err(said.to_owned()), "{text}");
        }
    }
}
