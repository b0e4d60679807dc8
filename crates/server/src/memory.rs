//! How much memory the process may have.

use std::fs;
use std::path::Path;

use engine::memory::Shares;

use crate::config::Config;

/// What is assumed where the system does not say how much there is.
const UNKNOWN: u64 = 8 << 30;

/// Returns how much memory the process may have, in bytes: `--memory-limit`, or what the machine and the control groups of
/// the process leave it.
fn limit(config: &Config) -> u64 {
    config.limits.memory.unwrap_or_else(|| available(Path::new("/")).unwrap_or(UNKNOWN))
}

/// Returns the shares of that.
pub(crate) fn shares(config: &Config) -> Shares {
    Shares::of(limit(config), config.limits.request_bytes_max)
}

/// Returns the shares of a process without such a flag.
pub(crate) fn shares_of_proxy(request_bytes_max: usize) -> Shares {
    Shares::of(available(Path::new("/")).unwrap_or(UNKNOWN), request_bytes_max)
}

/// Returns the least of what a Linux system with this root directory says of the machine, and of the control groups in which the
/// process is; `None` if it says nothing.
fn available(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let of_machine = total(&read("proc/meminfo"));
    let groups = read("proc/self/cgroup");
    let of_groups = groups.lines().flat_map(limit_files).filter_map(|file| bytes(&read(&file)));
    of_machine.into_iter().chain(of_groups).min()
}

/// Returns what `/proc/meminfo` says is installed.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Returns the files that may have a limit for a line of `/proc/self/cgroup`, which names the place of the process in one
/// hierarchy: of that group, and of all above it. In a container the path may be that of the host, and the group be
/// mounted as the root.
fn limit_files(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    // The second version has one hierarchy for all controllers.
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        names if names.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    Path::new(path)
        .ancestors()
        .map(|group| group.strip_prefix("/").unwrap_or(group))
        .map(|group| Path::new(mount).join(group).join(file).to_string_lossy().into_owned())
        .collect()
}

/// Returns a limit in a group's file; `None` for `max`.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A system with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn of(files: &[(&str, &str)]) -> Option<u64> {
        available(system(files).path())
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 5 kB\n");

    #[test]
    fn without_a_group_it_is_what_the_machine_has() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[MACHINE]), Some(16 * GIB));
        let unlimited = [MACHINE, ("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(of(&unlimited), Some(16 * GIB));
    }

    #[test]
    fn the_least_of_all_groups_counts() {
        let groups = ("proc/self/cgroup", "0::/pods/etcd\n");
        let outer = ("sys/fs/cgroup/pods/memory.max", "1073741824\n");
        let inner = ("sys/fs/cgroup/pods/etcd/memory.max", "2147483648\n");
        assert_eq!(of(&[MACHINE, groups, outer, inner]), Some(GIB));
        assert_eq!(of(&[MACHINE, groups, inner]), Some(2 * GIB));
        // In a container the group is the root of what is mounted.
        assert_eq!(of(&[MACHINE, groups, ("sys/fs/cgroup/memory.max", "536870912\n")]), Some(GIB / 2));
    }

    #[test]
    fn the_first_version_of_control_groups_has_a_hierarchy_for_memory() {
        let groups = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/7\n");
        let limit = ("sys/fs/cgroup/memory/docker/7/memory.limit_in_bytes", "1073741824\n");
        let other = ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n");
        assert_eq!(of(&[MACHINE, groups, limit, other]), Some(GIB));
    }
}
