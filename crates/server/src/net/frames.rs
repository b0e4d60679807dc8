//! The frames that a client sends, looked at as they pass.
//!
//! The HTTP/2 library does not say when a ping comes, and resets a stream for a malformed `:authority`. So the bytes are
//! followed from frame to frame (RFC 9113, section 4.1: 9 bytes of length, type, flags and stream, then the payload),
//! and nearly all of them pass where they lie. Only the beginning of a frame is kept back until enough of it is there, and
//! a HEADERS frame until it is whole, as it may have to be replaced.

use super::authority::rename_malformed;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

/// Longest payload that HTTP/2 allows unless told otherwise, and nobody is: what bounds the bytes kept back.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

const HEADERS: u8 = 1;
const PING: u8 = 6;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What is worth knowing of what has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Pings, answers to ours apart.
    pub(super) pings: u32,
    /// Newest request.
    pub(super) last_stream: u32,
    /// The client speaks HTTP/2 or something that is not HTTP/2.
    pub(super) has_spoken: bool,
}

/// What follows the bytes that pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// The beginning of a frame; ask again when there is more.
    Partial,
    /// A frame of `old` bytes, in place of which `new` is to go on.
    Replace {
        /// Length of the frame as it came.
        old: usize,
        /// The frame as it should have been.
        new: Vec<u8>,
    },
}

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    pub(super) seen: Seen,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// So many bytes are left of a frame that is of no interest.
    Payload(usize),
    /// Not HTTP/2.
    Other,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { state: State::Preface(0), seen: Seen::default() }
    }

    /// Looks at the next bytes. Says how many of them pass as they are, and what the others are.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> (usize, Rest) {
        let mut passed = 0;
        loop {
            let left = &bytes[passed..];
            if left.is_empty() {
                return (passed, Rest::Nothing);
            }
            match self.state {
                State::Other => return (bytes.len(), Rest::Nothing),
                State::Preface(have) => passed += self.preface(have, left),
                State::Payload(0) => match self.frame(left) {
                    Ok(length) => passed += length,
                    Err(rest) => return (passed, rest),
                },
                State::Payload(length) => {
                    let here = length.min(left.len());
                    self.state = State::Payload(length - here);
                    passed += here;
                }
            }
        }
    }

    fn preface(&mut self, have: usize, left: &[u8]) -> usize {
        let length = left.len().min(PREFACE.len() - have);
        let is_preface = left[..length] == PREFACE[have..have + length];
        self.seen.has_spoken |= !is_preface;
        self.state = match have + length {
            _ if !is_preface => State::Other,
            24 => State::Payload(0),
            have => State::Preface(have),
        };
        length
    }

    /// A frame begins. How many of its bytes pass now, or why none can.
    fn frame(&mut self, left: &[u8]) -> Result<usize, Rest> {
        let Some((header, after)) = left.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Rest::Partial);
        };
        self.seen.has_spoken = true;
        let [l2, l1, l0, kind, flags, stream @ ..] = *header;
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        match kind {
            PING if flags & ACK == 0 => self.seen.pings += 1,
            HEADERS if length <= PAYLOAD_BYTES_MAX => {
                let payload = after.get(..length).ok_or(Rest::Partial)?;
                let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
                self.seen.last_stream = self.seen.last_stream.max(stream);
                if let Some(new) = replacement(header, payload) {
                    return Err(Rest::Replace { old: HEADER_BYTES + length, new });
                }
            }
            _ => {}
        }
        self.state = State::Payload(length);
        Ok(HEADER_BYTES)
    }
}

/// The HEADERS frame that should have been sent. A block in several frames is left alone: etcd's clients have none.
fn replacement(header: &[u8; HEADER_BYTES], payload: &[u8]) -> Option<Vec<u8>> {
    let flags = header[4];
    if flags & END_HEADERS == 0 {
        return None;
    }
    let padding = if flags & PADDED != 0 { usize::from(*payload.first()?) } else { 0 };
    let start = usize::from(flags & PADDED != 0) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let end = payload.len().checked_sub(padding)?;
    let block = rename_malformed(payload.get(start..end)?)?;
    let length = start + block.len() + padding;
    let [_, l2, l1, l0] = u32::try_from(length).ok()?.to_be_bytes();
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    frame.extend_from_slice(&[l2, l1, l0]);
    frame.extend_from_slice(&header[3..]);
    frame.extend_from_slice(&payload[..start]);
    frame.extend_from_slice(&block);
    frame.extend_from_slice(&payload[end..]);
    (length <= PAYLOAD_BYTES_MAX).then_some(frame)
}

/// The frame with which grpc-go turns away a client that pings too often.
pub(super) fn too_many_pings(last_stream: u32) -> Vec<u8> {
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u32 = 0xb;
    const REASON: &[u8] = b"too_many_pings";
    let mut frame = vec![0, 0, 8 + REASON.len() as u8, GOAWAY, 0, 0, 0, 0, 0];
    frame.extend_from_slice(&last_stream.to_be_bytes());
    frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
    frame.extend_from_slice(REASON);
    frame
}
