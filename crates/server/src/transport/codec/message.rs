//! Messages of raft.

use std::sync::Arc;

use proto::quoratepb as pb;
use proto::quoratepb::peer_entry::Payload as WirePayload;
use proto::quoratepb::peer_message::{self as wire, Body as WireBody};
use raft::{
    Body, Boot, CampaignReason, Entry, EntryId, Incarnation, Index, Membership, MembershipEntry, Message,
    NodeId, Payload, ReadRequestId, Round, Session, SnapshotMeta, Term,
};

use super::{CodecError, required};

pub(super) fn encode(message: Message) -> pb::PeerMessage {
    pb::PeerMessage {
        from: message.from.0,
        incarnation: message.incarnation.0,
        to: message.to.0,
        term: message.term.0,
        body: Some(encode_body(message.body)),
    }
}

/// The message; `None` if only newer versions know it.
pub(super) fn decode(message: pb::PeerMessage) -> Result<Option<Message>, CodecError> {
    let Some(body) = message.body else { return Ok(None) };
    Ok(Some(Message {
        from: NodeId(message.from),
        incarnation: Incarnation(message.incarnation),
        to: NodeId(message.to),
        term: Term(message.term),
        body: decode_body(body)?,
    }))
}

fn encode_body(body: Body) -> WireBody {
    match body {
        Body::PreVote { next_term, last } => {
            WireBody::PreVote(wire::PreVote { next_term: next_term.0, last: id(last) })
        }
        Body::PreVoteReply { next_term, granted } => {
            WireBody::PreVoteReply(wire::PreVoteReply { next_term: next_term.0, granted })
        }
        Body::Vote { last, reason } => {
            WireBody::Vote(wire::Vote { last: id(last), transfer: reason == CampaignReason::Transfer })
        }
        Body::VoteReply { granted } => WireBody::VoteReply(wire::VoteReply { granted }),
        Body::Append { session, previous, entries, commit } => WireBody::Append(wire::Append {
            session: session.0,
            previous: id(previous),
            entries: entries.into_iter().map(encode_entry).collect(),
            commit: commit.0,
        }),
        Body::AppendReply { session, matched } => {
            WireBody::AppendReply(wire::AppendReply { session: session.0, matched: matched.0 })
        }
        Body::AppendRefused { session, refused, hint } => WireBody::AppendRefused(wire::AppendRefused {
            session: session.0,
            refused: refused.0,
            hint: id(hint),
        }),
        Body::Commit { entry } => {
            WireBody::Commit(pb::PeerEntryId { index: entry.index.0, term: entry.term.0 })
        }
        Body::Heartbeat { session, commit, commit_term, round: newest } => {
            WireBody::Heartbeat(wire::Heartbeat {
                session: session.0,
                commit: commit.0,
                commit_term: commit_term.map(|term| term.0),
                round: round(newest),
            })
        }
        Body::HeartbeatReply { session, round: confirmed, lost_after } => {
            WireBody::HeartbeatReply(wire::HeartbeatReply {
                session: session.0,
                round: round(confirmed),
                lost_after: lost_after.map(|index| index.0),
            })
        }
        Body::Read { request } => WireBody::Read(wire::Read { request: read_request(request) }),
        Body::ReadReply { request, index } => {
            WireBody::ReadReply(wire::ReadReply { request: read_request(request), index: index.0 })
        }
        Body::InstallSnapshot { session, snapshot } => WireBody::InstallSnapshot(wire::InstallSnapshot {
            session: session.0,
            last: id(snapshot.last),
            membership: Some(encode_membership(&snapshot.membership)),
        }),
        Body::CampaignNow => WireBody::CampaignNow(wire::Nothing {}),
        Body::LaterTerm => WireBody::LaterTerm(wire::Nothing {}),
    }
}

fn decode_body(body: WireBody) -> Result<Body, CodecError> {
    Ok(match body {
        WireBody::PreVote(vote) => {
            Body::PreVote { next_term: Term(vote.next_term), last: entry_id(vote.last) }
        }
        WireBody::PreVoteReply(reply) => {
            Body::PreVoteReply { next_term: Term(reply.next_term), granted: reply.granted }
        }
        WireBody::Vote(vote) => {
            let reason = if vote.transfer { CampaignReason::Transfer } else { CampaignReason::Silence };
            Body::Vote { last: entry_id(vote.last), reason }
        }
        WireBody::VoteReply(reply) => Body::VoteReply { granted: reply.granted },
        WireBody::Append(append) => decode_append(append)?,
        WireBody::AppendReply(reply) => {
            Body::AppendReply { session: Session(reply.session), matched: Index(reply.matched) }
        }
        WireBody::AppendRefused(reply) => Body::AppendRefused {
            session: Session(reply.session),
            refused: Index(reply.refused),
            hint: entry_id(reply.hint),
        },
        WireBody::Commit(entry) => Body::Commit { entry: entry_id(Some(entry)) },
        WireBody::Heartbeat(beat) => Body::Heartbeat {
            session: Session(beat.session),
            commit: Index(beat.commit),
            commit_term: beat.commit_term.map(Term),
            round: decode_round(beat.round),
        },
        WireBody::HeartbeatReply(reply) => Body::HeartbeatReply {
            session: Session(reply.session),
            round: decode_round(reply.round),
            lost_after: reply.lost_after.map(Index),
        },
        WireBody::Read(read) => Body::Read { request: decode_read_request(read.request) },
        WireBody::ReadReply(reply) => {
            Body::ReadReply { request: decode_read_request(reply.request), index: Index(reply.index) }
        }
        WireBody::InstallSnapshot(install) => Body::InstallSnapshot {
            session: Session(install.session),
            snapshot: SnapshotMeta {
                last: entry_id(install.last),
                membership: decode_membership(install.membership)?,
            },
        },
        WireBody::CampaignNow(_) => Body::CampaignNow,
        WireBody::LaterTerm(_) => Body::LaterTerm,
    })
}

fn decode_append(append: wire::Append) -> Result<Body, CodecError> {
    Ok(Body::Append {
        session: Session(append.session),
        previous: entry_id(append.previous),
        entries: append.entries.into_iter().map(decode_entry).collect::<Result<_, _>>()?,
        commit: Index(append.commit),
    })
}

fn encode_entry(entry: Entry) -> pb::PeerEntry {
    let payload = match entry.payload {
        Payload::Empty => None,
        Payload::Command(command) => Some(WirePayload::Command(command)),
        Payload::Membership(change) => Some(WirePayload::Membership(pb::PeerMembershipEntry {
            membership: Some(encode_membership(&change.membership)),
            context: change.context.clone(),
        })),
    };
    pb::PeerEntry { index: entry.index.0, term: entry.term.0, payload }
}

/// A payload that this version does not know looks like an empty one, and must not be taken for it: the contents of
/// entries are never extended here. A new kind of payload needs a new version of the protocol.
fn decode_entry(entry: pb::PeerEntry) -> Result<Entry, CodecError> {
    let payload = match entry.payload {
        None => Payload::Empty,
        Some(WirePayload::Command(command)) => Payload::Command(command),
        Some(WirePayload::Membership(change)) => {
            let membership = decode_membership(change.membership)?;
            Payload::Membership(Arc::new(MembershipEntry { membership, context: change.context }))
        }
    };
    Ok(Entry { index: Index(entry.index), term: Term(entry.term), payload })
}

fn encode_membership(membership: &Membership) -> pb::PeerMembership {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
    pb::PeerMembership {
        voters: ids(membership.voters()),
        outgoing: ids(membership.outgoing()),
        learners: ids(membership.learners()),
        learners_next: ids(membership.learners_next()),
    }
}

fn decode_membership(membership: Option<pb::PeerMembership>) -> Result<Membership, CodecError> {
    let lists = required(membership, "no configuration")?;
    let nodes = |ids: Vec<u64>| ids.into_iter().map(NodeId).collect();
    let membership = Membership::from_parts(
        nodes(lists.voters),
        nodes(lists.outgoing),
        nodes(lists.learners),
        nodes(lists.learners_next),
    );
    required(membership, "an impossible configuration")
}

fn id(entry: EntryId) -> Option<pb::PeerEntryId> {
    Some(pb::PeerEntryId { index: entry.index.0, term: entry.term.0 })
}

/// Absent is the place before the first entry.
fn entry_id(id: Option<pb::PeerEntryId>) -> EntryId {
    id.map_or(EntryId::ZERO, |id| EntryId::new(Index(id.index), Term(id.term)))
}

fn round(round: Round) -> Option<wire::Round> {
    Some(wire::Round { term: round.term.0, number: round.number })
}

fn decode_round(round: Option<wire::Round>) -> Round {
    round.map_or(Round { term: Term(0), number: 0 }, |round| Round {
        term: Term(round.term),
        number: round.number,
    })
}

fn read_request(request: ReadRequestId) -> Option<wire::ReadRequest> {
    Some(wire::ReadRequest { boot: request.boot.0, number: request.number })
}

fn decode_read_request(request: Option<wire::ReadRequest>) -> ReadRequestId {
    request.map_or(ReadRequestId { boot: Boot(0), number: 0 }, |request| ReadRequestId {
        boot: Boot(request.boot),
        number: request.number,
    })
}
