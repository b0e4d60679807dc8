//! `grpc-encoding`: whether messages are compressed.

use std::borrow::Cow;

use http::HeaderValue;
use tonic::Status;

/// How request messages are compressed, and so how their replies will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// `grpc-encoding: gzip`.
    Gzip,
}

impl Encoding {
    /// Reads `grpc-encoding`; an encoding that is not known is refused as grpc-go refuses it.
    pub(crate) fn of(header: Option<&HeaderValue>) -> Result<Self, Status> {
        match header.map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(other) => Err(Status::unimplemented(format!(
                "grpc: Decompressor is not installed for grpc-encoding \"{}\"",
                quoted(other)
            ))),
        }
    }
}

/// Bytes of a header's value that an error quotes.
const QUOTED_BYTES_MAX: usize = 1 << 10;

/// Returns the beginning of a header's value, for an error that quotes it: a client may send megabytes, and what it gets back
/// is encoded at a stretch, with up to three bytes for each (rule I1).
pub(super) fn quoted(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&value[..value.len().min(QUOTED_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_grpc_go() {
        let of = |value: &'static str| Encoding::of(Some(&HeaderValue::from_static(value)));
        assert_eq!(Encoding::of(None).unwrap(), Encoding::Identity);
        assert_eq!(of("").unwrap(), Encoding::Identity);
        assert_eq!(of("identity").unwrap(), Encoding::Identity);
        assert_eq!(of("gzip").unwrap(), Encoding::Gzip);
        let status = of("snappy").unwrap_err();
        let text = "grpc: Decompressor is not installed for grpc-encoding \"snappy\"";
        assert_eq!((status.code(), status.message()), (tonic::Code::Unimplemented, text));
    }

    #[test]
    fn of_a_long_one_the_beginning_is_quoted() {
        let long = HeaderValue::from_bytes(&vec![b'{'; 1 << 20]).unwrap();
        let status = Encoding::of(Some(&long)).unwrap_err();
        assert!(status.message().ends_with("{{{{\"") && status.message().len() < 2 * QUOTED_BYTES_MAX);
        assert_eq!(quoted(&[0xff; 2]), "\u{fffd}\u{fffd}");
    }
}
