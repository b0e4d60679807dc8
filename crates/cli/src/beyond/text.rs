//! Keys, sizes and durations as text for people.

use std::borrow::Cow;
use std::time::Duration;

use unicode_width::UnicodeWidthChar;

/// Returns a key in one line: UTF-8 as it is, control characters and other bytes as `\x` escapes.
pub fn key(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control()) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() {
                true => c
                    .encode_utf8(&mut [0; 4])
                    .bytes()
                    .for_each(|byte| text.push_str(&format!("\\x{byte:02x}"))),
                false => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Returns a number of bytes in at most five characters and a unit of powers of 1000, as etcdctl shows sizes.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut scaled, mut unit) = (bytes as f64, 0);
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if scaled < 9.95 => format!("{scaled:.1} {}", UNITS[unit]),
        _ => format!("{scaled:.0} {}", UNITS[unit]),
    }
}

/// Returns a duration with two digits that matter: `1.5ms`, `12s`, `3h`, `40d`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (scaled, unit) = match seconds {
        s if s < 0.001 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    if scaled < 9.95 && !matches!(unit, "us" | "d") {
        format!("{scaled:.1}{unit}")
    } else {
        format!("{scaled:.0}{unit}")
    }
}

/// Returns a count with a comma between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns `1 key`, `2 keys`.
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// Returns as much of a line as fits into this many columns; one that was cut ends with `…`.
pub fn fit(line: &str, columns: usize) -> Cow<'_, str> {
    let width = |c: char| c.width().unwrap_or(0);
    if line.chars().map(width).sum::<usize>() <= columns {
        return Cow::Borrowed(line);
    }
    let (mut used, mut text) = (0, String::new());
    for c in line.chars() {
        if used + width(c) + 1 > columns {
            break;
        }
        used += width(c);
        text.push(c);
    }
    if columns > 0 {
        text.push('…');
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_on_a_line() {
        assert_eq!(key(b"/a/\xc3\xa9"), "/a/é");
        assert_eq!(key(b"a\n\xff\0z"), "a\\x0a\\xff\\x00z");
    }

    #[test]
    fn sizes_have_two_digits() {
        let texts = [0, 999, 1000, 1500, 9_960, 25_000, 999_499, 999_600, 2_147_483_648, u64::MAX].map(size);
        let expected =
            ["0 B", "999 B", "1.0 kB", "1.5 kB", "10 kB", "25 kB", "999 kB", "1.0 MB", "2.1 GB", "18 EB"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn durations_and_counts() {
        let texts = [15, 1_500, 12_000, 1_500_000, 90_000_000, 200_000_000]
            .map(|us| duration(Duration::from_micros(us)));
        assert_eq!(texts, ["15us", "1.5ms", "12ms", "1.5s", "90s", "3.3min"]);
        assert_eq!([1, 999, 1000, 1_234_567].map(count), ["1", "999", "1,000", "1,234,567"]);
        assert_eq!([plural(1, "key"), plural(2, "key")], ["1 key", "2 keys"]);
    }

    #[test]
    fn a_line_is_cut_at_its_columns() {
        for (columns, text) in [(5, "abcde"), (4, "abc…"), (1, "…"), (0, "")] {
            assert_eq!(fit("abcde", columns), text);
        }
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
    }
}
