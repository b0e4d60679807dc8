//! Durations on command lines and in output.

use std::time::Duration;

use gotext::Nanos;

/// Reads a duration such as `300ms`, `1.5h`, `1m30s` or `0`. A negative one is read as none at all: time that is over
/// already.
///
/// # Errors
/// What `time.ParseDuration` says.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let Nanos(nanos) = parse_signed(text)?;
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Reads a duration that may be negative.
///
/// # Errors
/// What `time.ParseDuration` says.
pub fn parse_signed(text: &str) -> Result<Nanos, String> {
    text.parse().map_err(|what| format!("time: {what} {}", super::quote::quote(text.as_bytes())))
}

/// Returns a duration as Go prints it: `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub fn print_duration(duration: Duration) -> String {
    Nanos::from(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_duration_is_time_that_is_over() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("-1s"), Ok(Duration::ZERO));
        assert_eq!(parse_signed("-1s"), Ok(Nanos(-1_000_000_000)));
        assert_eq!(print_duration(Duration::from_millis(90_500)), "1m30.5s");
    }

    #[test]
    fn what_is_no_duration_is_refused_in_gos_words() {
        let cases = [
            ("", "time: invalid duration \"\""),
            ("10", "time: missing unit in duration \"10\""),
            ("1x", "time: unknown unit \"x\" in duration \"1x\""),
            ("1..5s", "time: invalid duration \"1..5s\""),
        ];
        for (text, said) in cases {
            assert_eq!(parse_duration(text), Err(said.to_owned()), "{text}");
        }
    }
}
