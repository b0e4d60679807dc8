//! Sizes for people, as etcdctl prints them: SI units, one digit after the point below ten (`25 kB`, `2.1 GB`).
//!
//! Scripts read these columns of `endpoint status`, so the rounding is etcdctl's: to one digit first, then, from ten
//! on, to a whole number with ties to even.

/// Names of the powers of a thousand. The last is reached before `u64` ends.
const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Returns `bytes` with a unit.
pub fn si(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let power = (1..UNITS.len()).take_while(|power| bytes >= 1000u64.pow(*power as u32)).count();
    let tenths = (bytes as f64 / 1000f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    if tenths < 10.0 {
        format!("{tenths:.1} {}", UNITS[power])
    } else {
        format!("{tenths:.0} {}", UNITS[power])
    }
}

#[cfg(test)]
mod tests {
    use super::si;

    #[test]
    fn sizes_are_rounded_as_etcdctl_rounds_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_049, "1.0 kB"),
            (1_050, "1.1 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (20_480, "20 kB"),
            (24_500, "24 kB"),
            (24_576, "25 kB"),
            (25_500, "26 kB"),
            (999_999, "1000 kB"),
            (1_000_000, "1.0 MB"),
            (2_147_483_648, "2.1 GB"),
            (8_589_934_592, "8.6 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(si(bytes), text, "{bytes}");
        }
    }
}
