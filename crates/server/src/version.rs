//! The versions this server states, in one place.
//!
//! Two numbers, and they must not be confused: *our* version, which says what code runs, and the *etcd
//! compatibility version*, which is what clients, operators and dashboards compare (`/version`, `Status`,
//! `--version`, the metric `etcd_server_version`). The second one names the etcd release whose behaviour this
//! server follows; it moves only when that behaviour does.

/// The etcd release whose behaviour this server follows.
pub const ETCD: &str = "3.7.1";

/// The cluster version that a cluster of such members decides on: major and minor count, the patch is always 0.
pub const ETCD_CLUSTER: &str = "3.7.0";

/// The storage version that `Status` and `/version` report.
pub const ETCD_STORAGE: &str = "3.7.0";

/// What `/version` reports while the cluster has not decided on a cluster version.
pub const NOT_DECIDED: &str = "not_decided";

/// Our own version.
pub const QUORATE: &str = env!("CARGO_PKG_VERSION");

/// The commit this binary was built from, when the build says so in `QUORATE_GIT_SHA`.
pub const GIT_SHA: &str = match option_env!("QUORATE_GIT_SHA") {
    Some(sha) => sha,
    None => "unknown",
};

/// The four lines of `--version`, as etcd prints them. Scripts cut the first line at `etcd Version: `; the third one,
/// which names the Go release in etcd, names us.
pub fn lines() -> String {
    format!(
        "etcd Version: {ETCD}\nGit SHA: {GIT_SHA}\nGo Version: none (Quorate {QUORATE}, written in Rust)\n\
         Go OS/Arch: {}/{}\n",
        std::env::consts::OS,
        go_arch(std::env::consts::ARCH),
    )
}

/// Go's name of a processor architecture, which is what tools that read the fourth line expect.
pub fn go_arch(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "x86" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_prints_the_four_lines_that_scripts_cut() {
        let text = lines();
        let starts: Vec<_> = text.lines().map(|line| line.split_once(": ").unwrap().0).collect();
        assert_eq!(starts, ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch"]);
        assert_eq!(text.lines().next(), Some("etcd Version: 3.7.1"));
    }

    #[test]
    fn architectures_have_go_names() {
        for (rust, go) in [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")] {
            assert_eq!(go_arch(rust), go);
        }
    }
}
