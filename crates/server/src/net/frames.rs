//! The frames that a client sends, looked at as they pass.
//!
//! The HTTP/2 library does not say when a ping comes, and resets a stream for a malformed `:authority`. It also counts
//! some frames and ends the connection when there were too many of them (see [`Load`]). So the bytes are
//! followed from frame to frame (RFC 9113, section 4.1: 9 bytes of length, type, flags and stream, then the payload),
//! and nearly all of them pass where they lie. Only the beginning of a frame is kept back until enough of it is there, and
//! a HEADERS frame until it is whole, as it may have to be replaced.
//!
//! Empty DATA frames that do not end a stream are left out. They say nothing, and the library ends a connection on which
//! there were a hundred of them, however long that took.

use super::authority;
use crate::limits::{HTTP2_FRAME_BYTES_MAX, SMALL_DATA_BYTES};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

/// Longest payload of a frame: what bounds the bytes kept back.
const PAYLOAD_BYTES_MAX: usize = HTTP2_FRAME_BYTES_MAX as usize;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
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

/// What the frames that have passed mean for the library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// All frames.
    pub(super) frames: u64,
    /// RST_STREAM and small DATA frames. The library counts both until those who accept streams and read from them had
    /// their turn.
    pub(super) counted: u64,
    /// Bytes of the header block that has begun, of which more frames are to come; 0 between blocks.
    pub(super) block_bytes: usize,
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
    load: Load,
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
        Self { state: State::Preface(0), seen: Seen::default(), load: Load::default() }
    }

    /// Returns what has passed so far, as a load for the library.
    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Returns whether the client speaks something that is not HTTP/2.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.state, State::Other)
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
                self.follow_block(flags, length);
                if let Some(new) = replacement(header, payload) {
                    self.load.frames += 1;
                    return Err(Rest::Replace { old: HEADER_BYTES + length, new });
                }
            }
            CONTINUATION => self.follow_block(flags, length),
            DATA if length == 0 && flags & END_STREAM == 0 && self.load.block_bytes == 0 => {
                self.load.frames += 1;
                return Err(Rest::Replace { old: HEADER_BYTES, new: Vec::new() });
            }
            DATA if length < SMALL_DATA_BYTES => self.load.counted += 1,
            RST_STREAM => self.load.counted += 1,
            _ => {}
        }
        self.load.frames += 1;
        self.state = State::Payload(length);
        Ok(HEADER_BYTES)
    }

    /// Follows a header block into its next frame.
    fn follow_block(&mut self, flags: u8, length: usize) {
        let is_whole = flags & END_HEADERS != 0;
        self.load.block_bytes = if is_whole { 0 } else { self.load.block_bytes + length };
    }
}

/// Returns the HEADERS frame that should have been sent, if this is not the one. A block may go on in other frames; that
/// `:authority` itself is cut does not happen, as it comes before everything that is long.
fn replacement(header: &[u8; HEADER_BYTES], payload: &[u8]) -> Option<Vec<u8>> {
    let flags = header[4];
    let padding = if flags & PADDED != 0 { usize::from(*payload.first()?) } else { 0 };
    let start = usize::from(flags & PADDED != 0) + if flags & PRIORITY != 0 { 5 } else { 0 };
    let end = payload.len().checked_sub(padding)?;
    let block = authority::put_right(payload.get(start..end)?)?;
    let stream = &header[5..];
    if start + block.len() + padding > PAYLOAD_BYTES_MAX {
        return Some(in_two(flags, stream, &block));
    }
    let payload = [&payload[..start], &block, &payload[end..]].concat();
    Some(frame(HEADERS, flags, stream, &payload))
}

/// Returns a block that does not fit into one frame any more as two frames, without padding and priority.
fn in_two(flags: u8, stream: &[u8], block: &[u8]) -> Vec<u8> {
    let (first, second) = block.split_at(PAYLOAD_BYTES_MAX.min(block.len()));
    let kept = flags & !(PADDED | PRIORITY | END_HEADERS);
    let mut frames = frame(HEADERS, kept, stream, first);
    frames.extend(frame(CONTINUATION, flags & END_HEADERS, stream, second));
    frames
}

/// Returns a frame in wire form.
fn frame(kind: u8, flags: u8, stream: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a frame is as long as a frame may be");
    [&length.to_be_bytes()[1..], &[kind, flags], stream, payload].concat()
}

/// Returns the frame with which a client is turned away that asks for too much, and that says of what.
pub(super) fn enhance_your_calm(last_stream: u32, reason: &'static str) -> Vec<u8> {
    const ENHANCE_YOUR_CALM: u32 = 0xb;
    goaway(last_stream, ENHANCE_YOUR_CALM, reason)
}

/// Returns what a server says to a client that has not spoken, when it leaves: its settings, without which there is no
/// HTTP/2, and that it has looked at no request and will look at none.
pub(super) fn nothing_was_read() -> Vec<u8> {
    const NO_ERROR: u32 = 0;
    [frame(SETTINGS, 0, &[0; 4], &[]), goaway(0, NO_ERROR, "")].concat()
}

fn goaway(last_stream: u32, code: u32, reason: &str) -> Vec<u8> {
    let payload = [&last_stream.to_be_bytes(), &code.to_be_bytes(), reason.as_bytes()].concat();
    frame(GOAWAY, 0, &[0; 4], &payload)
}
