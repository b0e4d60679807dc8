//! The root of a container image: programs, an account without a name to log in with, and a place for data. Nothing else, so there is
//! no shell in it and nothing to keep up to date but the programs.

use anyhow::Result;

use super::Release;
use super::entries::Entries;
use super::tarball::ETCD_NAMES;

/// The account that the image runs as: the one that images without a system agreed on.
pub const USER: u64 = 65532;

/// Returns the root as a compressed tar file.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn pack(release: &Release<'_>) -> Result<Vec<u8>> {
    entries(release)?.to_tar_gz("", release.packing)
}

/// Returns what is in the image.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn entries(release: &Release<'_>) -> Result<Entries> {
    let mut entries = Entries::default();
    // Where etcd's own images have their programs.
    entries.program("usr/local/bin/quorate", release.programs.server.as_slice());
    for (name, program) in &release.programs.tools {
        entries.program(format!("usr/local/bin/{name}"), program.as_slice());
    }
    for (theirs, ours) in ETCD_NAMES {
        entries.link(format!("usr/local/bin/{theirs}"), ours);
    }
    entries.file(
        "etc/passwd",
        format!(
            "root:x:0:0:root:/:/sbin/nologin\nquorate:x:{USER}:{USER}:Quorate:/var/lib/etcd:/sbin/nologin\n"
        ),
    );
    entries.file("etc/group", format!("root:x:0:\nquorate:x:{USER}:\n"));
    entries.directory("var/lib/etcd", 0o700, USER);
    // A cluster that is followed sends a snapshot, which is kept in a file for a while.
    entries.directory("tmp", 0o1777, 0);
    entries.file("usr/share/doc/quorate/LICENSE", release.file("LICENSE")?);
    Ok(entries)
}
