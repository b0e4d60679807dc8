//! Nodes and messages in a line each.

use raft::{Body, CampaignReason, Entry, Message, Node, Payload, RoleName};

pub(crate) fn message(message: &Message) -> String {
    format!("{}->{} term {} {}", message.from, message.to, message.term, body(&message.body))
}

fn body(body: &Body) -> String {
    let name = body.name();
    match body {
        Body::PreVote { last, .. } => format!("{name} last {last}"),
        Body::Vote { last, reason: CampaignReason::Silence } => format!("{name} last {last}"),
        Body::Vote { last, reason: CampaignReason::Transfer } => format!("{name} last {last} (transfer)"),
        Body::PreVoteReply { granted, .. } | Body::VoteReply { granted } => {
            format!("{name} {}", if *granted { "yes" } else { "no" })
        }
        Body::Append { previous, entries, commit, .. } => {
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{name} after {previous} [{}] commit {commit}", entries.join(" "))
        }
        Body::AppendReply { matched, .. } => format!("{name} matched {matched}"),
        Body::AppendRefused { refused, hint, .. } => format!("{name} no {refused}, perhaps {hint}"),
        Body::Commit { entry } => format!("{name} {entry}"),
        Body::Heartbeat { commit, round, .. } => format!("{name} commit {commit} round {}", round.number),
        Body::HeartbeatReply { round, lost_after, .. } => {
            let lost = lost_after.map(|last| format!(", lost after {last}")).unwrap_or_default();
            format!("{name} round {}{lost}", round.number)
        }
        Body::Read { request } => format!("{name} {}.{}", request.boot, request.number),
        Body::ReadReply { request, index } => {
            format!("{name} {}.{} at {index}", request.boot, request.number)
        }
        Body::InstallSnapshot { snapshot, .. } => {
            format!("{name} {} {}", snapshot.last, snapshot.membership)
        }
        Body::CampaignNow | Body::LaterTerm => name.to_owned(),
    }
}

pub(crate) fn entry(entry: &Entry) -> String {
    let what = match &entry.payload {
        Payload::Empty => "-".to_owned(),
        Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        Payload::Membership(change) => change.membership.to_string(),
    };
    format!("{}:{what}", entry.id())
}

pub(crate) fn role(node: &Node) -> String {
    let status = node.status();
    let role = match (status.role, status.leader) {
        (RoleName::Follower, Some(leader)) => format!("follows {leader}"),
        (RoleName::Follower, None) => "follows nobody".to_owned(),
        (RoleName::PreCandidate, _) => "asks for pre-votes".to_owned(),
        (RoleName::Candidate, _) => "asks for votes".to_owned(),
        (RoleName::Leader, _) => "leads".to_owned(),
    };
    format!("{}@{} {role}", status.id, status.term)
}

pub(crate) fn status(node: &Node) -> String {
    let status = node.status();
    let mut line = format!(
        "{}, last {} stable {} commit {} members {}",
        role(node),
        status.last,
        status.stable,
        status.commit,
        node.membership()
    );
    for follower in &status.followers {
        let idle = if follower.is_active { "" } else { " silent" };
        line += &format!(
            "\n  {} {} matched {} next {}{idle}",
            follower.id, follower.mode, follower.matched, follower.next
        );
    }
    line
}
