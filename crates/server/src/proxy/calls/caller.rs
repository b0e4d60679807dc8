//! As whom a call goes to a member: what of its metadata is passed on.

use http::{HeaderMap, HeaderValue};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use super::super::limits::TOKEN_BYTES_MAX;
use crate::grpc::metadata::Metadata;

/// What a member takes a caller for. The certificate of a client is not among it: the member sees that of the proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    token: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    /// Whether the caller insists on a leader.
    wants_leader: bool,
}

impl Caller {
    pub(super) fn of(metadata: &Metadata<'_>) -> Caller {
        Caller {
            token: metadata.token.cloned(),
            authorization: metadata.authorization.cloned(),
            wants_leader: metadata.has_leader.is_some_and(|value| value == "true"),
        }
    }

    /// Returns whether the caller is somebody.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some() || self.authorization.is_some()
    }

    /// Returns whether its token is too long to be kept as the name of what it shares with others.
    pub(super) fn is_too_long(&self) -> bool {
        let long =
            |token: &Option<HeaderValue>| token.as_ref().is_some_and(|token| token.len() > TOKEN_BYTES_MAX);
        long(&self.token) || long(&self.authorization)
    }

    /// Adds what is passed on to the headers of a call to a member.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(token) = &self.token {
            headers.insert("token", token.clone());
        }
        if let Some(authorization) = &self.authorization {
            headers.insert("authorization", authorization.clone());
        }
        if self.wants_leader {
            headers.insert("hasleader", HeaderValue::from_static("true"));
        }
    }

    /// Returns a request of a generated stub.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut headers = HeaderMap::new();
        self.add_to(&mut headers);
        let mut request = tonic::Request::new(message);
        let metadata: &mut MetadataMap = request.metadata_mut();
        for (name, value) in &headers {
            if let Ok(value) = AsciiMetadataValue::try_from(value.as_bytes()) {
                match name.as_str() {
                    "token" => drop(metadata.insert("token", value)),
                    "authorization" => drop(metadata.insert("authorization", value)),
                    _ => drop(metadata.insert("hasleader", value)),
                }
            }
        }
        request
    }
}
