//! `downgrade`: prepares the cluster for members of the version before.

use clap::Command as Grammar;
use proto::etcdserverpb::DowngradeRequest;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::exit::Failure;
use crate::ctl::flags;
use crate::ctl::print::outcome::Outcome;

/// The command.
pub const COMMAND: Command = Command {
    name: "downgrade",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    let leaf = |name, about, usage| flags::leaf(name, about, usage, &["TARGET_VERSION"]);
    grammar
        .about("Downgrade related commands. Use `etcdctl downgrade --help` to see subcommands")
        .long_about("Downgrade related commands")
        .subcommand(leaf(
            "validate",
            "Validate downgrade capability before starting downgrade",
            "<TARGET_VERSION>",
        ))
        .subcommand(leaf("enable", "Start a downgrade action to cluster", "<TARGET_VERSION>"))
        .subcommand(leaf("cancel", "Cancel the ongoing downgrade action to cluster", ""))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let name = invocation.name().to_owned();
    let (action, version) = match name.as_str() {
        "validate" => (DowngradeAction::Validate, version(&invocation)?),
        "enable" => (DowngradeAction::Enable, version(&invocation)?),
        _ => (DowngradeAction::Cancel, String::new()),
    };
    let session = invocation.open().await?;
    let request = DowngradeRequest { action: action.into(), version };
    let answer =
        session.call(|channel| async move { MaintenanceClient::new(channel).downgrade(request).await });
    let answer = answer.await?;
    let said = format!("Downgrade {name} success, cluster version {}", answer.version);
    session.print(&Outcome::new(said, answer))
}

fn version(invocation: &Invocation) -> Result<String, Failure> {
    match invocation.text_arguments().as_slice() {
        [] => Err(Failure::arguments("TARGET_VERSION not provided")),
        [version] if version.is_empty() => Err(Failure::arguments("target version not provided")),
        [version] => Ok(version.clone()),
        _ => Err(Failure::arguments("too many arguments")),
    }
}
