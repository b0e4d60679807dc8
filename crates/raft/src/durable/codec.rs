//! The bytes of entries and configurations. Little-endian, fixed layouts, no varints; `docs/format/raft-log.md` draws
//! them. Decoders take bytes of any origin: they refuse, and neither panic nor allocate beyond the input.

use std::sync::Arc;

use bytes::Bytes;

use crate::core::entry::{Entry, MembershipEntry, Payload};
use crate::core::id::{Index, NodeId, Term};
use crate::core::membership::Membership;

const EMPTY: u8 = 1;
const COMMAND: u8 = 2;
const MEMBERSHIP: u8 = 3;

/// The head of an entry's record, and its payload: the command's own bytes, or an encoding that `scratch` holds.
pub(crate) fn encode_entry<'a>(entry: &'a Entry, scratch: &'a mut Vec<u8>) -> (wal::Head, [&'a [u8]; 2]) {
    let (kind, payload): (u8, [&[u8]; 2]) = match &entry.payload {
        Payload::Empty => (EMPTY, [&[], &[]]),
        Payload::Command(command) => (COMMAND, [command, &[]]),
        Payload::Membership(change) => {
            scratch.clear();
            encode_membership(&change.membership, scratch);
            (MEMBERSHIP, [scratch, &change.context])
        }
    };
    (wal::Head { kind, number: entry.index.0, tag: entry.term.0 }, payload)
}

/// The entry of a record; `None` if it is none.
pub(crate) fn decode_entry(head: wal::Head, payload: Bytes) -> Option<Entry> {
    let payload = match head.kind {
        EMPTY if payload.is_empty() => Payload::Empty,
        COMMAND => Payload::Command(payload),
        MEMBERSHIP => {
            let mut input = Input(&payload);
            let membership = decode_membership(&mut input)?;
            let context = payload.slice_ref(input.0);
            Payload::Membership(Arc::new(MembershipEntry { membership, context }))
        }
        _ => return None,
    };
    Some(Entry { term: Term(head.tag), index: Index(head.number), payload })
}

/// Four lists, each a count (u16) and that many node ids (u64).
pub(crate) fn encode_membership(membership: &Membership, out: &mut Vec<u8>) {
    for list in membership.lists() {
        out.extend_from_slice(&(list.len() as u16).to_le_bytes());
        for node in list {
            out.extend_from_slice(&node.0.to_le_bytes());
        }
    }
}

pub(crate) fn decode_membership(input: &mut Input<'_>) -> Option<Membership> {
    let mut list = || {
        let count = input.u16()?;
        (0..count).map(|_| input.u64().map(NodeId)).collect::<Option<Vec<_>>>()
    };
    let (voters, outgoing, learners, next) = (list()?, list()?, list()?, list()?);
    Membership::from_parts(voters, outgoing, learners, next)
}

/// What is left of the bytes being decoded.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::membership::MembershipChange;

    fn round_trip(payload: Payload) -> Vec<u8> {
        let entry = Entry { term: Term(3), index: Index(7), payload };
        let mut scratch = Vec::new();
        let (head, parts) = encode_entry(&entry, &mut scratch);
        let bytes = parts.concat();
        assert_eq!(bytes.len(), entry.payload.log_bytes());
        assert_eq!(decode_entry(head, Bytes::from(bytes.clone())), Some(entry));
        bytes
    }

    #[test]
    fn entries_come_back_and_their_bytes_are_these() {
        assert_eq!(round_trip(Payload::Empty), b"");
        assert_eq!(round_trip(Payload::Command(Bytes::from("put"))), b"put");
        let membership = Membership::new([NodeId(1)], [NodeId(2)])
            .change(&[MembershipChange::AddVoter(NodeId(2))])
            .unwrap();
        let entry = MembershipEntry { membership, context: Bytes::from("ctx") };
        let expected: &[u8] = b"\x02\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\
            \x01\0\x01\0\0\0\0\0\0\0\
            \0\0\
            \0\0\
            ctx";
        assert_eq!(round_trip(Payload::Membership(Arc::new(entry))), expected);
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let head = |kind| wal::Head { kind, number: 1, tag: 1 };
        for (kind, payload) in [
            (0, &b""[..]),
            (9, b""),
            (EMPTY, b"x"),
            (MEMBERSHIP, b""),
            (MEMBERSHIP, b"\xff\xff\0\0"),
            (MEMBERSHIP, b"\x02\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ] {
            assert_eq!(decode_entry(head(kind), Bytes::from_static(payload)), None, "{kind} {payload:?}");
        }
    }
}
