//! What the operating system says of this process: the `process_*` and `os_fd_*` families, read from `/proc` at each scrape.
//!
//! A file that is missing or unreadable leaves its metrics out; nothing here can fail.

use std::fs;

use super::text::{Exposition, Metric, Samples};

/// A number read just now.
struct Now<const COUNTER: bool>(f64);

impl Metric for Now<false> {
    const TYPE: &'static str = "gauge";

    fn samples(&self, out: &mut Samples<'_>) {
        out.sample(&[], self.0);
    }
}

impl Metric for Now<true> {
    const TYPE: &'static str = "counter";

    fn samples(&self, out: &mut Samples<'_>) {
        out.sample(&[], self.0);
    }
}

fn gauge(out: &mut Exposition, name: &'static str, help: &str, value: Option<f64>) {
    if let Some(value) = value {
        out.family(name, help, &Now::<false>(value));
    }
}

fn counter(out: &mut Exposition, name: &'static str, help: &str, value: Option<f64>) {
    if let Some(value) = value {
        out.family(name, help, &Now::<true>(value));
    }
}

/// Adds all families of the process.
pub(super) fn collect(out: &mut Exposition) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let limits = Limits::parse(&read("/proc/self/limits"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    gauge(out, "os_fd_limit", "The limit on open file descriptors.", limits.open_files);
    gauge(out, "os_fd_used", "The number of open file descriptors.", open);
    gauge(out, "process_max_fds", "Maximum number of open file descriptors.", limits.open_files);
    gauge(out, "process_open_fds", "Number of open file descriptors.", open);
    gauge(
        out,
        "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.",
        limits.address_space,
    );
    let usage = Usage::parse(&read("/proc/self/stat"), &read("/proc/stat"));
    if let Some(usage) = usage {
        counter(
            out,
            "process_cpu_seconds_total",
            "User and system CPU time spent in seconds.",
            Some(usage.cpu_seconds),
        );
        gauge(
            out,
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            Some(usage.resident_bytes),
        );
        gauge(
            out,
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            Some(usage.virtual_bytes),
        );
        gauge(
            out,
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            usage.start_seconds,
        );
    }
    let (received, sent) = octets(&read("/proc/self/net/netstat"));
    counter(
        out,
        "process_network_receive_bytes_total",
        "Bytes received over the network by the host.",
        received,
    );
    counter(out, "process_network_transmit_bytes_total", "Bytes sent over the network by the host.", sent);
}

/// The limit on open file descriptors, for `/debug/vars`.
pub fn open_files_limit() -> Option<f64> {
    Limits::parse(&fs::read_to_string("/proc/self/limits").unwrap_or_default()).open_files
}

#[derive(Debug, PartialEq)]
struct Limits {
    open_files: Option<f64>,
    address_space: Option<f64>,
}

impl Limits {
    /// Reads the soft limits; `unlimited` is 2^64-1, as Go's library has it.
    fn parse(text: &str) -> Limits {
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            match line.split_whitespace().next()? {
                "unlimited" => Some(u64::MAX as f64),
                number => number.parse().ok(),
            }
        };
        Limits { open_files: of("Max open files"), address_space: of("Max address space") }
    }
}

#[derive(Debug, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    start_seconds: Option<f64>,
}

impl Usage {
    /// Reads `/proc/self/stat` (see proc_pid_stat(5)) and the boot time in `/proc/stat`.
    fn parse(stat: &str, system: &str) -> Option<Usage> {
        // The second field is the program's name in parentheses and may hold anything; fields are counted behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let boot = system.lines().find_map(|line| line.strip_prefix("btime "));
        let boot = boot.and_then(|seconds| seconds.trim().parse::<f64>().ok());
        Some(Usage {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as f64,
            start_seconds: boot.zip(field(22)).map(|(boot, start)| boot + start / ticks),
        })
    }
}

/// Bytes received and sent, from the `IpExt` lines: a line of names, then one of numbers.
fn octets(netstat: &str) -> (Option<f64>, Option<f64>) {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return (None, None) };
    let of = |wanted: &str| {
        let mut pairs = names.split_whitespace().zip(numbers.split_whitespace());
        pairs.find(|(name, _)| *name == wanted).and_then(|(_, number)| number.parse().ok())
    };
    (of("InOctets"), of("OutOctets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_soft_ones() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            20000                1048576              files     \n\
                    Max address space         unlimited            unlimited            bytes     \n";
        let expected = Limits { open_files: Some(20000.0), address_space: Some(u64::MAX as f64) };
        assert_eq!(Limits::parse(text), expected);
        assert_eq!(Limits::parse(""), Limits { open_files: None, address_space: None });
    }

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 1000 4096 3 20";
        let usage = Usage::parse(stat, "cpu 1\nbtime 1700000000\n").unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(usage.cpu_seconds, 200.0 / ticks);
        assert_eq!(usage.virtual_bytes, 4096.0);
        assert_eq!(usage.resident_bytes, 3.0 * rustix::param::page_size() as f64);
        assert_eq!(usage.start_seconds, Some(1700000000.0 + 1000.0 / ticks));
        assert_eq!(Usage::parse("", ""), None);
    }

    #[test]
    fn octets_are_found_by_name() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 5 6\n";
        assert_eq!(octets(text), (Some(5.0), Some(6.0)));
        assert_eq!(octets(""), (None, None));
    }
}
