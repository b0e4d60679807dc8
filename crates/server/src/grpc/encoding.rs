//! `grpc-encoding`: whether messages are compressed.

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
                String::from_utf8_lossy(other)
            ))),
        }
    }
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
}
