//! The tarball: one directory, with the programs at its top as in etcd's own, so that a script that unpacks those unpacks this.

use anyhow::Result;

use super::Release;
use super::entries::Entries;

/// etcd's programs, and ours in their places.
pub const ETCD_NAMES: [(&str, &str); 3] =
    [("etcd", "quorate"), ("etcdctl", "quoratectl"), ("etcdutl", "quorateutl")];

/// The unit files, in `dist/systemd/` and in packages.
pub const UNITS: [&str; 3] = ["quorate.service", "quorate-gateway.service", "quorate-grpc-proxy.service"];

/// Files that are packed as they are: where they stand in the repository, and where in the tarball.
const FILES: [(&str, &str); 11] = [
    ("LICENSE", "LICENSE"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("docs/packages.md", "packages.md"),
    ("dist/quorate.yaml", "quorate.yaml"),
    ("dist/docker/Dockerfile", "docker/Dockerfile"),
    ("dist/docker/compose.yaml", "docker/compose.yaml"),
    ("dist/kubernetes/quorate.yaml", "kubernetes/quorate.yaml"),
    ("dist/kubernetes/kubeadm-etcd.yaml", "kubernetes/kubeadm-etcd.yaml"),
    ("dist/monitoring/alerts.yaml", "monitoring/alerts.yaml"),
    ("dist/monitoring/dashboard.json", "monitoring/dashboard.json"),
];

/// Returns the tarball.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn pack(release: &Release<'_>) -> Result<Vec<u8>> {
    entries(release)?.to_tar_gz(&format!("{}/", release.stem()), release.packing)
}

/// Returns what is in the tarball's directory.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn entries(release: &Release<'_>) -> Result<Entries> {
    let mut entries = Entries::default();
    entries.program("quorate", release.programs.server.as_slice());
    for (name, program) in &release.programs.tools {
        entries.program(name, program.as_slice());
    }
    for (theirs, ours) in ETCD_NAMES {
        entries.link(theirs, ours);
    }
    for (name, page) in &release.programs.manuals {
        entries.file(format!("man/{}", manual_path(name)), page.as_slice());
    }
    for ((shell, tool), script) in &release.programs.completions {
        entries.file(format!("completions/{tool}.{shell}"), script.as_slice());
    }
    for unit in UNITS {
        entries.file(format!("systemd/{unit}"), release.file(&format!("dist/systemd/{unit}"))?);
    }
    for (from, to) in FILES {
        entries.file(to, release.file(from)?);
    }
    Ok(entries)
}

/// Returns where a page stands below a directory of manuals: `man8/quorate.8`.
pub fn manual_path(name: &str) -> String {
    let section = name.rsplit('.').next().unwrap_or("1");
    format!("man{section}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stand_by_their_sections() {
        assert_eq!(manual_path("quorate.8"), "man8/quorate.8");
        assert_eq!(manual_path("quoratectl-get.1"), "man1/quoratectl-get.1");
    }
}
