//! Completion in the shell: of commands, flags and their values, and of what the cluster has: keys, members, users,
//! roles.
//!
//! `completion bash` prints a short script for the shell. The script calls this program with the words of the line that
//! is being typed, and with [`VARIABLE`] in its environment. What may stand at the cursor is found by clap's engine, on
//! the same grammar that lines are read by; for values it calls [`values`]. Nothing of this runs otherwise.

use std::ffi::{OsStr, OsString};
use std::io;

use clap::{Arg, Command as Grammar};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{EnvCompleter, Shells};

use super::exit::Failure;
use super::{line, print};

mod keys;
mod values;

/// The variable that the scripts set, to the name of their shell.
pub const VARIABLE: &str = "QUORATECTL_COMPLETE";

/// The shells that there is a script for.
pub const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// Returns the script of a shell for a program of this name; `None` for a shell that is not known.
pub fn script(shell: &str, program: &str) -> Option<io::Result<Vec<u8>>> {
    let shell = engine_of(shell)?;
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, program, program, program, &mut script);
    Some(written.map(|()| script))
}

fn engine_of(shell: &str) -> Option<&'static dyn EnvCompleter> {
    const ENGINES: Shells<'static> = Shells::builtins();
    SHELLS.contains(&shell).then(|| ENGINES.0.iter().copied().find(|engine| engine.is(shell))).flatten()
}

/// Prints what may stand at the cursor, if a script asks for it. Returns whether one did.
///
/// # Errors
/// When standard output takes nothing.
pub fn answer(words: &[OsString]) -> Result<bool, Failure> {
    let Some(shell) = std::env::var_os(VARIABLE) else { return Ok(false) };
    let typed = words.iter().position(|word| word == "--").map_or(&[][..], |at| &words[at + 1..]);
    let (Some(engine), [program, ..]) = (shell.to_str().and_then(engine_of), typed) else { return Ok(false) };
    let mut grammar = grammar(program, typed);
    let mut candidates = Vec::new();
    engine.write_complete(&mut grammar, typed.to_vec(), None, &mut candidates)?;
    print::write(&candidates)?;
    Ok(true)
}

/// Returns the grammar of all commands, in which arguments know their values.
fn grammar(program: &OsStr, typed: &[OsString]) -> Grammar {
    let program = line::program_of(&[program.to_owned()]);
    with_values(line::grammar(&program).mut_args(|argument| argument.hide(false)), typed)
}

fn with_values(grammar: Grammar, typed: &[OsString]) -> Grammar {
    grammar
        .mut_args(|argument| complete(argument, typed))
        .mut_subcommands(|subcommand| with_values(subcommand, typed))
}

/// Adds to an argument what completes it, by its name.
fn complete(argument: Arg, typed: &[OsString]) -> Arg {
    let name = argument.get_id().as_str();
    if let Some(words) = words_of(name) {
        return argument.add(ArgValueCompleter::new(move |typed: &OsStr| starting_with(typed, words)));
    }
    let Some(kind) = values::Kind::of_argument(name) else { return argument };
    let line = typed.to_vec();
    argument.add(ArgValueCompleter::new(move |typed: &OsStr| values::of(kind, typed, &line)))
}

/// Returns the values of an argument that takes only some words. The ids of positional arguments have brackets.
fn words_of(argument: &str) -> Option<&'static [&'static str]> {
    match argument {
        "write-out" => Some(&["fields", "json", "protobuf", "simple", "table"]),
        "load" => Some(&["small", "medium", "large", "xLarge"]),
        "<permission>" => Some(&["read", "write", "readwrite"]),
        "consistency" => Some(&["l", "s"]),
        "order" => Some(&["ASCEND", "DESCEND"]),
        "sort-by" => Some(&["CREATE", "KEY", "MODIFY", "VALUE", "VERSION"]),
        "<shell>" => Some(&SHELLS),
        _ => None,
    }
}

fn starting_with(typed: &OsStr, words: &[&'static str]) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let matching = words.iter().filter(|word| word.starts_with(typed.as_ref()));
    matching.map(|word| CompletionCandidate::new(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(line: &[&str]) -> Vec<String> {
        let typed: Vec<OsString> = line.iter().map(OsString::from).collect();
        let mut grammar = grammar(&typed[0], &typed);
        let found = clap_complete::engine::complete(&mut grammar, typed, line.len() - 1, None).unwrap();
        found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn commands_flags_and_words_are_completed() {
        assert_eq!(candidates(&["etcdctl", "memb"]), ["member"]);
        assert_eq!(candidates(&["etcdctl", "member", "p"]), ["promote"]);
        assert_eq!(candidates(&["etcdctl", "member", "add", "--pe"]), ["--peer-urls"]);
        assert_eq!(candidates(&["etcdctl", "get", "-w", "j"]), ["json"]);
        assert_eq!(candidates(&["etcdctl", "get", "--write-out=t"]), ["--write-out=table"]);
        assert_eq!(candidates(&["etcdctl", "get", "--endp"]), ["--endpoints"]);
        assert_eq!(candidates(&["etcdctl", "check", "perf", "--load", "x"]), ["xLarge"]);
        assert_eq!(candidates(&["etcdctl", "role", "grant-permission", "r", "re"]), ["read", "readwrite"]);
    }

    #[test]
    fn each_shell_has_a_script() {
        for shell in SHELLS {
            let script = String::from_utf8(script(shell, "etcdctl").unwrap().unwrap()).unwrap();
            assert!(script.contains(VARIABLE) && script.contains("etcdctl"), "{shell}: {script}");
        }
        assert!(script("elvish", "etcdctl").is_none());
    }
}
