//! How many items a frame holds, before room is made for them.
//!
//! An empty entry takes two bytes in a frame and some sixty in memory, so a frame of the greatest length could cost
//! thirty times as much. Counting first needs no memory at all.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::super::limits::{FRAME_ITEMS_MAX, FRAME_UNCOUNTED_BYTES};
use super::CodecError;

/// Where items that take more room in memory than in a frame lie: field numbers from `PeerFrame` inwards.
const ITEMS: [&[u32]; 3] = [
    &[1, 9, 3], // message.append.entries
    &[4, 1],    // proposals.proposals
    &[8, 4, 3], // answer.lease_times.keys
];

/// Refuses a frame with more items than [`FRAME_ITEMS_MAX`], of one kind or another.
pub(super) fn check_items(frame: &[u8]) -> Result<(), CodecError> {
    if frame.len() <= FRAME_UNCOUNTED_BYTES {
        return Ok(());
    }
    for path in ITEMS {
        if count(frame, path)? > FRAME_ITEMS_MAX {
            return Err(CodecError::TooManyItems);
        }
    }
    Ok(())
}

/// How many fields lie at the end of `path`.
fn count(mut message: &[u8], path: &[u32]) -> Result<usize, CodecError> {
    let Some((field, rest)) = path.split_first() else { return Ok(1) };
    let mut found = 0;
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message)?;
        if tag == *field && wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut message)?;
            let fits = usize::try_from(length).ok().filter(|length| *length <= message.len());
            let (inner, after) =
                message.split_at(fits.ok_or(CodecError::Malformed("a field beyond its message"))?);
            found += count(inner, rest)?;
            message = after;
        } else {
            skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::quoratepb::{
        PeerAnswer, PeerEntry, PeerFrame, PeerMessage, PeerProposal, PeerProposals, peer_answer, peer_frame,
        peer_message,
    };

    use super::super::Frame;
    use super::*;

    /// A frame of each kind that has items, with so many of them.
    fn frames(items: usize) -> [PeerFrame; 3] {
        let append =
            peer_message::Append { entries: vec![PeerEntry::default(); items], ..Default::default() };
        let message =
            PeerMessage { body: Some(peer_message::Body::Append(append)), ..PeerMessage::default() };
        let proposals = PeerProposals { proposals: vec![PeerProposal::default(); items] };
        let times = peer_answer::LeaseTimes { keys: vec![Default::default(); items], ..Default::default() };
        let answer = PeerAnswer { nonce: 1, answer: Some(peer_answer::Answer::LeaseTimes(times)) };
        [
            peer_frame::Content::Message(message),
            peer_frame::Content::Proposals(proposals),
            peer_frame::Content::Answer(answer),
        ]
        .map(|content| PeerFrame { content: Some(content) })
    }

    #[test]
    fn a_frame_with_too_many_items_is_refused_before_it_is_decoded() {
        for frame in frames(FRAME_ITEMS_MAX + 1) {
            let refused = Frame::decode(frame.encode_to_vec().into());
            assert!(matches!(refused, Err(CodecError::TooManyItems)), "{refused:?}");
        }
        for frame in frames(FRAME_ITEMS_MAX) {
            let taken = check_items(&frame.encode_to_vec());
            assert!(taken.is_ok(), "{taken:?}");
        }
    }

    /// Protobuf merges a message field that comes twice: the items add up.
    #[test]
    fn items_are_counted_across_repeated_fields() {
        for frame in frames(FRAME_ITEMS_MAX) {
            let twice = [frame.encode_to_vec(), frame.encode_to_vec()].concat();
            assert!(matches!(check_items(&twice), Err(CodecError::TooManyItems)));
        }
    }
}
