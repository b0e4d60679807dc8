//! The programs of a release: built by cargo, and asked for their manuals and completions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::manual;
use crate::process;

/// The shells that completions are made for.
pub const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

/// The tools: each writes its own manual pages and completions.
pub const TOOLS: [&str; 2] = ["quoratectl", "quorateutl"];

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// As they are handed out: the server for speed (`dist`), the tools small (`tools`).
    Release,
    /// As tests build them.
    Dev,
}

/// The programs of a release, and the texts that only they can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The server `quorate`.
    pub server: Vec<u8>,
    /// The tools by name: `quoratectl`, `quorateutl`.
    pub tools: BTreeMap<String, Vec<u8>>,
    /// Manual pages by file name: `quorate.8`, `quoratectl-get.1`.
    pub manuals: BTreeMap<String, Vec<u8>>,
    /// Completions by shell and tool.
    pub completions: BTreeMap<(String, String), Vec<u8>>,
}

impl Programs {
    /// Builds the programs for a target (`host`: the machine's own) and runs them for their manuals.
    ///
    /// # Errors
    /// When a build fails, or a program does not run.
    pub fn build(root: &Path, profile: Profile, target: &str) -> Result<Self> {
        let mut directories = Vec::new();
        for (package, cargo_profile) in packages(profile) {
            let mut command = process::cargo();
            command.args(["build", "--locked", "--package", package, "--bins", "--profile", cargo_profile]);
            command.current_dir(root);
            if target != HOST {
                command.args(["--target", target]);
                hide_paths(&mut command, root, target);
            }
            process::run(&mut command)?;
            directories.push(output_directory(root, cargo_profile, target));
        }
        let [server, tools] = directories.try_into().expect("two packages");
        Self::read(&server, &tools, target)
    }

    /// Takes programs that are built already, from the directory of the server's and that of the tools.
    ///
    /// # Errors
    /// When one is missing, or does not run.
    pub fn read(server: &Path, tools: &Path, target: &str) -> Result<Self> {
        let server = server.join("quorate");
        let mut programs = Self {
            server: fs::read(&server).with_context(|| server.display().to_string())?,
            tools: BTreeMap::new(),
            manuals: BTreeMap::new(),
            completions: BTreeMap::new(),
        };
        let help = output_of(&mut runner(&server, target), &["--help"])?;
        programs
            .manuals
            .insert("quorate.8".to_owned(), manual::of_server(&String::from_utf8(help)?).into_bytes());
        for name in TOOLS {
            programs.add_tool(name, &tools.join(name), target)?;
        }
        Ok(programs)
    }

    fn add_tool(&mut self, name: &str, path: &Path, target: &str) -> Result<()> {
        self.tools.insert(name.to_owned(), fs::read(path).with_context(|| path.display().to_string())?);
        for shell in SHELLS {
            let script = output_of(&mut runner(path, target), &["completion", shell])?;
            self.completions.insert((shell.to_owned(), name.to_owned()), script);
        }
        let pages = TemporaryDirectory::new(name)?;
        output_of(runner(path, target).arg("man"), &[&pages.0.to_string_lossy()])?;
        for page in fs::read_dir(&pages.0)? {
            let page = page?;
            self.manuals.insert(page.file_name().to_string_lossy().into_owned(), fs::read(page.path())?);
        }
        Ok(())
    }
}

/// The target that means the machine's own, with its C library.
pub const HOST: &str = "host";

/// Returns the triple of a target; `host` is asked of the compiler.
///
/// # Errors
/// When there is no compiler.
pub fn resolve_target(target: &str) -> Result<String> {
    if target != HOST {
        return Ok(target.to_owned());
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = String::from_utf8(output_of(&mut Command::new(rustc), &["-vV"])?)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV does not say the host")?.to_owned())
}

/// Returns the time that everything packed is of: `SOURCE_DATE_EPOCH`, or that of the commit.
///
/// # Errors
/// When there is neither.
pub fn epoch(root: &Path) -> Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given
            .trim()
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={given} is no number of seconds"));
    }
    let mut git = Command::new("git");
    let said = output_of(git.current_dir(root), &["log", "-1", "--format=%ct"])
        .context("without SOURCE_DATE_EPOCH, the time of the commit is needed")?;
    Ok(String::from_utf8(said)?.trim().parse()?)
}

/// The packages with the profiles of cargo that they are built with: the server, then the tools.
fn packages(profile: Profile) -> [(&'static str, &'static str); 2] {
    match profile {
        Profile::Release => [("quorate", "dist"), ("quorate-cli", "tools")],
        Profile::Dev => [("quorate", "dev"), ("quorate-cli", "dev")],
    }
}

/// Keeps the paths of this machine out of the programs, so that they do not depend on where they are built. Sources in C say
/// their paths as well (aws-lc's errors).
fn hide_paths(command: &mut Command, root: &Path, target: &str) {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let maps = [(root, "/quorate"), (home.as_path(), "/cargo")];
    let flags: Vec<_> =
        maps.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let flags: Vec<_> =
        maps.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
    command.env(format!("CFLAGS_{}", target.replace('-', "_")), flags.join(" "));
}

/// Where cargo puts programs.
fn output_directory(root: &Path, cargo_profile: &str, target: &str) -> PathBuf {
    let mut directory =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    if target != HOST {
        directory.push(target);
    }
    directory.join(if cargo_profile == "dev" { "debug" } else { cargo_profile })
}

/// Returns a run of a program of the target, by the runner that cargo would use, if one is named
/// (`CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER=qemu-aarch64`).
fn runner(program: &Path, target: &str) -> Command {
    let variable = format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace('-', "_"));
    match std::env::var_os(variable) {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Runs a program and returns what it writes to standard output.
fn output_of(command: &mut Command, arguments: &[&str]) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.args(arguments).output().with_context(|| format!("running {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {}: {}\n{said}", arguments.join(" "), output.status);
    Ok(output.stdout)
}

/// A directory that is removed in the end.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("quorate-dist-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_what_it_is_called_and_the_host_is_asked_for() {
        assert_eq!(resolve_target(super::super::RELEASE_TARGET).unwrap(), super::super::RELEASE_TARGET);
        assert!(resolve_target(HOST).unwrap().contains("-linux-"));
    }

    #[test]
    fn what_a_program_says_when_it_fails_is_shown() {
        let error = output_of(&mut Command::new("sh"), &["-c", "echo why >&2; exit 3"]).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
