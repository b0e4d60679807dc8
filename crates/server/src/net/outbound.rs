//! The frames that go to a client, looked at as they pass: where one ends, and whether they answer a request.
//!
//! The library's own view is no help: it takes a reply of a megabyte at once, and sends it for as long as the
//! client takes to read it. A client that measures the connection pings all the while.

const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// Length and type of a frame, the beginning of its header.
const START_BYTES: usize = 4;

/// What follows these in a header: flags and stream.
const REST_BYTES: usize = 5;

/// Follows one connection. Of HTTP/1.1 it says nothing that means anything, and nobody asks.
#[derive(Debug)]
pub(super) struct Outbound {
    /// The start of the next frame, as far as it has been written.
    start: [u8; START_BYTES],
    have: usize,
    /// Bytes that are left of the frame whose start is complete.
    left: usize,
    has_answered: bool,
}

impl Outbound {
    pub(super) fn new() -> Self {
        Self { start: [0; START_BYTES], have: 0, left: 0, has_answered: false }
    }

    /// Whether no frame is under way.
    pub(super) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether headers or data were sent since this was last asked.
    pub(super) fn take_has_answered(&mut self) -> bool {
        std::mem::take(&mut self.has_answered)
    }

    /// Looks at what has been written.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let length = bytes.len().min(START_BYTES - self.have);
                self.start[self.have..self.have + length].copy_from_slice(&bytes[..length]);
                self.have += length;
                bytes = &bytes[length..];
                if self.have == START_BYTES {
                    let [l2, l1, l0, _] = self.start;
                    self.left = REST_BYTES + u32::from_be_bytes([0, l2, l1, l0]) as usize;
                    self.have = 0;
                }
            } else {
                let kind = self.start[START_BYTES - 1];
                self.has_answered |= kind == DATA || kind == HEADERS;
                let length = bytes.len().min(self.left);
                self.left -= length;
                bytes = &bytes[length..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
    const PONG: &[u8] = &[0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const DATA: &[u8] = &[0, 0, 3, 0, 0, 0, 0, 0, 1, 7, 7, 7];

    #[test]
    fn frames_end_where_their_headers_say_however_they_are_written() {
        let bytes = [SETTINGS, PONG, DATA, SETTINGS].concat();
        let ends = [9, 26, 38, 47];
        for step in 1..=bytes.len() {
            let mut outbound = Outbound::new();
            for (number, piece) in bytes.chunks(step).enumerate() {
                outbound.follow(piece);
                let written = number * step + piece.len();
                assert_eq!(outbound.is_between_frames(), ends.contains(&written), "{written} by {step}");
            }
            assert!(outbound.take_has_answered() && !outbound.take_has_answered());
        }
    }

    #[test]
    fn every_piece_of_an_answer_counts_and_nothing_else() {
        let mut outbound = Outbound::new();
        outbound.follow(&[SETTINGS, PONG].concat());
        assert!(!outbound.take_has_answered());
        for piece in [&DATA[..10], &DATA[10..11], &DATA[11..]] {
            outbound.follow(piece);
            assert!(outbound.take_has_answered());
        }
        outbound.follow(PONG);
        assert!(!outbound.take_has_answered());
    }
}
