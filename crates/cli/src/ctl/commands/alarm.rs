//! `alarm`: what members want somebody to look at.

use clap::Command as Grammar;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{AlarmRequest, AlarmResponse};

use super::{Command, Group};
use crate::ctl::Invocation;
use crate::ctl::connect::Session;
use crate::ctl::exit::Failure;
use crate::ctl::flags;

/// The command.
pub const COMMAND: Command = Command {
    name: "alarm",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    let leaf = |name, about| flags::leaf(name, about, "", &[]);
    grammar
        .about("Alarm related commands. Use `etcdctl alarm --help` to see subcommands")
        .long_about("Alarm related commands")
        .subcommand(leaf("disarm", "Disarms all alarms"))
        .subcommand(leaf("list", "Lists all alarms"))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let name = invocation.name();
    if !invocation.text_arguments().is_empty() {
        return Err(Failure::arguments(format!("alarm {name} command accepts no arguments")));
    }
    let session = invocation.open().await?;
    let raised = call(&session, AlarmRequest::default()).await?;
    let answer = if name == "disarm" { disarm(&session, raised).await? } else { raised };
    session.print(&answer)
}

/// Ends the alarms one by one. The answer has no header, as it is none of the server's.
async fn disarm(session: &Session, raised: AlarmResponse) -> Result<AlarmResponse, Failure> {
    let mut disarmed = AlarmResponse::default();
    for alarm in raised.alarms {
        let action = AlarmAction::Deactivate.into();
        let request = AlarmRequest { action, member_id: alarm.member_id, alarm: alarm.alarm };
        disarmed.alarms.extend(call(session, request).await?.alarms);
    }
    Ok(disarmed)
}

async fn call(session: &Session, request: AlarmRequest) -> Result<AlarmResponse, Failure> {
    session.call(|channel| async move { MaintenanceClient::new(channel).alarm(request).await }).await
}
