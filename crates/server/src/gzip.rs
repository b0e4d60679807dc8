//! gzip, a step at a time: neither a list of megabytes nor a message that becomes a thousand times as long keeps others
//! waiting (rule I1), nor one of megabytes that becomes nothing at all.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use tonic::Status;

use crate::limits::{GZIP_STEP_BYTES, GZIP_STEP_PACKED_BYTES};

/// A message that is being inflated. As in Go, it may have several parts, and nothing behind them.
pub(crate) struct Inflate {
    packed: MultiGzDecoder<Helping>,
    plain: Vec<u8>,
    bytes_max: usize,
}

/// Deflated bytes, of which no more are given than a step may take: then they say that they would block. Ten bits are a
/// block, with tables of its own if it likes, and need not yield anything.
struct Helping {
    rest: Bytes,
    /// How many of them may be taken in this step.
    left: usize,
}

impl Read for Helping {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buf)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Helping {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.rest.len().min(self.left) {
            0 if !self.rest.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            length => Ok(&self.rest[..length]),
        }
    }

    fn consume(&mut self, length: usize) {
        self.rest.advance(length);
        self.left -= length;
    }
}

impl Inflate {
    /// Begins with a message that may have so many bytes when it is inflated.
    pub(crate) fn new(packed: Bytes, bytes_max: usize) -> Self {
        // The library looks for the first header at once.
        let packed = Helping { rest: packed, left: GZIP_STEP_PACKED_BYTES };
        Self { packed: MultiGzDecoder::new(packed), plain: Vec::new(), bytes_max }
    }

    /// How much of it is in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.packed.get_ref().rest.len() + self.plain.len()
    }

    /// Goes on for a step. Returns the message when it is complete.
    ///
    /// # Errors
    /// `ResourceExhausted` if it is too long, `Internal` if it is no gzip, with grpc-go's texts.
    pub(crate) fn step(&mut self) -> Result<Option<Bytes>, Status> {
        let before = self.plain.len();
        // One byte more than allowed tells "too long" from "exactly at the limit" without inflating a bomb.
        let step = GZIP_STEP_BYTES.min(self.bytes_max + 1 - before);
        self.packed.get_mut().left = GZIP_STEP_PACKED_BYTES;
        let has_more = match Read::take(&mut self.packed, step as u64).read_to_end(&mut self.plain) {
            Ok(inflated) => inflated == step,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => return Err(unreadable(error)),
        };
        if self.plain.len() > self.bytes_max {
            let text =
                format!("grpc: received message after decompression larger than max {}", self.bytes_max);
            return Err(Status::resource_exhausted(text));
        }
        Ok((!has_more).then(|| Bytes::from(std::mem::take(&mut self.plain))))
    }
}

fn unreadable(error: io::Error) -> Status {
    Status::internal(format!("grpc: failed to read decompressed data: {error}"))
}

/// Returns bytes in deflated form, a step at a time.
pub(crate) async fn deflated(plain: Bytes) -> Vec<u8> {
    let mut deflate = Deflate::new(plain);
    loop {
        if let Some(packed) = deflate.step() {
            return packed;
        }
        tokio::task::yield_now().await;
    }
}

/// Returns how hard is tried to be short: one up from what is fastest gives a fifth less, and takes hardly longer.
fn level() -> Compression {
    Compression::new(2)
}

/// A message that is being deflated.
pub(crate) struct Deflate {
    plain: Bytes,
    packed: GzEncoder<Vec<u8>>,
}

impl Deflate {
    pub(crate) fn new(plain: Bytes) -> Self {
        Self { plain, packed: GzEncoder::new(Vec::new(), level()) }
    }

    /// Goes on for a step. Returns the deflated message when it is complete.
    pub(crate) fn step(&mut self) -> Option<Vec<u8>> {
        let step = self.plain.split_to(self.plain.len().min(GZIP_STEP_BYTES));
        self.packed.write_all(&step).expect("a Vec takes every write");
        if !self.plain.is_empty() {
            return None;
        }
        let packed = std::mem::replace(&mut self.packed, GzEncoder::new(Vec::new(), level()));
        Some(packed.finish().expect("a Vec takes every write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_steps(plain: &[u8]) -> (Vec<u8>, usize) {
        let mut deflate = Deflate::new(Bytes::copy_from_slice(plain));
        let mut steps = 1;
        loop {
            if let Some(packed) = deflate.step() {
                return (packed, steps);
            }
            steps += 1;
        }
    }

    fn inflated(packed: &[u8], bytes_max: usize) -> (Result<Bytes, Status>, usize) {
        let mut inflate = Inflate::new(Bytes::copy_from_slice(packed), bytes_max);
        let mut steps = 1;
        loop {
            match inflate.step() {
                Ok(Some(plain)) => return (Ok(plain), steps),
                Ok(None) => steps += 1,
                Err(status) => return (Err(status), steps),
            }
        }
    }

    #[test]
    fn what_is_long_takes_many_steps_both_ways() {
        for bytes in [0, 1, GZIP_STEP_BYTES - 1, GZIP_STEP_BYTES, GZIP_STEP_BYTES + 1, 10 * GZIP_STEP_BYTES] {
            let plain = vec![7; bytes];
            let (packed, steps) = in_steps(&plain);
            assert_eq!(steps, bytes.div_ceil(GZIP_STEP_BYTES).max(1), "{bytes}");
            let (again, steps) = inflated(&packed, bytes);
            assert_eq!(again.unwrap(), plain);
            assert!(
                (bytes / GZIP_STEP_BYTES..=bytes / GZIP_STEP_BYTES + 1).contains(&steps),
                "{bytes}: {steps}"
            );
        }
    }

    /// A part whose only content are empty blocks, followed by a complete one: as a flush leaves them, only more of them.
    fn blocks_of_nothing(blocks: usize) -> Vec<u8> {
        const EMPTY: [u8; 5] = [0, 0, 0, 0xff, 0xff];
        let (whole, _) = in_steps(b"one");
        let (head, rest) = whole.split_at(10);
        [head, &EMPTY.repeat(blocks), rest].concat()
    }

    #[test]
    fn what_yields_nothing_takes_as_many_steps_as_it_is_long() {
        let (nothing, _) = in_steps(b"");
        let many = 20 * GZIP_STEP_PACKED_BYTES;
        for (packed, plain) in
            [(blocks_of_nothing(many / 5), "one"), (nothing.repeat(many / nothing.len()), "")]
        {
            let (again, steps) = inflated(&packed, 100);
            assert_eq!(again.unwrap(), plain);
            assert_eq!(steps, packed.len().div_ceil(GZIP_STEP_PACKED_BYTES));
        }
    }

    /// A helping ends anywhere: in a head, in a block, in a checksum.
    #[test]
    fn what_is_cut_into_helpings_anywhere_is_put_together_again() {
        let mut noise = 1_u32;
        let plain: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .take(3 * GZIP_STEP_PACKED_BYTES)
        .collect();
        for length in plain.len() - 40..plain.len() {
            let (one, _) = in_steps(&plain[..length]);
            let packed = [&one[..], &one].concat();
            let (again, _) = inflated(&packed, 2 * length);
            assert_eq!(again.unwrap(), [&plain[..length], &plain[..length]].concat(), "{length}");
            let cut = inflated(&packed[..packed.len() - 1], 2 * length).0;
            assert_eq!(cut.unwrap_err().code(), tonic::Code::Internal);
        }
    }

    #[test]
    fn what_is_not_inflated_yet_is_counted() {
        let packed = blocks_of_nothing(GZIP_STEP_PACKED_BYTES);
        let mut inflate = Inflate::new(packed.clone().into(), 100);
        assert_eq!(inflate.step().unwrap(), None);
        assert!((packed.len() - 2 * GZIP_STEP_PACKED_BYTES..packed.len()).contains(&inflate.bytes()));
    }

    #[test]
    fn of_a_bomb_no_more_is_inflated_than_may_be() {
        let (bomb, _) = in_steps(&vec![0; 1 << 20]);
        let mut inflate = Inflate::new(bomb.into(), 4096);
        let status = inflate.step().unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(inflate.plain.len(), 4097);
    }

    #[test]
    fn parts_are_read_one_after_the_other_and_what_is_none_is_refused() {
        let ((one, _), (two, _)) = (in_steps(b"one"), in_steps(b"two"));
        assert_eq!(inflated(&[&one[..], &two].concat(), 6).0.unwrap(), "onetwo");
        for bad in [&b""[..], b"x", &one[..one.len() - 1], &[&one[..], b"garbage"].concat()] {
            let status = inflated(bad, 100).0.unwrap_err();
            assert_eq!(status.code(), tonic::Code::Internal, "{}", bad.escape_ascii());
            assert!(status.message().starts_with("grpc: failed to read decompressed data: "), "{status:?}");
        }
    }
}
