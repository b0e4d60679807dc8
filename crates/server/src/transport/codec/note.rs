//! Notes between engines.

use engine::note::{Answer, ConsensusNote, LeaseTimes, PeerNote, Question, Refusal};
use engine::request::{Proposal, RequestId};
use machine::Rejection;
use proto::quoratepb as pb;
use proto::quoratepb::peer_answer::{self, Answer as WireAnswer};
use proto::quoratepb::peer_frame::Content;
use proto::quoratepb::peer_question::{self, Question as WireQuestion};
use proto::quoratepb::peer_refusal::Reason;
use raft::NodeId;

use super::{CodecError, required};

pub(super) fn encode(note: PeerNote) -> Content {
    match note {
        PeerNote::Consensus(note) => encode_for_consensus(note),
        PeerNote::Ask { nonce, question } => {
            Content::Question(pb::PeerQuestion { nonce, question: Some(encode_question(question)) })
        }
        PeerNote::Answer { nonce, answer } => {
            Content::Answer(pb::PeerAnswer { nonce, answer: Some(encode_answer(answer)) })
        }
    }
}

fn encode_for_consensus(note: ConsensusNote) -> Content {
    match note {
        ConsensusNote::Proposals(proposals) => Content::Proposals(pb::PeerProposals {
            proposals: proposals.into_iter().map(encode_proposal).collect(),
        }),
        ConsensusNote::Change(change) => Content::Change(encode_proposal(change)),
        ConsensusNote::Refused { ids, why } => Content::Refusals(pb::PeerRefusals {
            request_i_ds: ids.into_iter().map(|id| id.0).collect(),
            why: Some(encode_refusal(why)),
        }),
    }
}

/// Returns the note; `None` if only newer versions know it.
pub(super) fn decode(content: Content) -> Result<Option<PeerNote>, CodecError> {
    Ok(match content {
        Content::Proposals(proposals) => {
            let proposals = proposals.proposals.into_iter().map(decode_proposal).collect();
            Some(ConsensusNote::Proposals(proposals).into())
        }
        Content::Change(change) => Some(ConsensusNote::Change(decode_proposal(change)).into()),
        Content::Refusals(refusals) => {
            let ids = refusals.request_i_ds.into_iter().map(RequestId).collect();
            let why = decode_refusal(&required(refusals.why, "a refusal without a reason")?);
            Some(ConsensusNote::Refused { ids, why }.into())
        }
        Content::Question(asked) => asked
            .question
            .map(|question| PeerNote::Ask { nonce: asked.nonce, question: decode_question(question) }),
        Content::Answer(answered) => answered
            .answer
            .map(|answer| PeerNote::Answer { nonce: answered.nonce, answer: decode_answer(answer) }),
        _ => None,
    })
}

fn encode_proposal(proposal: Proposal) -> pb::PeerProposal {
    pb::PeerProposal { id: proposal.id.0, command: proposal.command }
}

fn decode_proposal(proposal: pb::PeerProposal) -> Proposal {
    Proposal { id: RequestId(proposal.id), command: proposal.command }
}

fn encode_question(question: Question) -> WireQuestion {
    match question {
        Question::LeaseRenew { id } => WireQuestion::LeaseRenew(peer_question::LeaseRenew { id }),
        // Who asks knows the keys itself.
        Question::LeaseTimeToLive { id } => {
            WireQuestion::LeaseTimeToLive(peer_question::LeaseTimeToLive { id, keys: false })
        }
        Question::Leader => WireQuestion::Leader(peer_question::Leader {}),
    }
}

fn decode_question(question: WireQuestion) -> Question {
    match question {
        WireQuestion::LeaseRenew(asked) => Question::LeaseRenew { id: asked.id },
        WireQuestion::LeaseTimeToLive(asked) => Question::LeaseTimeToLive { id: asked.id },
        WireQuestion::Leader(_) => Question::Leader,
    }
}

fn encode_answer(answer: Answer) -> WireAnswer {
    match answer {
        Answer::Refused(why) => WireAnswer::Refused(encode_refusal(why)),
        Answer::LeaseRenewed { ttl } => WireAnswer::LeaseRenewed(peer_answer::LeaseRenewed { ttl }),
        Answer::LeaseTimes(times) => WireAnswer::LeaseTimes(peer_answer::LeaseTimes {
            granted_ttl: times.granted_ttl,
            ttl: times.ttl,
            keys: Vec::new(),
        }),
        Answer::Leader(leader) => WireAnswer::Leader(leader.map_or(0, |leader| leader.0)),
    }
}

fn decode_answer(answer: WireAnswer) -> Answer {
    match answer {
        WireAnswer::Refused(why) => Answer::Refused(decode_refusal(&why)),
        WireAnswer::LeaseRenewed(renewed) => Answer::LeaseRenewed { ttl: renewed.ttl },
        WireAnswer::LeaseTimes(times) => {
            Answer::LeaseTimes(LeaseTimes { granted_ttl: times.granted_ttl, ttl: times.ttl })
        }
        WireAnswer::Leader(leader) => Answer::Leader((leader != 0).then_some(NodeId(leader))),
    }
}

fn encode_refusal(why: Refusal) -> pb::PeerRefusal {
    let (reason, rejection) = match why {
        Refusal::Unknown => (Reason::Unknown, ""),
        Refusal::NotLeader => (Reason::NotLeader, ""),
        Refusal::Busy => (Reason::Busy, ""),
        Refusal::TooLarge => (Reason::TooLarge, ""),
        Refusal::Transferring => (Reason::Transferring, ""),
        Refusal::Stopping => (Reason::Stopping, ""),
        Refusal::ChangeUnderWay => (Reason::ChangeUnderWay, ""),
        Refusal::LearnerNotReady => (Reason::LearnerNotReady, ""),
        Refusal::NotEnoughStarted => (Reason::NotEnoughStarted, ""),
        Refusal::Rejected(rejection) => (Reason::Rejected, rejection.text()),
    };
    pb::PeerRefusal { reason: reason.into(), rejection: rejection.to_owned() }
}

fn decode_refusal(refusal: &pb::PeerRefusal) -> Refusal {
    match refusal.reason() {
        Reason::Unknown => Refusal::Unknown,
        Reason::NotLeader => Refusal::NotLeader,
        Reason::Busy => Refusal::Busy,
        Reason::TooLarge => Refusal::TooLarge,
        Reason::Transferring => Refusal::Transferring,
        Reason::Stopping => Refusal::Stopping,
        Reason::ChangeUnderWay => Refusal::ChangeUnderWay,
        Reason::LearnerNotReady => Refusal::LearnerNotReady,
        Reason::NotEnoughStarted => Refusal::NotEnoughStarted,
        Reason::Rejected => rejection_of(&refusal.rejection),
    }
}

/// Refusals are known among members by their texts, as clients know them: numbers would shift with each new one.
fn rejection_of(text: &str) -> Refusal {
    let known = Rejection::ALL.iter().find(|rejection| rejection.text() == text);
    known.map_or(Refusal::Unknown, |rejection| Refusal::Rejected(*rejection))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two refusals of one text would be one on the wire.
    #[test]
    fn refusals_are_known_by_their_texts() {
        for rejection in Rejection::ALL {
            let sent = encode_refusal(Refusal::Rejected(*rejection));
            assert_eq!(decode_refusal(&sent), Refusal::Rejected(*rejection), "{}", rejection.text());
        }
    }
}
