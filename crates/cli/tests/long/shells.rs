//! The completion scripts, in the shells that they are for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testkit::{require, skip};

const TOOLS: [(&str, &str); 2] =
    [("quoratectl", env!("CARGO_BIN_EXE_quoratectl")), ("quorateutl", env!("CARGO_BIN_EXE_quorateutl"))];

/// Writes the script of a shell for a program into a directory, and returns its path.
fn script(directory: &Path, (name, program): (&str, &str), shell: &str) -> PathBuf {
    let written = Command::new(program).args(["completion", shell]).output().unwrap();
    assert!(written.status.success(), "{name} {shell}: {written:?}");
    let path = directory.join(format!("{name}.{shell}"));
    std::fs::write(&path, written.stdout).unwrap();
    path
}

/// Runs a shell, or returns why there is none.
fn run(shell: &str, arguments: &[&OsStr], path: &Path) -> Result<Output, String> {
    // The tools are found by their names, as in the path of somebody who uses them.
    let above = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(path.to_owned()).chain(std::env::split_paths(&above)));
    let command =
        Command::new(shell).args(arguments).env("PATH", path.unwrap()).stdin(Stdio::null()).output();
    command.map_err(|error| format!("cannot run {shell}: {error}"))
}

/// A directory with the tools, by name.
fn installed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, program) in TOOLS {
        std::os::unix::fs::symlink(program, directory.path().join(name)).unwrap();
    }
    directory
}

/// Has a shell read its scripts without running them, or returns why there is none.
fn accepted(shell: &str, arguments: &[&str]) -> Result<(), String> {
    let directory = installed();
    for tool in TOOLS {
        let script = script(directory.path(), tool, shell);
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([script.as_os_str()]).collect();
        let read = run(shell, &arguments, directory.path())?;
        assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {read:?}");
    }
    Ok(())
}

#[test]
fn bash_and_zsh_read_their_scripts() {
    require!("the script for bash", accepted("bash", &["-n"]));
    require!("the script for zsh", accepted("zsh", &["-f", "-n"]));
}

#[test]
fn fish_reads_its_script() {
    require!("the script for fish", accepted("fish", &["--no-config", "--no-execute"]));
}

/// Has fish complete lines, with what it reads from the scripts and nothing else.
#[test]
fn fish_is_offered_what_may_stand_at_the_cursor() {
    let directory = installed();
    for (line, expected) in [
        ("quoratectl member pro", "promote\tPromotes a non-voting member in the cluster\n"),
        ("quoratectl get k --keys-on", "--keys-only\tGet only the keys\n"),
        ("quorateutl veri", "verify\tSays everything that is wrong with a data directory, file and offset\n"),
    ] {
        let program = line.split(' ').next().unwrap();
        let asking = format!("{program} completion fish | source; complete -C '{line}'");
        let arguments = ["--no-config", "-c", &asking].map(OsStr::new);
        let offered = require!("completion in fish", run("fish", &arguments, directory.path()));
        assert_eq!(String::from_utf8_lossy(&offered.stdout).trim_end(), expected.trim_end(), "{offered:?}");
    }
}

/// No package of Debian has this shell, so that CI lacks it too, and says so.
#[test]
fn powershell_reads_its_script() {
    let directory = installed();
    for tool in TOOLS {
        let script = script(directory.path(), tool, "powershell");
        let parse = format!(
            "$errors = $null; [System.Management.Automation.Language.Parser]::ParseFile('{}', [ref]$null, \
             [ref]$errors) | Out-Null; if ($errors) {{ $errors; exit 1 }}",
            script.display()
        );
        let arguments = ["-NoProfile", "-NonInteractive", "-Command", &parse].map(OsStr::new);
        match run("pwsh", &arguments, directory.path()) {
            Ok(read) => assert!(read.status.success(), "{read:?}"),
            Err(why) => {
                let why = format!("{why} (Debian has no package of it)");
                return skip::excuse("the script for PowerShell", &why);
            }
        }
    }
}

/// Runs the function that the script defines, with what zsh's own completion would call replaced by a list of what it is
/// given.
#[test]
fn zsh_is_offered_what_may_stand_at_the_cursor() {
    let directory = installed();
    let asking = "compdef() { }\n_describe() { print -rl -- \"${(@P)3}\" }\n\
                  eval \"$(quoratectl completion zsh)\"\n\
                  words=(quoratectl member pro) CURRENT=3\n_clap_dynamic_completer_quoratectl\n";
    let arguments = ["-f", "-c", asking].map(OsStr::new);
    let offered = require!("completion in zsh", run("zsh", &arguments, directory.path()));
    let expected = "promote:Promotes a non-voting member in the cluster\n";
    assert_eq!(String::from_utf8_lossy(&offered.stdout), expected, "{offered:?}");
}
