//! A long body in pieces, each of which is made when it is wanted.

use std::vec::IntoIter;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Body, Segment, field_prefix};

/// The bytes of a body, from front to back. What was handed out is not kept.
#[derive(Debug)]
pub struct Pieces {
    /// What comes before the segments.
    gathered: BytesMut,
    segments: IntoIter<Segment>,
    /// A segment that leaves as it is, after what was gathered before it.
    whole: Option<Bytes>,
    piece_bytes: usize,
    left: usize,
}

impl Pieces {
    /// Returns the pieces of `front` with the body behind it, each of about `piece_bytes`. A segment of the body that is longer
    /// is a piece by itself, and not copied.
    #[must_use]
    pub fn of(front: BytesMut, body: Body, piece_bytes: usize) -> Self {
        let left = front.len() + body.len;
        Self { gathered: front, segments: body.segments.into_iter(), whole: None, piece_bytes, left }
    }

    /// Returns how many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Returns how many segments are left to be handed out.
    #[must_use]
    pub fn segments_left(&self) -> usize {
        self.segments.len()
    }

    /// Copies segments together until there are enough, or one that is not copied.
    fn gather(&mut self) {
        while self.whole.is_none() && self.gathered.len() < self.piece_bytes {
            let Some(segment) = self.segments.next() else { return };
            match segment {
                Segment::Inline(inline) | Segment::Prefix(inline) => {
                    self.gathered.put_slice(inline.as_slice());
                }
                Segment::Raw(bytes) => self.add(bytes),
                Segment::Field(number, bytes) => {
                    self.gathered.put_slice(field_prefix(number, bytes.len()).as_slice());
                    self.add(bytes);
                }
            }
        }
    }

    fn add(&mut self, bytes: Bytes) {
        if bytes.len() > self.piece_bytes {
            self.whole = Some(bytes);
        } else {
            self.gathered.put_slice(&bytes);
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.gather();
        let gathered = std::mem::take(&mut self.gathered);
        let piece = if gathered.is_empty() { self.whole.take()? } else { gathered.freeze() };
        self.left -= piece.len();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(lengths: &[usize]) -> Body {
        let mut body = Body::empty();
        for (number, &length) in lengths.iter().enumerate() {
            body.field(2, vec![number as u8; length].into());
        }
        body.int64(4, 300);
        body
    }

    #[test]
    fn pieces_are_the_front_and_the_body_whatever_its_segments() {
        for lengths in [&[][..], &[0], &[1, 2, 3], &[5000], &[100, 64, 65, 0, 66, 1000], &[63, 64, 65]] {
            let whole = body(lengths);
            let mut pieces = Pieces::of(BytesMut::from(&b"front"[..]), whole.clone(), 64);
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.next() {
                assert!(!piece.is_empty());
                bytes.extend_from_slice(&piece);
                assert_eq!(pieces.left(), 5 + whole.len() - bytes.len());
            }
            assert_eq!(bytes, [b"front", &whole.to_bytes()[..]].concat(), "{lengths:?}");
            assert_eq!((pieces.left(), pieces.segments_left()), (0, 0));
        }
    }

    #[test]
    fn a_long_segment_is_not_copied() {
        let value = Bytes::from(vec![7; 1000]);
        let mut body = Body::empty();
        body.field(2, value.clone());
        let pieces: Vec<_> = Pieces::of(BytesMut::new(), body, 64).collect();
        assert_eq!(pieces.last().unwrap().as_ptr(), value.as_ptr());
    }
}
