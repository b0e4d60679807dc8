//! Why a handshake failed, in words.
//!
//! Where etcd's log says it in Go's words, so does this one: operators and their tools search for them.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::verify::RevokedCertificate;

/// The reason behind an error of a TLS stream.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => error.to_string(),
    }
}

/// The reason behind an error of a library that speaks over TLS streams; if TLS is not the cause, what the library says.
pub(crate) fn reason_behind(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>().filter(|io| io.get_ref().is_some()) {
            return reason(io);
        }
        cause = error.source();
    }
    error.to_string()
}

pub(super) fn of_tls(error: &Error) -> String {
    match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "tls: first record does not look like a TLS handshake".to_owned(),
        Error::NoCertificatesPresented => "tls: client didn't provide a certificate".to_owned(),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // What TLS 1.2 has brought.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => "tls: client offered only unsupported versions".to_owned(),
        Error::AlertReceived(alert) => format!("remote error: tls: {}", of_alert(*alert)),
        Error::InvalidCertificate(error) => of_certificate(error),
        other => format!("tls: {other}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    let x509 = match error {
        // Only the names that are allowed are compared without a context.
        CertificateError::NotValidForName => return "client certificate authentication failed".to_owned(),
        CertificateError::Other(other) => match other.0.downcast_ref::<RevokedCertificate>() {
            Some(revoked) => return revoked.to_string(),
            None if is_ca_as_leaf(&other.0) => "certificate of a CA used for a connection",
            None => return format!("tls: failed to verify certificate: x509: {}", other.0),
        },
        // A CA of that name is known, but the signature is another one's.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority"
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "certificate has expired or is not yet valid",
        CertificateError::NotValidForNameContext { expected, presented } => {
            return format!(
                "tls: failed to verify certificate: {}",
                not_valid_for(&expected.to_str(), presented)
            );
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage"
        }
        other => return format!("tls: failed to verify certificate: x509: {other}"),
    };
    format!("tls: failed to verify certificate: x509: {x509}")
}

/// Go's words for a certificate of another host.
pub(super) fn not_valid_for(host: &str, names: &[impl AsRef<str>]) -> String {
    // The library writes `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
    let bare = |name: &str| {
        let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    let names: Vec<String> = names.iter().map(|name| bare(name.as_ref())).collect();
    match names.is_empty() {
        true => format!("x509: certificate is not valid for any names, but wanted to match {host}"),
        false => format!("x509: certificate is valid for {}, not {host}", names.join(", ")),
    }
}

/// The library has a name for it, but not in its own type of errors.
fn is_ca_as_leaf(error: &std::sync::Arc<dyn std::error::Error + Send + Sync>) -> bool {
    format!("{error:?}").contains("CaUsedAsEndEntity")
}

/// Go's texts.
fn of_alert(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::UnrecognisedName => "unrecognized name",
        AlertDescription::NoApplicationProtocol => "no application protocol",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::InternalError => "internal error",
        other => return format!("{other:?}"),
    };
    text.to_owned()
}
