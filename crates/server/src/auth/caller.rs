//! Who calls.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::grpc::metadata::Metadata;
use crate::limits::TOKEN_BYTES_MAX;
use crate::readers::ConnectionId;
use crate::tls::CertificateName;

/// What a request brings to say who sent it.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    /// A secret: whoever has it is the user.
    token: Option<HeaderValue>,
    /// The common name of the client's certificate.
    common_name: Option<Arc<str>>,
    /// Where the request came from.
    connection: ConnectionId,
}

impl fmt::Debug for Caller {
    /// Without the token (rule S6).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, common_name, connection: _ } = self;
        let has_token = token.is_some();
        f.debug_struct("Caller").field("has_token", &has_token).field("common_name", common_name).finish()
    }
}

impl Caller {
    /// Returns what a request's metadata and connection say. A token beats a certificate, also one
    /// that turns out not to be valid. What the gateway sends is not the gateway's own (rule S5).
    pub(crate) fn of(
        metadata: &Metadata<'_>,
        certificate: Option<&CertificateName>,
        connection: ConnectionId,
    ) -> Self {
        let token = metadata.token.or(metadata.authorization).map(kept);
        let is_direct = metadata.gateway.is_none();
        let common_name = certificate.map(CertificateName::shared).filter(|_| is_direct);
        Self { token, common_name, connection }
    }

    /// Returns the token without the word that HTTP puts in front of it; `None` if the request has
    /// none. One that is not text is no token that was given out, and the empty one neither.
    pub(crate) fn token(&self) -> Option<&str> {
        let text = self.token.as_ref()?.to_str().unwrap_or_default();
        Some(text.strip_prefix("Bearer ").unwrap_or(text))
    }

    /// Returns the connection on which the request came.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Returns the name in the client's certificate.
    pub(crate) fn common_name(&self) -> Option<&Arc<str>> {
        self.common_name.as_ref()
    }
}

/// Returns a copy that keeps nothing else in memory: a call may last for days. What is longer than any token that was given
/// out is as good as an empty one.
fn kept(token: &HeaderValue) -> HeaderValue {
    let bytes = Some(token.as_bytes()).filter(|bytes| bytes.len() <= TOKEN_BYTES_MAX);
    bytes.and_then(|bytes| HeaderValue::from_bytes(bytes).ok()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_is_found_where_etcds_clients_put_it() {
        let token = |fields: &[(&'static str, &str)]| {
            Caller::of(&Metadata::of(&headers(fields)), None, ConnectionId::default())
                .token()
                .map(str::to_owned)
        };
        assert_eq!(token(&[]), None);
        assert_eq!(token(&[("token", "a.1")]).as_deref(), Some("a.1"));
        assert_eq!(token(&[("authorization", "Bearer a.1")]).as_deref(), Some("a.1"));
        assert_eq!(token(&[("authorization", "a.1")]).as_deref(), Some("a.1"));
        assert_eq!(token(&[("authorization", "b.2"), ("token", "a.1")]).as_deref(), Some("a.1"));
        assert_eq!(token(&[("token", "")]).as_deref(), Some(""));
    }

    #[test]
    fn what_is_too_long_for_a_token_is_not_kept() {
        let of = |bytes: usize| {
            Caller::of(
                &Metadata::of(&headers(&[("token", &"x".repeat(bytes))])),
                None,
                ConnectionId::default(),
            )
        };
        assert_eq!(of(TOKEN_BYTES_MAX).token().map(str::len), Some(TOKEN_BYTES_MAX));
        assert_eq!(of(TOKEN_BYTES_MAX + 1).token(), Some(""), "it is one, and not valid");
        let too_long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX));
        assert_eq!(
            Caller::of(
                &Metadata::of(&headers(&[("authorization", &too_long)])),
                None,
                ConnectionId::default()
            )
            .token(),
            Some("")
        );
    }

    #[test]
    fn cve_2018_16886_what_the_gateway_passes_on_is_not_done_in_its_certificates_name() {
        let peer = CertificateName::named("gateway");
        let direct = Caller::of(&Metadata::default(), Some(&peer), ConnectionId::default());
        assert_eq!(direct.common_name().map(|name| &name[..]), Some("gateway"));
        let headers = headers(&[("grpcgateway-accept", "*/*")]);
        let passed_on = Caller::of(&Metadata::of(&headers), Some(&peer), ConnectionId::default());
        assert_eq!(passed_on.common_name(), None);
    }

    #[test]
    fn a_token_is_not_printed() {
        let headers = headers(&[("token", "secret.1")]);
        let text = format!("{:?}", Caller::of(&Metadata::of(&headers), None, ConnectionId::default()));
        assert!(!text.contains("secret"), "{text}");
    }
}
