//! How much of files the system can keep in memory.

use std::fs;

/// What the kernel can use without swapping.
const MEMORY: &str = "/proc/meminfo";

/// Limits of a control group, from its root down: those that a container sees as its own.
const GROUP_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// Returns how many bytes of files stay in memory; `None` where the system does not say.
pub(super) fn cached_bytes() -> Option<u64> {
    let available = available(&fs::read_to_string(MEMORY).ok()?)?;
    let limit = fs::read_to_string(GROUP_LIMIT).ok().and_then(|limit| limit.trim().parse().ok());
    Some(available.min(limit.unwrap_or(u64::MAX)))
}

/// Reads `MemAvailable`, in KiB, from the kernel's table.
fn available(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        assert_eq!(available("MemTotal:  9 kB\nMemAvailable:    3 kB\nBuffers: 1 kB\n"), Some(3_072));
        for nothing in ["", "MemTotal: 9 kB\n", "MemAvailable: 3\n", "MemAvailable: x kB\n"] {
            assert_eq!(available(nothing), None);
        }
    }
}
