//! `completion`: prints a script that completes lines in a shell.

use clap::Command as Grammar;

use super::{Command, Group};
use crate::ctl::exit::Failure;
use crate::ctl::print::write;
use crate::ctl::{Invocation, complete, flags};

/// The command.
pub const COMMAND: Command = Command {
    name: "completion",
    group: Group::Utility,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

const ABOUT: &str = r#"To load completions:

Bash:

  $ source <(etcdctl completion bash)

  # To load completions for each session, execute once:
  # Linux:
  $ etcdctl completion bash > /etc/bash_completion.d/etcdctl
  # macOS:
  $ etcdctl completion bash > /usr/local/etc/bash_completion.d/etcdctl

Zsh:

  # If shell completion is not already enabled in your environment,
  # you will need to enable it.  You can execute the following once:

  $ echo "autoload -U compinit; compinit" >> ~/.zshrc

  # To load completions for each session, execute once:
  $ etcdctl completion zsh > "${fpath[1]}/_etcdctl"

  # You will need to start a new shell for this setup to take effect.

fish:

  $ etcdctl completion fish | source

  # To load completions for each session, execute once:
  $ etcdctl completion fish > ~/.config/fish/completions/etcdctl.fish

PowerShell:

  PS> etcdctl completion powershell | Out-String | Invoke-Expression

  # To load completions for every new session, run:
  PS> etcdctl completion powershell > etcdctl.ps1
  # and source this file from your PowerShell profile."#;

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Generate completion script")
        .long_about(ABOUT)
        .override_usage("[bash|zsh|fish|powershell]")
        .args(flags::positionals(&["shell"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let program = &invocation.program;
    let arguments = invocation.text_arguments();
    let [shell] = arguments.as_slice() else {
        let text = format!("accepts 1 arg(s), received {}", arguments.len());
        return Err(Failure::error(format!("{text}\nRun '{program} completion --help' for usage.")));
    };
    match complete::script(shell, program) {
        Some(script) => write(&script?),
        None => {
            let text = format!("invalid argument \"{shell}\" for \"{program} completion\"");
            Err(Failure::error(format!("{text}\nRun '{program} completion --help' for usage.")))
        }
    }
}
