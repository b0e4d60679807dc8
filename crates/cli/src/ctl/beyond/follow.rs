//! `follow`: how far a cluster is that follows another one, and the end of that.

use std::time::Duration;

use clap::Command as Grammar;
use proto::quorate_v1::follow_client::FollowClient;
use proto::quorate_v1::{
    CancelRequest, CutoverRequest, CutoverResponse, Fence, FollowStatusRequest, FollowStatusResponse, Phase,
};

use super::lines;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::{Channel, Session};
use crate::ctl::exit::Failure;
use crate::ctl::flags::Flags;
use crate::ctl::{Invocation, flags, refusal};

/// The command.
pub const COMMAND: Command =
    Command { name: "follow", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

fn grammar(grammar: Grammar) -> Grammar {
    let leaf = |name, about| flags::leaf(name, about, "", &[]);
    grammar
        .about("Following another cluster, of etcd or Quorate, until this one takes its place")
        .subcommand(
            leaf("status", "Prints how far this cluster is behind the one that it follows")
                .after_help("quoratectl follow status"),
        )
        .subcommand(
            leaf("cutover", "Ends the follow at one revision of both: this cluster takes writes from there on")
                .arg(flags::text("fence", "how the source is kept from changing: alarm (its NOSPACE alarm is raised) or none (default \"alarm\")"))
                .arg(flags::duration("timeout", "how long the two may take to be equal before it is called off (default 30s)"))
                .after_help("quoratectl follow cutover\nquoratectl follow cutover --fence none --timeout 10s"),
        )
        .subcommand(
            leaf("cancel", "Calls off the cut-over that is under way: the source takes writes again")
                .after_help("quoratectl follow cancel"),
        )
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let name = invocation.name().to_owned();
    let session = lines::open(&invocation).await?;
    match name.as_str() {
        "status" => {
            let (status, _) = ask(&session).await?;
            lines::write(&described(&status))
        }
        "cutover" => cut_over(&invocation, &session).await,
        "cancel" => {
            let (_, channel) = leader(&session).await?;
            let call = async move { FollowClient::new(channel).cancel(CancelRequest {}).await };
            session.answer(call).await?;
            lines::write(&["the cut-over is called off".to_owned()])
        }
        _ => Err(Failure::arguments("follow needs status, cutover or cancel")),
    }
}

async fn cut_over(invocation: &Invocation, session: &Session) -> Result<(), Failure> {
    let fence = match invocation.matches.text("fence").unwrap_or("alarm") {
        "alarm" => Fence::Alarm,
        "none" => Fence::None,
        other => return Err(Failure::arguments(format!("--fence is alarm or none, and not {other:?}"))),
    };
    let timeout = invocation.matches.duration("timeout").unwrap_or(Duration::ZERO);
    let timeout_ms = i64::try_from(timeout.as_millis())
        .map_err(|_| Failure::arguments(format!("--timeout {timeout:?} is too long")))?;
    let (_, channel) = leader(session).await?;
    let request = CutoverRequest { timeout_ms, fence: fence.into() };
    // It says itself how long it takes.
    let answer = FollowClient::new(channel).cutover(request).await;
    let done = answer.map_err(|status| refusal::of_status(&status))?.into_inner();
    lines::write(&reported(&done))
}

/// Asks all endpoints, and returns what the leader says, or if it is not among them, another member.
async fn ask(session: &Session) -> Result<(FollowStatusResponse, Channel), Failure> {
    let mut other = None;
    let mut failed = None;
    for endpoint in session.client.endpoints() {
        let channel = session.client.at(&endpoint).channel();
        let mut stub = FollowClient::new(channel.clone());
        match session.answer(stub.status(FollowStatusRequest {})).await {
            Ok(status) if status.member_id == status.leader_id => return Ok((status, channel)),
            Ok(status) => other = Some((status, channel)),
            Err(failure) => failed = Some(failure),
        }
    }
    match (other, failed) {
        (Some(other), _) => Ok(other),
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(Failure::arguments("no endpoint given")),
    }
}

/// Returns what the leader says, and a channel to it: only the leader ends a follow.
async fn leader(session: &Session) -> Result<(FollowStatusResponse, Channel), Failure> {
    let (status, channel) = ask(session).await?;
    if status.member_id == status.leader_id {
        return Ok((status, channel));
    }
    let endpoints = session.client.endpoints().join(" ");
    Err(Failure::arguments(format!(
        "the leader {:x} is not among the endpoints [{endpoints}]: see --endpoints",
        status.leader_id
    )))
}

fn described(status: &FollowStatusResponse) -> Vec<String> {
    let phase = match status.phase() {
        Phase::None if status.endpoints.is_empty() => "no other cluster is followed",
        Phase::None => "has not begun",
        Phase::Loading => "loading: the keys of the source are not all here",
        Phase::Following => "following",
        Phase::CuttingOver => "cutting over",
        Phase::Ended => "ended: this cluster takes writes",
        Phase::Stopped => "stopped",
    };
    let mut lines = vec![format!("phase     {phase}")];
    if !status.reason.is_empty() {
        lines.push(format!("reason    {}", status.reason));
    }
    if !status.fault.is_empty() {
        lines.push(format!("fault     {}", status.fault));
    }
    if status.source_cluster_id != 0 {
        lines.push(format!("source    {:x} at {}", status.source_cluster_id, status.endpoints.join(",")));
    }
    lines.push(format!("revision  {}", status.revision));
    let is_leader = status.member_id == status.leader_id;
    match status.phase() {
        Phase::Ended => lines.push(format!("ended at  {}", status.ended_revision)),
        Phase::Following | Phase::CuttingOver if is_leader => {
            lines.push(format!("source's  {}", status.source_revision));
            let revisions = (status.source_revision - status.revision).max(0);
            let seconds = match status.behind_ms {
                -1 => "never equal so far".to_owned(),
                millis => format!("equal {:.1} s ago", millis as f64 / 1000.0),
            };
            lines.push(format!("behind    {revisions} revisions, {seconds}"));
        }
        Phase::Following | Phase::CuttingOver => {
            lines.push(format!("behind    the leader knows: {:x}", status.leader_id));
        }
        Phase::None | Phase::Loading | Phase::Stopped => {}
    }
    if is_leader && status.loads > 0 {
        lines.push(format!("loads     {}", status.loads));
    }
    lines
}

fn reported(done: &CutoverResponse) -> Vec<String> {
    let mut lines = vec![
        format!("this cluster takes writes from revision {} on", done.revision),
        format!("HashKV    {} on both, compact revision {}", done.hash, done.compact_revision),
        format!("took      {:.1} s without writes", done.without_writes_ms as f64 / 1000.0),
    ];
    if done.source_revision > done.revision {
        lines.push(format!(
            "WARNING   the source was written to after the end: it is at revision {}, and what is after {} is not here",
            done.source_revision, done.revision
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_far_it_is() {
        let mut status = FollowStatusResponse {
            member_id: 1,
            leader_id: 1,
            source_cluster_id: 0xab,
            revision: 90,
            source_revision: 100,
            behind_ms: 1500,
            loads: 1,
            endpoints: vec!["a:1".to_owned(), "b:2".to_owned()],
            ..Default::default()
        };
        status.set_phase(Phase::Following);
        assert_eq!(
            described(&status),
            [
                "phase     following",
                "source    ab at a:1,b:2",
                "revision  90",
                "source's  100",
                "behind    10 revisions, equal 1.5 s ago",
                "loads     1",
            ]
        );
        status.set_phase(Phase::Stopped);
        status.reason = "r7.0 differs".to_owned();
        assert_eq!(described(&status)[..2], ["phase     stopped", "reason    r7.0 differs"]);
    }

    #[test]
    fn a_source_that_was_written_to_after_the_end_is_said() {
        let done = CutoverResponse { revision: 5, source_revision: 5, ..Default::default() };
        assert_eq!(reported(&done).len(), 3);
        let done = CutoverResponse { source_revision: 6, ..done };
        assert!(reported(&done)[3].contains("at revision 6, and what is after 5 is not here"));
    }
}
