//! Sizes for people, as the library that etcd uses writes them: `2.1 GB`, in steps of a thousand.

/// Returns a size with its unit.
pub(crate) fn humanized(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let steps = (0..UNITS.len()).rev().find(|steps| 1000_u64.pow(*steps as u32) <= bytes).unwrap_or(0);
    let value = (bytes as f64 / 1000_f64.powi(steps as i32) * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1} {}", UNITS[steps]) } else { format!("{value:.0} {}", UNITS[steps]) }
}

#[cfg(test)]
mod tests {
    use super::humanized;

    #[test]
    fn sizes_are_written_as_etcd_writes_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (20480, "20 kB"),
            (1_572_864, "1.6 MB"),
            (2_147_483_648, "2.1 GB"),
            (9_950_000, "10 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(humanized(bytes), text);
        }
    }
}
