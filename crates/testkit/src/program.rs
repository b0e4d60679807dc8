//! A server binary, and which etcd it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names another etcd (a path) to compare with than the one in `PATH`.
pub const PEER_VARIABLE: &str = "QUORATE_TEST_PEER";

/// Names another server (a path) to test than the one that Cargo built; a comparison of two real etcds proves the test
/// itself.
pub const SUBJECT_VARIABLE: &str = "QUORATE_TEST_SUBJECT";

/// Names a built Quorate (a path) for the tests of other packages than the server's.
pub const BINARY_VARIABLE: &str = "QUORATE_BIN";

/// The first two numbers of a version: what behaviour depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `3` of `3.7.1`.
    pub major: u32,
    /// `7` of `3.7.1`.
    pub minor: u32,
}

impl Version {
    /// What Quorate's contract describes.
    pub const CONTRACT: Version = Version { major: 3, minor: 7 };

    /// Reads `X.Y` or `X.Y.Z`, whatever follows.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.trim().split('.').map(str::parse);
        match (numbers.next()?, numbers.next()?) {
            (Ok(major), Ok(minor)) => Some(Version { major, minor }),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A server binary that takes etcd's flags.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// What makes a server of it, in front of a server's flags.
    arguments: Vec<String>,
    version: Version,
    quorate: bool,
}

impl Program {
    /// The server under test: what [`SUBJECT_VARIABLE`] names, else `built` (of `CARGO_BIN_EXE_quorate`).
    pub fn subject(built: &str) -> Result<Program, String> {
        Program::at(&std::env::var_os(SUBJECT_VARIABLE).map_or_else(|| PathBuf::from(built), PathBuf::from))
    }

    /// Quorate, for tests of other packages than the server's, which Cargo does not tell where it is: what
    /// [`SUBJECT_VARIABLE`] or [`BINARY_VARIABLE`] names, else the binary beside the test's own, which is built if it is not
    /// there.
    pub fn quorate() -> Result<Program, String> {
        static FOUND: OnceLock<Result<Program, String>> = OnceLock::new();
        FOUND.get_or_init(|| Program::at(&find_or_build()?)).clone()
    }

    /// The etcd to compare with: what [`PEER_VARIABLE`] names, else `etcd` in `PATH`. `Err` says why there is none.
    pub fn etcd() -> Result<Program, String> {
        Program::at(&std::env::var_os(PEER_VARIABLE).map_or_else(|| PathBuf::from("etcd"), PathBuf::from))
    }

    /// The binary at `path` (or of that name in `PATH`), asked for its version.
    pub fn at(path: &Path) -> Result<Program, String> {
        Program::within(path, &[])
    }

    /// A server that another binary turns into when it is run with `arguments`, in front of the server's own.
    pub fn within(path: &Path, arguments: &[&str]) -> Result<Program, String> {
        let name = path.display();
        let output = Command::new(path)
            .args(arguments)
            .arg("--version")
            .output()
            .map_err(|error| format!("cannot run {name}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("etcd Version: ").and_then(Version::parse))
            .ok_or_else(|| format!("{name} --version does not say `etcd Version: X.Y.Z` but {text:?}"))?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(Program { path: path.to_owned(), arguments, version, quorate: text.contains("Quorate") })
    }

    /// A run of it without environment or input, still without a server's flags.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear().stdin(Stdio::null());
        command
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is ours, and not a real etcd in its place.
    pub fn is_quorate(&self) -> bool {
        self.quorate
    }

    /// Which etcd it is, or claims to be.
    pub fn version(&self) -> Version {
        self.version
    }
}

fn find_or_build() -> Result<PathBuf, String> {
    if let Some(named) = [SUBJECT_VARIABLE, BINARY_VARIABLE].into_iter().find_map(std::env::var_os) {
        return Ok(named.into());
    }
    let own = std::env::current_exe().map_err(|error| format!("where is the test? {error}"))?;
    // A test is target/<profile>/deps/<name>, an example's or a documentation's is elsewhere below the profile.
    let is_profile = |directory: &&Path| directory.join("deps").is_dir() && directory.join("build").is_dir();
    let profile = own.ancestors().find(is_profile).ok_or("the test is in no directory of Cargo's")?;
    let binary = profile.join(format!("quorate{}", std::env::consts::EXE_SUFFIX));
    if !binary.is_file() {
        build(profile)?;
    }
    Ok(binary)
}

/// Builds Quorate into the directory of a profile.
fn build(profile: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "quorate", "--bin", "quorate"]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("cargo build --package quorate fails".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_up_to_its_second_number() {
        assert_eq!(Version::parse("3.7.1"), Some(Version { major: 3, minor: 7 }));
        assert_eq!(Version::parse("3.4\n"), Some(Version { major: 3, minor: 4 }));
        assert_eq!(Version::parse("three"), None);
        assert!(Version { major: 3, minor: 10 } > Version::CONTRACT);
    }
}
