//! Programs that a test interrupts.
//!
//! A shell without job control starts what runs in its background with SIGINT ignored, and children inherit that: an
//! interrupted program would run on, and the test with it.

use std::ffi::OsStr;
use std::process::Command;

/// SIGINT in the set of ignored signals that the kernel shows.
const SIGINT_BIT: u64 = 1 << 1;

/// Returns a command of `program` that SIGINT ends, however this process was started.
pub fn interruptible(program: impl AsRef<OsStr>) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !ignores_interrupts(&status) {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(program);
    command
}

fn ignores_interrupts(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    ignored.is_some_and(|set| set & SIGINT_BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::ignores_interrupts;

    #[test]
    fn what_the_kernel_shows_is_read() {
        assert!(ignores_interrupts("SigBlk:\t0000000000000002\nSigIgn:\t0000000000000006\n"));
        assert!(!ignores_interrupts("SigBlk:\t0000000000000002\nSigIgn:\t0000000000001004\n"));
        assert!(!ignores_interrupts(""));
    }
}
