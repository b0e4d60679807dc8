//! `move-leader`: gives the lead to another member.

use clap::Command as Grammar;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{MoveLeaderRequest, StatusRequest};

use super::{Command, Group};
use crate::ctl::connect::{Channel, Session};
use crate::ctl::exit::Failure;
use crate::ctl::print::outcome::Outcome;
use crate::ctl::{Invocation, flags};
use crate::go::number::parse_unsigned_hexadecimal;

/// The command.
pub const COMMAND: Command = Command {
    name: "move-leader",
    group: Group::Maintenance,
    grammar,
    run: |invocation| Box::pin(run(invocation)),
};

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Transfers leadership to another etcd cluster member.")
        .override_usage("<transferee-member-id>")
        .args(flags::positionals(&["memberID"]))
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let arguments = invocation.text_arguments();
    let [target] = arguments.as_slice() else {
        return Err(Failure::arguments("move-leader command needs 1 argument"));
    };
    let target_id = parse_unsigned_hexadecimal(target).map_err(Failure::arguments)?;
    let session = invocation.open().await?;
    let (leader, channel) = find_leader(&session).await?;
    let limit = session.globals.command_timeout();
    let answer = session.within(limit, async move {
        MaintenanceClient::new(channel).move_leader(MoveLeaderRequest { target_id }).await
    });
    let answer = answer.await?;
    session.print(&Outcome::new(format!("Leadership transferred from {leader:x} to {target_id:x}"), answer))
}

/// Returns the id of the leader, and a channel to it: only the leader gives the lead away.
async fn find_leader(session: &Session) -> Result<(u64, Channel), Failure> {
    for endpoint in session.client.endpoints() {
        let channel = session.client.at(&endpoint).channel();
        let mut stub = MaintenanceClient::new(channel.clone());
        let status =
            session.within(session.globals.command_timeout(), stub.status(StatusRequest::default())).await?;
        if status.header.is_some_and(|header| header.member_id == status.leader) {
            return Ok((status.leader, channel));
        }
    }
    let endpoints = session.client.endpoints().join(" ");
    Err(Failure::arguments(format!("no leader endpoint given at [{endpoints}]")))
}
