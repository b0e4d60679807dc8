//! Times as text.

use time::OffsetDateTime;

/// Returns a time in seconds since 1970 in the form of RFC 3339, in UTC, with microseconds where they are given; a time
/// that no calendar has stays a number.
pub fn rfc3339(seconds: i64, micros: Option<u32>) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return seconds.to_string() };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    let fraction = micros.map_or_else(String::new, |micros| format!(".{micros:06}"));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_785_542_399, "2026-07-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(rfc3339(seconds, None), text);
        }
        assert_eq!(rfc3339(1, Some(5)), "1970-01-01T00:00:01.000005Z");
    }
}
