//! Packages for Debian and its kin, made without any program of theirs.
//!
//! A `.deb` is an `ar` archive of three members: the version of the format, a tar file with what dpkg reads and runs, and a tar file
//! with what it unpacks. See deb(5).
//!
//! `quorate` has the programs, the unit files and the configuration, and starts a member when it is installed, as Debian's own
//! services do. `quorate-etcd` has links under etcd's names only, and takes the place of Debian's `etcd-server` and `etcd-client`.

use anyhow::Result;
use md5::{Digest, Md5};

use super::build::Programs;
use super::entries::{Content, Entries, Packing, gzip};
use super::tarball::{ETCD_NAMES, UNITS, manual_path};
use super::{Artifact, Release, hexadecimal};

/// Where the configuration is.
pub const CONFIGURATION: &str = "etc/quorate/quorate.yaml";

/// Scripts that dpkg runs, in `dist/debian/`.
const SCRIPTS: [&str; 3] = ["postinst", "postrm", "prerm"];

/// The arguments of services that have no configuration file, in `dist/debian/` and in `/etc/default/`.
const DEFAULTS: [&str; 2] = ["quorate-gateway", "quorate-grpc-proxy"];

const MAINTAINER: &str = "The Quorate authors <quorate@example.invalid>";

/// A package before it is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version, as Debian writes versions.
    pub version: String,
    /// The architecture that it is for; `all` without programs.
    pub architecture: String,
    /// The other lines of `control`.
    pub fields: Vec<(&'static str, String)>,
    /// What is unpacked.
    pub data: Entries,
    /// Paths of files that an administrator may have changed.
    pub conffiles: Vec<String>,
    /// Scripts by name.
    pub scripts: Vec<(String, Vec<u8>)>,
}

/// Makes both packages.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn pack(release: &Release<'_>) -> Result<Vec<Artifact>> {
    let packages = [programs(release)?, etcd_names(release)?];
    packages.iter().map(|package| package.pack(release.packing)).collect()
}

/// Returns the package with the programs.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn programs(release: &Release<'_>) -> Result<Package> {
    let mut data = Entries::default();
    add_programs(&mut data, release.programs, release.packing)?;
    for unit in UNITS {
        data.file(format!("usr/lib/systemd/system/{unit}"), release.file(&format!("dist/systemd/{unit}"))?);
    }
    data.file(CONFIGURATION, release.file("dist/quorate.yaml")?);
    let mut conffiles = vec![format!("/{CONFIGURATION}")];
    for name in DEFAULTS {
        data.file(format!("etc/default/{name}"), release.file(&format!("dist/debian/{name}.default"))?);
        conffiles.push(format!("/etc/default/{name}"));
    }
    for name in ["alerts.yaml", "dashboard.json"] {
        data.file(format!("usr/share/quorate/{name}"), release.file(&format!("dist/monitoring/{name}"))?);
    }
    add_documents(&mut data, "quorate", release)?;
    conffiles.sort();
    let scripts = SCRIPTS.map(|name| Ok((name.to_owned(), release.file(&format!("dist/debian/{name}"))?)));
    // A program with the machine's C library needs it; one with musl needs nothing.
    let libc = if release.target.ends_with("-musl") { "" } else { ", libc6" };
    let description = "distributed key-value store that speaks the etcd v3 API\n \
                       Programs, services and configuration. The package quorate-etcd makes them available as etcd,\n \
                       etcdctl and etcdutl.";
    Ok(Package {
        name: "quorate",
        version: debian_version(release.version),
        architecture: architecture(release.target).to_owned(),
        fields: vec![
            ("Depends", format!("adduser, init-system-helpers{libc}")),
            ("Suggests", "quorate-etcd".to_owned()),
            ("Description", description.to_owned()),
        ],
        data,
        conffiles,
        scripts: scripts.into_iter().collect::<Result<_>>()?,
    })
}

/// Returns the package with the links.
///
/// # Errors
/// When a file of the repository cannot be read.
pub fn etcd_names(release: &Release<'_>) -> Result<Package> {
    let mut data = Entries::default();
    for (theirs, ours) in ETCD_NAMES {
        data.link(format!("usr/bin/{theirs}"), ours);
    }
    add_documents(&mut data, "quorate-etcd", release)?;
    let version = debian_version(release.version);
    let theirs = "etcd, etcd-client, etcd-server".to_owned();
    let description = "Quorate in the place of etcd\n Links under the names etcd, etcdctl and etcdutl.";
    Ok(Package {
        name: "quorate-etcd",
        architecture: "all".to_owned(),
        fields: vec![
            ("Depends", format!("quorate (>= {version})")),
            ("Provides", theirs.clone()),
            ("Conflicts", theirs.clone()),
            ("Replaces", theirs),
            ("Description", description.to_owned()),
        ],
        version,
        data,
        conffiles: Vec::new(),
        scripts: Vec::new(),
    })
}

fn add_programs(data: &mut Entries, programs: &Programs, packing: Packing) -> Result<()> {
    data.program("usr/bin/quorate", programs.server.as_slice());
    for (name, program) in &programs.tools {
        data.program(format!("usr/bin/{name}"), program.as_slice());
    }
    for (name, page) in &programs.manuals {
        data.file(format!("usr/share/man/{}.gz", manual_path(name)), gzip(page, packing.compression)?);
    }
    for ((shell, tool), script) in &programs.completions {
        data.file(completion_path(shell, tool), script.as_slice());
    }
    Ok(())
}

/// Returns where Debian's shells look for a completion.
fn completion_path(shell: &str, tool: &str) -> String {
    match shell {
        "zsh" => format!("usr/share/zsh/vendor-completions/_{tool}"),
        "fish" => format!("usr/share/fish/vendor_completions.d/{tool}.fish"),
        _ => format!("usr/share/bash-completion/completions/{tool}"),
    }
}

fn add_documents(data: &mut Entries, package: &str, release: &Release<'_>) -> Result<()> {
    let directory = format!("usr/share/doc/{package}");
    data.file(format!("{directory}/copyright"), release.file("dist/debian/copyright")?);
    let changes = gzip(&release.file("CHANGELOG.md")?, release.packing.compression)?;
    data.file(format!("{directory}/changelog.gz"), changes);
    Ok(())
}

/// Returns Debian's name for the processor of a target.
fn architecture(target: &str) -> &str {
    match target.split('-').next().unwrap_or(target) {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Returns a version as Debian compares versions: `1.0.0-rc.1` is before `1.0.0`.
fn debian_version(version: &str) -> String {
    version.replace('-', "~")
}

impl Package {
    /// Returns the `.deb`.
    ///
    /// # Errors
    /// When a path is too long for tar.
    pub fn pack(&self, packing: Packing) -> Result<Artifact> {
        let control = self.control_entries().to_tar_gz("./", packing)?;
        let data = self.data.to_tar_gz("./", packing)?;
        let mut archive = ar::Builder::new(Vec::new());
        for (name, content) in
            [("debian-binary", b"2.0\n".as_slice()), ("control.tar.gz", &control), ("data.tar.gz", &data)]
        {
            let mut header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
            header.set_mtime(packing.epoch);
            header.set_mode(0o100_644);
            archive.append(&header, content)?;
        }
        let name = format!("{}_{}_{}.deb", self.name, self.version, self.architecture);
        Ok(Artifact { name, content: archive.into_inner()? })
    }

    fn control_entries(&self) -> Entries {
        let mut entries = Entries::default();
        entries.file("control", self.control());
        entries.file("md5sums", self.sums());
        if !self.conffiles.is_empty() {
            entries.file("conffiles", self.conffiles.join("\n") + "\n");
        }
        for (name, script) in &self.scripts {
            entries.program(name, script.as_slice());
        }
        entries
    }

    fn control(&self) -> String {
        let mut text = format!("Package: {}\nVersion: {}\n", self.name, self.version);
        text += &format!("Architecture: {}\nMaintainer: {MAINTAINER}\n", self.architecture);
        text += &format!(
            "Installed-Size: {}\nSection: database\nPriority: optional\n",
            self.installed_kibibytes()
        );
        text += &format!("Homepage: {}\n", env!("CARGO_PKG_REPOSITORY"));
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\n");
        }
        text
    }

    /// The estimate that Debian's own tools make: files by their length, anything else as 1 KiB.
    fn installed_kibibytes(&self) -> usize {
        let size = |content: &Content| match content {
            Content::File(bytes) => bytes.len().div_ceil(1024),
            Content::Directory | Content::Link(_) => 1,
        };
        self.data.iter().map(|(_, entry)| size(&entry.content)).sum()
    }

    /// `md5sums`, by which `dpkg --verify` finds files that were changed; conffiles are not in it.
    fn sums(&self) -> String {
        let files = self.data.files().filter(|(path, _)| !self.conffiles.contains(&format!("/{path}")));
        files.map(|(path, bytes)| format!("{}  {path}\n", hexadecimal(&Md5::digest(bytes)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_architectures_are_debians() {
        assert_eq!(debian_version("1.0.0-rc.1"), "1.0.0~rc.1");
        assert_eq!(architecture("x86_64-unknown-linux-musl"), "amd64");
        assert_eq!(architecture("aarch64-unknown-linux-musl"), "arm64");
    }

    #[test]
    fn conffiles_have_no_sums() {
        let mut data = Entries::default();
        data.file("etc/x", "changed by hand");
        data.file("usr/x", "");
        let package = Package {
            name: "x",
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            fields: vec![("Description", "a package".to_owned())],
            data,
            conffiles: vec!["/etc/x".to_owned()],
            scripts: Vec::new(),
        };
        assert_eq!(package.sums(), "d41d8cd98f00b204e9800998ecf8427e  usr/x\n");
        assert_eq!(package.installed_kibibytes(), 3);
        assert!(package.control().ends_with("Description: a package\n"));
    }
}
