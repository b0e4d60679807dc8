//! `completion`: scripts for shells.

use std::io::Write;

use clap::ArgMatches;
use clap_complete::Shell;

use super::arguments;
use super::failure::Failure;

pub(super) fn run(program: &'static str, matches: &ArgMatches, out: &mut dyn Write) -> Result<(), Failure> {
    let name = matches.get_one::<String>("shell").map_or("", String::as_str);
    let shell = match name {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "powershell" => Shell::PowerShell,
        other => {
            return Err(Failure::error(format!(
                "invalid argument {other:?} for \"{program} completion\": it must be bash, zsh, fish or powershell"
            )));
        }
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(program), program, &mut script);
    Ok(out.write_all(&script)?)
}
