//! The headers of a request that the server looks at.

use http::{HeaderMap, HeaderValue};

/// What a request says beside its message, found in one pass. A look-up by name parses and hashes the name; a request has fewer
/// headers than there are names to look up.
///
/// Of a header that is there more than once, the first counts.
#[derive(Debug, Default)]
pub(crate) struct Metadata<'a> {
    /// `content-type`.
    pub(crate) content_type: Option<&'a HeaderValue>,
    /// `grpc-timeout`.
    pub(crate) timeout: Option<&'a HeaderValue>,
    /// `grpc-encoding`.
    pub(crate) encoding: Option<&'a HeaderValue>,
    /// `client-api-version`.
    pub(crate) client_version: Option<&'a HeaderValue>,
    /// `hasleader`.
    pub(crate) has_leader: Option<&'a HeaderValue>,
    /// `token`.
    pub(crate) token: Option<&'a HeaderValue>,
    /// `authorization`.
    pub(crate) authorization: Option<&'a HeaderValue>,
    /// `grpcgateway-accept`: the request was made by a gateway, on behalf of somebody else.
    pub(crate) gateway: Option<&'a HeaderValue>,
}

impl<'a> Metadata<'a> {
    /// Returns what these headers say.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let field = match name.as_str() {
                "content-type" => &mut found.content_type,
                "grpc-timeout" => &mut found.timeout,
                "grpc-encoding" => &mut found.encoding,
                "client-api-version" => &mut found.client_version,
                "hasleader" => &mut found.has_leader,
                "token" => &mut found.token,
                "authorization" => &mut found.authorization,
                "grpcgateway-accept" => &mut found.gateway,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_has_its_place_and_the_first_of_a_name_counts() {
        let names = [
            "content-type",
            "grpc-timeout",
            "grpc-encoding",
            "client-api-version",
            "hasleader",
            "token",
            "authorization",
            "grpcgateway-accept",
        ];
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(name, HeaderValue::from_static(name));
            headers.append("other", HeaderValue::from_static("x"));
            headers.append(name, HeaderValue::from_static("second"));
        }
        let Metadata {
            content_type,
            timeout,
            encoding,
            client_version,
            has_leader,
            token,
            authorization,
            gateway,
        } = Metadata::of(&headers);
        let found =
            [content_type, timeout, encoding, client_version, has_leader, token, authorization, gateway];
        assert_eq!(found.map(|value| value.unwrap().to_str().unwrap()), names);
        assert!(Metadata::of(&HeaderMap::new()).token.is_none());
    }
}
