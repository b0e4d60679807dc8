//! What a process has used, read from `/proc`.
//!
//! CPU time is the figure that survives a noisy machine: somebody else's work makes a server wait, which changes
//! throughput and latencies, but hardly adds to the server's own CPU time.

use anyhow::{Context, bail};
use rustix::param::clock_ticks_per_second;
use std::fs;
use std::time::Duration;

/// A process's totals since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Bytes that went towards the disk.
    pub(crate) written_bytes: u64,
    /// Resident memory now.
    pub(crate) resident_bytes: u64,
    /// Of that, what is not backed by a file: memory that only the process's end or the process itself gives back.
    pub(crate) anonymous_bytes: u64,
    /// Highest resident memory since the start or since [`reset_peak`].
    pub(crate) peak_bytes: u64,
}

impl Usage {
    /// Reads the totals of `process`.
    pub(crate) fn of(process: u32) -> anyhow::Result<Usage> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        let status = read("status")?;
        Ok(Usage {
            cpu: cpu_time(&read("stat")?, clock_ticks_per_second())?,
            written_bytes: labelled(&read("io")?, "write_bytes")?,
            resident_bytes: labelled(&status, "VmRSS")? * 1024,
            anonymous_bytes: labelled(&status, "RssAnon")? * 1024,
            peak_bytes: labelled(&status, "VmHWM")? * 1024,
        })
    }
}

impl Usage {
    /// The sums of what `processes` have used.
    pub(crate) fn of_all(processes: &[u32]) -> anyhow::Result<Usage> {
        processes.iter().try_fold(Usage::default(), |sum, process| Ok(sum + Usage::of(*process)?))
    }
}

impl std::ops::Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu + other.cpu,
            written_bytes: self.written_bytes + other.written_bytes,
            resident_bytes: self.resident_bytes + other.resident_bytes,
            anonymous_bytes: self.anonymous_bytes + other.anonymous_bytes,
            peak_bytes: self.peak_bytes + other.peak_bytes,
        }
    }
}

/// Lets the peak of `process` begin anew at what it has now.
pub(crate) fn reset_peak(process: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{process}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("writing {path}"))
}

/// CPU time that all processes of the machine have used, and that the hypervisor took, since it started.
pub(crate) fn machine_busy() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    busy_time(&stat, clock_ticks_per_second())
}

/// Fields 14 and 15 of `/proc/<pid>/stat`. The name in field 2 may hold blanks and parentheses.
fn cpu_time(stat: &str, ticks_per_second: u64) -> anyhow::Result<Duration> {
    let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<u64> { Ok(fields.next().context("stat ends early")?.parse()?) };
    Ok(from_ticks(ticks()? + ticks()?, ticks_per_second))
}

/// The `cpu` line of `/proc/stat`: everything but idle (4th) and waiting for IO (5th); guests (9th on) are in user.
fn busy_time(stat: &str, ticks_per_second: u64) -> anyhow::Result<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).context("no cpu line")?;
    let mut ticks = 0;
    for (number, field) in line.split_whitespace().enumerate().take(8) {
        if number != 3 && number != 4 {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(from_ticks(ticks, ticks_per_second))
}

fn from_ticks(ticks: u64, per_second: u64) -> Duration {
    Duration::from_nanos(ticks * (1_000_000_000 / per_second))
}

/// The number after `label:`.
fn labelled(text: &str, label: &str) -> anyhow::Result<u64> {
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(label).and_then(|rest| rest.strip_prefix(':')) {
            let number = rest.split_whitespace().next().unwrap_or_default();
            return number.parse().with_context(|| format!("{label} is {number}"));
        }
    }
    bail!("no {label}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_time_whatever_the_name() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 150 0 0 20 0 9 0 77 1 2";
        assert_eq!(cpu_time(stat, 100).unwrap(), Duration::from_secs(4));
        assert!(cpu_time("42 (cut) S 1", 100).is_err());
    }

    #[test]
    fn busy_time_leaves_out_idling_and_guests() {
        let stat = "cpu  100 20 30 99999 8888 7 3 40 5 5\ncpu0 1 2 3 4\n";
        assert_eq!(busy_time(stat, 100).unwrap(), Duration::from_secs(2));
    }

    #[test]
    fn labels_are_whole_words() {
        let status = "VmHWMx:\t1 kB\nVmHWM:\t    2048 kB\n";
        assert_eq!(labelled(status, "VmHWM").unwrap(), 2048);
        assert!(labelled(status, "VmRSS").is_err());
    }

    #[test]
    fn this_process_can_be_read() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 0 && usage.peak_bytes >= usage.resident_bytes / 2, "{usage:?}");
        assert!(machine_busy().unwrap() >= usage.cpu);
    }
}
