//! What comes off a socket on its way to the HTTP library.
//!
//! Nearly all bytes go where they were read to. Those that [`Frames`] wants to see more of are kept, and then go on,
//! replaced or not, from a buffer: [`Inbound::ready`] is to be handed on before anything newer.

use bytes::BytesMut;

use super::frames::{Frames, Load, Rest, Seen};

/// The bytes of one connection.
#[derive(Debug)]
pub(super) struct Inbound {
    frames: Frames,
    /// Seen, and to be handed on.
    ready: BytesMut,
    /// The beginning of a frame.
    kept: BytesMut,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self { frames: Frames::new(), ready: BytesMut::new(), kept: BytesMut::new() }
    }

    /// What has passed so far.
    pub(super) fn seen(&mut self) -> &mut Seen {
        &mut self.frames.seen
    }

    /// Returns what has passed so far, as a load for the library.
    pub(super) fn load(&self) -> Load {
        self.frames.load()
    }

    /// Returns whether the client speaks something that is not HTTP/2.
    pub(super) fn is_other(&self) -> bool {
        self.frames.is_other()
    }

    /// Bytes that go before any that are still to come.
    pub(super) fn ready(&mut self) -> &mut BytesMut {
        &mut self.ready
    }

    /// Takes the next bytes. So many of them go on from where they are; the others are kept here.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        if !self.kept.is_empty() {
            self.kept.extend_from_slice(bytes);
            self.settle();
            return 0;
        }
        let (passed, rest) = self.frames.follow(bytes);
        match rest {
            Rest::Nothing => {}
            Rest::Partial => self.kept.extend_from_slice(&bytes[passed..]),
            Rest::Replace { old, new } => {
                self.ready.extend_from_slice(&new);
                self.kept.extend_from_slice(&bytes[passed + old..]);
                self.settle();
            }
        }
        passed
    }

    /// Moves on what is kept, as far as it need not be.
    fn settle(&mut self) {
        loop {
            let (passed, rest) = self.frames.follow(&self.kept);
            self.ready.extend_from_slice(&self.kept.split_to(passed));
            let Rest::Replace { old, new } = rest else { return };
            self.ready.extend_from_slice(&new);
            let _ = self.kept.split_to(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    /// What goes on of `bytes`, read in pieces of at most `step`.
    fn through(bytes: &[u8], step: usize) -> (Vec<u8>, Seen) {
        let mut inbound = Inbound::new();
        let mut out = Vec::new();
        for piece in bytes.chunks(step) {
            let passed = inbound.take(piece);
            out.extend_from_slice(&piece[..passed]);
            out.extend_from_slice(&inbound.ready().split());
        }
        (out, *inbound.seen())
    }

    fn in_every_step(bytes: &[u8], expected: &[u8], seen: Seen) {
        for step in 1..=bytes.len() {
            let (out, found) = through(bytes, step);
            assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string(), "step {step}");
            assert_eq!(found, seen, "step {step}");
        }
    }

    #[test]
    fn sound_frames_pass_as_they_are_however_they_are_cut() {
        let bytes = [
            PREFACE,
            &frame(4, 0, 0, &[0; 12]),
            &frame(1, 0x4, 1, b"\x83\x86\x84\x41\x09127.0.0.1"),
            &frame(0, 1, 1, &[7; 100]),
            &frame(6, 0, 0, &[0; 8]),
            &frame(6, 1, 0, &[0; 8]),
            &frame(1, 0x4 | 0x8 | 0x20, 3, b"\x02\0\0\0\0\0\x83\0\0"),
        ]
        .concat();
        in_every_step(&bytes, &bytes, Seen { pings: 1, last_stream: 3, has_spoken: true });
    }

    #[test]
    fn malformed_authorities_are_put_right_and_everything_else_stays() {
        let stream = |first: &[u8], second: &[u8]| {
            [
                PREFACE,
                &frame(4, 0, 0, &[]),
                &frame(1, 0x4, 1, &[b"\x83\x86\x84\x41\x08", first, b"\x88"].concat()),
                &frame(0, 1, 1, &[7; 10]),
                // Padded, with a priority.
                &frame(1, 0x2c, 3, &[b"\x01\0\0\0\0\0\x01\x09", second, b"\0"].concat()),
                &frame(6, 0, 0, &[0; 8]),
            ]
            .concat()
        };
        let seen = Seen { pings: 1, last_stream: 3, has_spoken: true };
        in_every_step(&stream(b"http://a", b"https://b"), &stream(b"http---a", b"https---b"), seen);
    }

    #[test]
    fn empty_data_is_left_out_and_counts_as_frames_do() {
        let bytes = [PREFACE, &frame(4, 0, 0, &[]), &frame(0, 0, 1, &[]).repeat(5)].concat();
        let mut inbound = Inbound::new();
        assert_eq!(inbound.take(&bytes), PREFACE.len() + 9);
        assert!(inbound.ready().is_empty());
        assert_eq!(inbound.load().frames, 6);
    }

    #[test]
    fn what_is_not_http_2_is_not_looked_at() {
        let bytes = b"GET /health HTTP/1.1\r\nHost: http://a\r\n\r\n";
        in_every_step(bytes, bytes, Seen { has_spoken: true, ..Seen::default() });
        let nearly = b"PRI * HTTP/2.1\r\n\r\n";
        in_every_step(nearly, nearly, Seen { has_spoken: true, ..Seen::default() });
    }

    #[test]
    fn a_client_has_spoken_when_it_can_be_told_what_it_speaks() {
        assert!(!through(b"", 1).1.has_spoken && !through(b"PRI * H", 1).1.has_spoken);
        assert!(!through(PREFACE, 5).1.has_spoken, "and then nothing is no HTTP/2");
        assert!(through(&[PREFACE, &frame(4, 0, 0, &[])].concat(), 5).1.has_spoken);
        assert!(through(b"G", 1).1.has_spoken);
    }

    proptest::proptest! {
        /// Whatever a client sends (S9): nothing panics, and how it was cut makes no difference.
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(
            frames in proptest::collection::vec(
                (0_u8..10, proptest::num::u8::ANY, 0_u32..9, proptest::collection::vec(proptest::num::u8::ANY, 0..40)),
                0..12,
            ),
            garbage in proptest::collection::vec(proptest::num::u8::ANY, 0..30),
            step in 1_usize..60,
        ) {
            let mut bytes = PREFACE.to_vec();
            for (kind, flags, stream, payload) in frames {
                // Half of the blocks have something to put right.
                let url: &[u8] = if stream % 2 == 0 { b"\x41\x08http://a" } else { b"" };
                bytes.extend(frame(kind, flags, stream, &[url, &payload].concat()));
            }
            bytes.extend(garbage);
            proptest::prop_assert_eq!(through(&bytes, step), through(&bytes, bytes.len()));
        }
    }
}
