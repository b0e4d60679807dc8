//! Every frame comes back as it was, and no bytes whatever do harm.

use std::sync::Arc;

use bytes::Bytes;
use engine::note::{Answer, ConsensusNote, LeaseTimes, Question, Refusal};
use engine::peers::SnapshotOffer;
use engine::request::{Proposal, RequestId};
use machine::Rejection;
use proptest::collection::vec;
use proptest::prelude::*;
use raft::{
    Body, Boot, CampaignReason, Entry, EntryId, Incarnation, Index, Membership, MembershipEntry, NodeId,
    Payload, ReadRequestId, Round, Session, SnapshotMeta, Term,
};

use super::*;

fn bytes_of(frame: Frame) -> Bytes {
    let encoded = frame.encode();
    let mut out = BytesMut::new();
    encoded.put(&mut out);
    assert_eq!(out.len(), encoded.len());
    out.freeze()
}

fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    any::<(u64, u64)>().prop_map(|(index, term)| EntryId::new(Index(index), Term(term)))
}

fn round() -> impl Strategy<Value = Round> {
    any::<(u64, u64)>().prop_map(|(term, number)| Round { term: Term(term), number })
}

fn read_request() -> impl Strategy<Value = ReadRequestId> {
    any::<(u64, u64)>().prop_map(|(boot, number)| ReadRequestId { boot: Boot(boot), number })
}

/// Configurations, joint ones among them.
fn membership() -> impl Strategy<Value = Membership> {
    let nodes = |count| vec(any::<u64>().prop_map(NodeId), count);
    (nodes(0..8), nodes(0..8), any::<bool>()).prop_map(|(voters, others, joint)| {
        let before = Membership::new(voters, others.clone());
        let promote = others.into_iter().map(raft::MembershipChange::AddVoter).collect::<Vec<_>>();
        if joint { before.change(&promote).unwrap_or(before) } else { before }
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    let change = (membership(), blob());
    prop_oneof![
        1 => Just(Payload::Empty),
        4 => blob().prop_map(Payload::Command),
        2 => change.prop_map(|(membership, context)| {
            Payload::Membership(Arc::new(MembershipEntry { membership, context }))
        }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (entry_id(), payload()).prop_map(|(id, payload)| Entry { term: id.term, index: id.index, payload })
}

fn body() -> impl Strategy<Value = Body> {
    let session = || any::<u64>().prop_map(Session);
    let index = || any::<u64>().prop_map(Index);
    let term = || any::<u64>().prop_map(Term);
    let reason = prop_oneof![Just(CampaignReason::Silence), Just(CampaignReason::Transfer)];
    prop_oneof![
        (term(), entry_id()).prop_map(|(next_term, last)| Body::PreVote { next_term, last }),
        (term(), any::<bool>()).prop_map(|(next_term, granted)| Body::PreVoteReply { next_term, granted }),
        (entry_id(), reason).prop_map(|(last, reason)| Body::Vote { last, reason }),
        any::<bool>().prop_map(|granted| Body::VoteReply { granted }),
        (session(), entry_id(), vec(entry(), 0..6), index()).prop_map(
            |(session, previous, entries, commit)| Body::Append { session, previous, entries, commit }
        ),
        (session(), index()).prop_map(|(session, matched)| Body::AppendReply { session, matched }),
        (session(), index(), entry_id()).prop_map(|(session, refused, hint)| Body::AppendRefused {
            session,
            refused,
            hint
        }),
        entry_id().prop_map(|entry| Body::Commit { entry }),
        (session(), index(), proptest::option::of(term()), round()).prop_map(
            |(session, commit, commit_term, round)| Body::Heartbeat { session, commit, commit_term, round }
        ),
        (session(), round(), proptest::option::of(index()))
            .prop_map(|(session, round, lost_after)| Body::HeartbeatReply { session, round, lost_after }),
        read_request().prop_map(|request| Body::Read { request }),
        (read_request(), index()).prop_map(|(request, index)| Body::ReadReply { request, index }),
        install_snapshot(),
        Just(Body::CampaignNow),
        Just(Body::LaterTerm),
    ]
}

fn install_snapshot() -> impl Strategy<Value = Body> {
    (any::<u64>(), entry_id(), membership()).prop_map(|(session, last, membership)| Body::InstallSnapshot {
        session: Session(session),
        snapshot: SnapshotMeta { last, membership },
    })
}

fn message_of(body: impl Strategy<Value = Body>) -> impl Strategy<Value = Message> {
    (any::<[u64; 4]>(), body).prop_map(|([from, incarnation, to, term], body)| Message {
        from: NodeId(from),
        incarnation: Incarnation(incarnation),
        to: NodeId(to),
        term: Term(term),
        body,
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::NotLeader),
        Just(Refusal::Busy),
        Just(Refusal::Transferring),
        Just(Refusal::Stopping),
        Just(Refusal::ChangeUnderWay),
        Just(Refusal::LearnerNotReady),
        Just(Refusal::NotEnoughStarted),
        proptest::sample::select(Rejection::ALL).prop_map(Refusal::Rejected),
    ]
}

fn note() -> impl Strategy<Value = PeerNote> {
    let proposal =
        || (any::<u64>(), blob()).prop_map(|(id, command)| Proposal { id: RequestId(id), command });
    let ids = vec(any::<u64>().prop_map(RequestId), 0..5);
    let question = prop_oneof![
        any::<i64>().prop_map(|id| Question::LeaseRenew { id }),
        any::<i64>().prop_map(|id| Question::LeaseTimeToLive { id }),
        Just(Question::Leader),
    ];
    let times = any::<(i64, i64)>().prop_map(|(granted_ttl, ttl)| LeaseTimes { granted_ttl, ttl });
    let answer = prop_oneof![
        refusal().prop_map(Answer::Refused),
        any::<i64>().prop_map(|ttl| Answer::LeaseRenewed { ttl }),
        times.prop_map(Answer::LeaseTimes),
        any::<u64>().prop_map(|id| Answer::Leader((id != 0).then_some(NodeId(id)))),
    ];
    prop_oneof![
        vec(proposal(), 0..5).prop_map(|proposals| ConsensusNote::Proposals(proposals).into()),
        proposal().prop_map(|change| ConsensusNote::Change(change).into()),
        (ids, refusal()).prop_map(|(ids, why)| ConsensusNote::Refused { ids, why }.into()),
        (any::<u64>(), question).prop_map(|(nonce, question)| PeerNote::Ask { nonce, question }),
        (any::<u64>(), answer).prop_map(|(nonce, answer)| PeerNote::Answer { nonce, answer }),
    ]
}

fn snapshot_frame() -> impl Strategy<Value = SnapshotFrame> {
    let offer = (message_of(install_snapshot()), blob())
        .prop_map(|(message, content)| SnapshotOffer { message, content });
    prop_oneof![
        offer.prop_map(SnapshotFrame::Head),
        (any::<u64>(), blob()).prop_map(|(number, data)| SnapshotFrame::Chunk { number, data }),
        any::<u64>().prop_map(|chunks| SnapshotFrame::End { chunks }),
        any::<u64>().prop_map(|chunks| SnapshotFrame::Progress { chunks }),
        Just(SnapshotFrame::Result(Ok(()))),
        "[a-z ]{1,20}".prop_map(|why| SnapshotFrame::Result(Err(why))),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        8 => message_of(body()).prop_map(Frame::Message),
        4 => note().prop_map(Frame::Note),
        2 => snapshot_frame().prop_map(Frame::Snapshot),
        1 => any::<u64>().prop_map(Frame::Ping),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(sent, answered)| Frame::Pong(Pong { sent, answered })),
    ]
}

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was(frame in frame()) {
        prop_assert_eq!(Frame::decode(bytes_of(frame.clone())).unwrap(), frame);
    }

    #[test]
    fn a_truncated_or_damaged_frame_does_no_harm(
        frame in frame(), length in any::<proptest::sample::Index>(), place in any::<proptest::sample::Index>(), bits in 1_u8..,
    ) {
        let mut bytes = bytes_of(frame).to_vec();
        let _ = Frame::decode(Bytes::copy_from_slice(&bytes[..length.index(bytes.len() + 1)]));
        if !bytes.is_empty() {
            let place = place.index(bytes.len());
            bytes[place] ^= bits;
            let _ = Frame::decode(bytes.into());
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Frame::decode(bytes.into());
    }
}

fn append(entries: Vec<Entry>) -> Frame {
    let body = Body::Append {
        session: Session(7),
        previous: EntryId::new(Index(4), Term(2)),
        entries,
        commit: Index(3),
    };
    let (from, to) = (NodeId(0x0102_0304_0506_0708), NodeId(2));
    Frame::Message(Message { from, incarnation: Incarnation(1), to, term: Term(2), body })
}

/// The bytes of a known frame, so that encoder and decoder cannot be wrong together, and no version changes them unseen.
#[test]
fn a_frame_has_the_bytes_that_protobuf_prescribes() {
    let command = Payload::Command(Bytes::from_static(b"put"));
    let frame = append(vec![Entry { term: Term(2), index: Index(5), payload: command }]);
    let expected = b"\x0a\x2d\
        \x09\x08\x07\x06\x05\x04\x03\x02\x01\x10\x01\x19\x02\0\0\0\0\0\0\0\x20\x02\
        \x4a\x15\x08\x07\x12\x04\x08\x04\x10\x02\x1a\x09\x08\x05\x10\x02\x1a\x03put\x20\x03";
    assert_eq!(bytes_of(frame)[..], expected[..]);
}

#[test]
fn commands_are_slices_of_their_frame() {
    let command = Bytes::from(vec![7; 1000]);
    let payload = Payload::Command(command.clone());
    let bytes = bytes_of(append(vec![Entry { term: Term(2), index: Index(5), payload }]));
    let Frame::Message(Message { body: Body::Append { entries, .. }, .. }) =
        Frame::decode(bytes.clone()).unwrap()
    else {
        panic!("another frame");
    };
    let Payload::Command(decoded) = &entries[0].payload else { panic!("another payload") };
    assert_eq!(decoded, &command);
    assert!(bytes.as_ptr_range().contains(&decoded.as_ptr()));
}

/// What a newer version might say.
#[test]
fn what_is_not_known_is_skipped() {
    let of_another_version: &[&[u8]] = &[
        b"",                              // no content
        b"\xfa\x3f\x01x",                 // a content of another number
        b"\x0a\x06\x20\x02\xfa\x3f\x01x", // a message of another kind
        b"\x3a\x04\xfa\x3f\x01x",         // a question of another kind
        b"\x42\x04\xfa\x3f\x01x",         // an answer of another kind
    ];
    for bytes in of_another_version {
        assert_eq!(Frame::decode(Bytes::from_static(bytes)).unwrap(), Frame::Unknown, "{bytes:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let malformed: &[(&str, &[u8])] = &[
        ("a field longer than the frame", b"\x0a\x7f\x08"),
        ("an overlong number", b"\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ("a group", b"\x0b"),
        (
            "a configuration with unsorted voters",
            b"\x0a\x18\x8a\x01\x15\x1a\x13\x0a\x10\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0",
        ),
        ("a snapshot without a configuration", b"\x0a\x05\x8a\x01\x02\x08\x01"),
        ("a snapshot with another message", b"\x82\x01\x04\x0a\x02\x92\x01"),
        ("a refusal without a reason", b"\x32\x00"),
    ];
    for (what, bytes) in malformed {
        let decoded = Frame::decode(Bytes::from_static(bytes));
        assert!(decoded.is_err(), "{what}: {decoded:?}");
    }
}

#[test]
fn a_chunk_that_is_too_long_is_refused() {
    let chunk = |length| {
        let data = Bytes::from(vec![1; length]);
        bytes_of(Frame::Snapshot(SnapshotFrame::Chunk { number: 0, data }))
    };
    let longest = engine::peers::SNAPSHOT_CHUNK_BYTES_MAX;
    assert!(Frame::decode(chunk(longest)).is_ok());
    assert!(Frame::decode(chunk(longest + 1)).is_err());
}
