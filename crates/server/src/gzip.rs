//! gzip, a step at a time: neither a list of megabytes nor a message that becomes a thousand times as long keeps others
//! waiting (rule I1).

use std::io::{self, Read, Write};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use tonic::Status;

use crate::limits::GZIP_STEP_BYTES;

/// A message that is being inflated. As in Go, it may have several parts, and nothing behind them.
pub(crate) struct Inflate {
    packed: MultiGzDecoder<Reader<Bytes>>,
    plain: Vec<u8>,
    bytes_max: usize,
}

impl Inflate {
    /// Begins with a message that may have so many bytes when it is inflated.
    pub(crate) fn new(packed: Bytes, bytes_max: usize) -> Self {
        Self { packed: MultiGzDecoder::new(packed.reader()), plain: Vec::new(), bytes_max }
    }

    /// How much of it is there.
    pub(crate) fn bytes(&self) -> usize {
        self.plain.len()
    }

    /// Goes on for a step. Returns the message when it is complete.
    ///
    /// # Errors
    /// `ResourceExhausted` if it is too long, `Internal` if it is no gzip, with grpc-go's texts.
    pub(crate) fn step(&mut self) -> Result<Option<Bytes>, Status> {
        let before = self.plain.len();
        // One byte more than allowed tells "too long" from "exactly at the limit" without inflating a bomb.
        let step = GZIP_STEP_BYTES.min(self.bytes_max + 1 - before);
        Read::take(&mut self.packed, step as u64).read_to_end(&mut self.plain).map_err(unreadable)?;
        if self.plain.len() > self.bytes_max {
            let text =
                format!("grpc: received message after decompression larger than max {}", self.bytes_max);
            return Err(Status::resource_exhausted(text));
        }
        let is_complete = self.plain.len() < before + step;
        Ok(is_complete.then(|| Bytes::from(std::mem::take(&mut self.plain))))
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

/// A message that is being deflated.
pub(crate) struct Deflate {
    plain: Bytes,
    packed: GzEncoder<Vec<u8>>,
}

impl Deflate {
    pub(crate) fn new(plain: Bytes) -> Self {
        Self { plain, packed: GzEncoder::new(Vec::new(), Compression::fast()) }
    }

    /// Goes on for a step. Returns the deflated message when it is complete.
    pub(crate) fn step(&mut self) -> Option<Vec<u8>> {
        let step = self.plain.split_to(self.plain.len().min(GZIP_STEP_BYTES));
        self.packed.write_all(&step).expect("a Vec takes every write");
        if !self.plain.is_empty() {
            return None;
        }
        let packed = std::mem::replace(&mut self.packed, GzEncoder::new(Vec::new(), Compression::fast()));
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
