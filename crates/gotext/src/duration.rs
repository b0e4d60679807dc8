//! How Go's package `time` reads and prints durations.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Nanoseconds: Go's `time.Duration`. Signed, because a negative duration is a value: who does not want one refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub i64);

/// Why a text is no duration, in the words of `time.ParseDuration` between `time: ` and the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is empty, has something else where a number belongs, or is too long a time.
    #[error("invalid duration")]
    Invalid,
    /// A number has no unit. Only `0` needs none.
    #[error("missing unit in duration")]
    MissingUnit,
    /// A number has a unit that there is not.
    #[error("unknown unit \"{0}\" in duration")]
    UnknownUnit(String),
}

impl FromStr for Nanos {
    type Err = DurationError;

    /// Reads a duration such as `300ms`, `-1.5h`, `1m30s` or `0`. Units: ns, us (µs, μs), ms, s, m, h.
    fn from_str(text: &str) -> Result<Nanos, DurationError> {
        let is_negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest == "0" {
            return Ok(Nanos(0));
        }
        if rest.is_empty() {
            return Err(DurationError::Invalid);
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (nanos, behind) = parse_term(rest)?;
            total = total.checked_add(nanos).ok_or(DurationError::Invalid)?;
            rest = behind;
        }
        let total = if is_negative { -total } else { total };
        i64::try_from(total).map(Nanos).map_err(|_| DurationError::Invalid)
    }
}

/// Reads one `<decimal><unit>` of a duration; returns its nanoseconds and what follows it.
fn parse_term(text: &str) -> Result<(i128, &str), DurationError> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::Invalid);
    }
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit = unit_nanos(unit)?;
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationError::Invalid)? };
    let nanos = whole.checked_mul(unit).and_then(|nanos| nanos.checked_add(scaled_fraction(fraction, unit)));
    Ok((nanos.ok_or(DurationError::Invalid)?, rest))
}

fn unit_nanos(unit: &str) -> Result<i128, DurationError> {
    match unit {
        "ns" => Ok(1),
        "us" | "µs" | "μs" => Ok(1_000),
        "ms" => Ok(1_000_000),
        "s" => Ok(1_000_000_000),
        "m" => Ok(60 * 1_000_000_000),
        "h" => Ok(3_600 * 1_000_000_000),
        "" => Err(DurationError::MissingUnit),
        _ => Err(DurationError::UnknownUnit(unit.to_owned())),
    }
}

/// Returns `unit` times the decimal fraction with these digits, towards zero. Digits that no longer change the result are
/// dropped (as Go does), so that a long fraction cannot overflow.
fn scaled_fraction(digits: &str, unit: i128) -> i128 {
    let (mut value, mut scale) = (0i128, 1i128);
    for digit in digits.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

/// Returns the nanoseconds; the longest duration that Go has for one that is longer.
impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Nanos {
        Nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Prints it as Go does: `1h0m0s`, `-1.5s`, `100ms`, `0s`.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", decimal(nanos, 1_000_000)),
            _ => write_clock(f, nanos),
        }
    }
}

fn write_clock(f: &mut fmt::Formatter<'_>, nanos: u64) -> fmt::Result {
    let minutes = nanos / 60_000_000_000;
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => write!(f, "{seconds}s"),
        (0, minutes) => write!(f, "{minutes}m{seconds}s"),
        (hours, minutes) => write!(f, "{hours}h{minutes}m{seconds}s"),
    }
}

/// Returns `value / unit` with as many decimals as it needs.
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
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("1h2m3.004s", 3_723_004_000_000, "1h2m3.004s"),
            ("-1s", -1_000_000_000, "-1s"),
            ("+1s", 1_000_000_000, "1s"),
        ];
        for (text, nanos, printed) in cases {
            assert_eq!(text.parse(), Ok(Nanos(nanos)), "{text}");
            assert_eq!(Nanos(nanos).to_string(), printed);
        }
        assert_eq!(Nanos::from(Duration::MAX), Nanos(i64::MAX));
    }

    #[test]
    fn what_is_no_duration_is_refused_in_gos_words() {
        use DurationError::{Invalid, MissingUnit};
        let unknown = |unit: &str| DurationError::UnknownUnit(unit.to_owned());
        let cases = [
            ("", Invalid),
            ("-", Invalid),
            ("1", MissingUnit),
            ("10", MissingUnit),
            ("1s2", MissingUnit),
            ("1x", unknown("x")),
            ("1 s", unknown(" s")),
            ("1h ", unknown("h ")),
            ("s", Invalid),
            (".s", Invalid),
            ("1..5s", Invalid),
            ("--1s", Invalid),
            ("9999999999h", Invalid),
            ("１s", Invalid),
            ("170141183460469231731687303715884105.999us", Invalid),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<Nanos>(), Err(why), "{text:?}");
        }
    }
}
