//! `cargo xtask dist`: what a release hands out, in one directory.
//!
//! | file | what it is | made by |
//! |---|---|---|
//! | `quorate-<version>-<target>.tar.gz` | programs, links under etcd's names, manuals, completions, unit files, sample configuration | `tarball` |
//! | `quorate-<version>-<target>-image.tar.gz` | the root of a container image | `image` |
//! | `quorate_<version>_<architecture>.deb` | the same for Debian and its kin | `deb` |
//! | `quorate-etcd_<version>_all.deb` | links under etcd's names, in the place of Debian's etcd | `deb` |
//! | `quorate-<version>-<target>.cdx.json` | which crates are in the programs (CycloneDX) | `sbom` |
//! | `SHA256SUMS` | the digests of all of them | here |
//!
//! The same programs give the same bytes: entries are sorted and belong to root, and every time is `SOURCE_DATE_EPOCH` (without it,
//! the time of the commit). No program of Debian's is needed.

pub mod build;
pub mod deb;
pub mod entries;
pub mod image;
pub mod manual;
pub mod sbom;
pub mod tarball;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

pub use build::{Profile, Programs};
use entries::{Compression, Packing};

/// The target that releases are for: programs that need nothing of the machine but a kernel.
pub const RELEASE_TARGET: &str = "x86_64-unknown-linux-musl";

/// What to pack, and where to.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the programs are built.
    pub profile: Profile,
    /// The target triple; `host` is the machine's own, whose programs need its C library.
    pub target: String,
    /// The directory of programs that are built already; `None`: they are built.
    pub programs: Option<PathBuf>,
    /// The directory that the files are written to.
    pub output: PathBuf,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// What all packages of a release have in common.
#[derive(Debug)]
pub struct Release<'a> {
    /// The root of the repository, for the files that are packed as they are.
    pub root: &'a Path,
    /// The version of the workspace.
    pub version: &'a str,
    /// The target triple.
    pub target: &'a str,
    /// The programs, with their manuals and completions.
    pub programs: &'a Programs,
    /// How entries are packed.
    pub packing: Packing,
}

impl Release<'_> {
    /// Returns the name that files of this release begin with: `quorate-0.1.0-x86_64-unknown-linux-musl`.
    pub fn stem(&self) -> String {
        format!("quorate-{}-{}", self.version, self.target)
    }

    /// Reads a file of the repository.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(self.root.join(path)).with_context(|| format!("reading {path}"))
    }
}

/// Builds the programs and writes everything that a release consists of.
///
/// # Errors
/// When a build fails, or a file cannot be read or written.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let target = build::resolve_target(&options.target)?;
    let programs = match &options.programs {
        Some(directory) => Programs::read(directory, directory, &options.target)?,
        None => Programs::build(root, options.profile, &options.target)?,
    };
    let compression = match options.profile {
        Profile::Release => Compression::Best,
        Profile::Dev => Compression::Fast,
    };
    let packing = Packing { epoch: build::epoch(root)?, compression };
    let release =
        Release { root, version: env!("CARGO_PKG_VERSION"), target: &target, programs: &programs, packing };
    fs::create_dir_all(&options.output)?;
    for artifact in pack(&release)? {
        let path = options.output.join(&artifact.name);
        fs::write(&path, &artifact.content).with_context(|| format!("writing {}", path.display()))?;
        println!("{:>12} {}", artifact.content.len(), path.display());
    }
    Ok(())
}

/// Makes every file of a release, `SHA256SUMS` last.
///
/// # Errors
/// When a file of the repository cannot be read, or cargo cannot say what the programs consist of.
pub fn pack(release: &Release<'_>) -> Result<Vec<Artifact>> {
    let stem = release.stem();
    let mut artifacts = vec![
        Artifact { name: format!("{stem}.tar.gz"), content: tarball::pack(release)? },
        Artifact { name: format!("{stem}-image.tar.gz"), content: image::pack(release)? },
        Artifact { name: format!("{stem}.cdx.json"), content: sbom::describe(release)? },
    ];
    artifacts.extend(deb::pack(release)?);
    artifacts.sort_by(|one, other| one.name.cmp(&other.name));
    artifacts.push(sums(&artifacts));
    Ok(artifacts)
}

/// Returns `SHA256SUMS`, in the form that `sha256sum --check` reads.
fn sums(artifacts: &[Artifact]) -> Artifact {
    let line = |artifact: &Artifact| {
        let digest = Sha256::digest(&artifact.content);
        format!("{}  {}\n", hexadecimal(&digest), artifact.name)
    };
    let lines: String = artifacts.iter().map(line).collect();
    Artifact { name: "SHA256SUMS".to_owned(), content: lines.into_bytes() }
}

/// Returns the bytes as hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_what_sha256sum_reads() {
        let empty = Artifact { name: "empty".to_owned(), content: Vec::new() };
        let sums = sums(&[empty]);
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty\n";
        assert_eq!((sums.name.as_str(), sums.content), ("SHA256SUMS", expected.as_bytes().to_vec()));
    }
}
