//! Frames on a connection.
//!
//! ```text
//! 0        4        8                 8 + length
//! ┌────────┬────────┬─────────────────┐
//! │ length │  crc   │ quoratepb.      │   length and crc little-endian;
//! │  (u32) │ (u32)  │ PeerFrame       │   crc: CRC-32 over the length's four bytes and the content
//! └────────┴────────┴─────────────────┘
//! ```
//!
//! TCP's own checksum misses about one damaged segment in 65,536, and what passes here goes into a log.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::codec::{CodecError, Frame};
use super::limits::{FRAME_AHEAD_BYTES, FRAME_BYTES_MAX};

/// Bytes in front of a frame's content.
pub(super) const HEAD_BYTES: usize = 8;

/// What one read may bring.
const READ_BYTES: usize = 64 << 10;

/// Contents up to this length are copied out of the read buffer, into room of just their size: an entry that lives for
/// hours must not keep a whole buffer alive. Longer ones are read into room of their own.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// Why a connection cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// Longer than any frame may be.
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    /// What arrived is not what was sent.
    #[error("a frame with a wrong checksum")]
    Checksum,
    /// It says nothing sensible.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Appends a frame. Whether it was short enough to be sent at all; if not, nothing is appended.
pub(super) fn put(frame: Frame, out: &mut BytesMut) -> bool {
    let encoded = frame.encode();
    let length = encoded.len();
    if length > FRAME_BYTES_MAX {
        return false;
    }
    out.reserve(HEAD_BYTES + length);
    let start = out.len();
    out.put_u32_le(length as u32);
    out.put_u32_le(0);
    encoded.put(out);
    let crc = checksum(length as u32, &out[start + HEAD_BYTES..]);
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    true
}

fn checksum(length: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// Takes a connection's bytes apart.
#[derive(Default)]
pub(super) struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// The next frame that has arrived whole, and how many bytes it took.
    ///
    /// # Errors
    /// [`FrameError`]; what follows cannot be understood then.
    pub(super) fn next(&mut self) -> Result<Option<(Frame, usize)>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let total = HEAD_BYTES + length as usize;
        if length as usize > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(length as usize));
        }
        if self.buffer.len() < total {
            return Ok(None);
        }
        if checksum(length, &self.buffer[HEAD_BYTES..total]) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(FrameError::Checksum);
        }
        Ok(Some((Frame::decode(self.content(total))?, total)))
    }

    fn content(&mut self, total: usize) -> Bytes {
        if total <= COPIED_BYTES_MAX {
            let content = Bytes::copy_from_slice(&self.buffer[HEAD_BYTES..total]);
            self.buffer.advance(total);
            content
        } else {
            let mut frame = self.buffer.split_to(total).freeze();
            frame.advance(HEAD_BYTES);
            frame
        }
    }

    /// Reads what there is, waiting for the first byte. Zero is the end of the stream.
    ///
    /// # Errors
    /// Those of the stream.
    pub(super) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<usize> {
        self.make_room();
        stream.read_buf(&mut self.buffer).await
    }

    /// Whether a frame has begun that is not all there.
    pub(super) fn is_amid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Room for the frame that has begun, as far as it may be believed, or for many small ones.
    fn make_room(&mut self) {
        let begun = self.buffer.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        let missing = (HEAD_BYTES + begun).saturating_sub(self.buffer.len());
        let ahead = FRAME_AHEAD_BYTES.max(self.buffer.len());
        if self.buffer.capacity() - self.buffer.len() < missing.clamp(HEAD_BYTES, READ_BYTES) {
            self.buffer.reserve(missing.min(ahead).max(READ_BYTES));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use raft::{Body, Entry, EntryId, Incarnation, Index, Message, NodeId, Payload, Session, Term};

    use super::super::codec::Pong;
    use super::*;

    fn append(command: Vec<u8>) -> Frame {
        let entry = Entry { term: Term(1), index: Index(1), payload: Payload::Command(Bytes::from(command)) };
        Frame::Message(Message {
            from: NodeId(1),
            incarnation: Incarnation(1),
            to: NodeId(2),
            term: Term(1),
            body: Body::Append {
                session: Session(1),
                previous: EntryId::ZERO,
                entries: vec![entry],
                commit: Index(0),
            },
        })
    }

    fn frames() -> Vec<Frame> {
        let lengths = [0, 1, 100, COPIED_BYTES_MAX - 60, COPIED_BYTES_MAX, 100_000, 3 << 20, 7];
        let appends = lengths.into_iter().map(|length| append(vec![length as u8; length]));
        std::iter::once(Frame::Ping(1))
            .chain(appends)
            .chain([Frame::Pong(Pong { sent: 2, answered: 3 })])
            .collect()
    }

    fn wire(frames: &[Frame]) -> BytesMut {
        let mut out = BytesMut::new();
        frames.iter().for_each(|frame| assert!(put(frame.clone(), &mut out)));
        out
    }

    /// Everything that comes out when the bytes arrive in pieces of at most this size.
    async fn read(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, FrameError> {
        let (mut near, mut far) = tokio::io::duplex(piece);
        let bytes: Arc<[u8]> = bytes.into();
        let writer = tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await;
        });
        let mut reader = FrameReader::default();
        let mut found = Vec::new();
        while reader.fill(&mut near).await.unwrap() > 0 {
            while let Some((frame, _)) = reader.next()? {
                found.push(frame);
            }
        }
        writer.await.unwrap();
        Ok(found)
    }

    #[tokio::test]
    async fn frames_come_out_whole_however_their_bytes_arrive() {
        let frames = frames();
        let wire = wire(&frames);
        for piece in [9, 1000, 1 << 20, wire.len()] {
            assert!(read(&wire, piece).await.unwrap() == frames, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn damage_to_any_byte_is_noticed() {
        let wire = wire(&[Frame::Ping(77), Frame::Pong(Pong { sent: 1, answered: 0 })]);
        for place in 0..wire.len() {
            let mut damaged = wire.to_vec();
            damaged[place] ^= 0x10;
            let read = read(&damaged, 1 << 16).await;
            let whole = read.as_ref().is_ok_and(|frames| frames.len() == 2);
            assert!(!whole, "byte {place}: {read:?}");
        }
    }

    #[test]
    fn a_frame_has_these_bytes() {
        assert_eq!(wire(&[Frame::Ping(5)])[..], *b"\x04\0\0\0\x6e\xe4\x4f\xa0\x12\x02\x08\x05");
    }

    #[test]
    fn a_length_alone_costs_no_memory() {
        let mut reader = FrameReader::default();
        reader.buffer.extend_from_slice(&(FRAME_BYTES_MAX as u32).to_le_bytes());
        reader.buffer.extend_from_slice(&[0; 4]);
        assert!(matches!(reader.next(), Ok(None)));
        reader.make_room();
        assert!(reader.buffer.capacity() <= 2 * FRAME_AHEAD_BYTES, "{}", reader.buffer.capacity());

        reader.buffer.clear();
        reader.buffer.extend_from_slice(&u32::MAX.to_le_bytes());
        reader.buffer.extend_from_slice(&[0; 4]);
        assert!(matches!(reader.next(), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn a_small_entry_does_not_keep_the_read_buffer_alive() {
        let mut reader = FrameReader { buffer: wire(&[append(vec![1; 10]), Frame::Ping(1)]) };
        let buffer = reader.buffer.as_ptr_range();
        let Ok(Some((Frame::Message(Message { body: Body::Append { entries, .. }, .. }), _))) = reader.next()
        else {
            panic!("no append");
        };
        let Payload::Command(command) = &entries[0].payload else { panic!("no command") };
        assert!(!buffer.contains(&command.as_ptr()));
    }
}
