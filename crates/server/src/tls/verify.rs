//! What the other's certificate must be.
//!
//! The library verifies the chain: signatures up to a CA, validity, purpose, and of a server the name that was dialed.
//! What etcd's flags demand beyond that follows, in etcd's order: the names that are allowed, then the list of revoked
//! certificates. Both directions do the same, so that a peer's certificate means the same whoever dials.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::facts::Facts;
use super::revocation::Revoked;
use super::roots::Roots;
use crate::config::tls::AllowedNames;

/// A certificate whose serial number is on a list of revoked ones. The text is etcd's.
#[derive(Debug, thiserror::Error)]
#[error("transport: certificate serial {0} revoked")]
pub(super) struct RevokedCertificate(String);

/// What is demanded of a certificate besides its chain.
#[derive(Debug)]
struct Demands {
    roots: Arc<Roots>,
    allowed: AllowedNames,
    revoked: Option<Arc<Revoked>>,
}

/// Which side of a connection a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Server,
    Client,
}

impl Demands {
    fn check(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !is_allowed(leaf, &self.allowed)? {
            // The alert for it is `bad_certificate`, as in etcd.
            return Err(CertificateError::NotValidForName.into());
        }
        let chain = std::iter::once(leaf).chain(others);
        match self.revoked.as_ref().and_then(|revoked| revoked.first_of(chain)) {
            None => Ok(()),
            Some(serial) => {
                let revoked = RevokedCertificate(serial);
                Err(CertificateError::Other(OtherError(Arc::new(revoked))).into())
            }
        }
    }

    /// Checks a certificate that is itself among the roots: all that is left of the chain is when and for what it is
    /// valid.
    fn check_root(&self, leaf: &CertificateDer<'_>, now: UnixTime, purpose: Purpose) -> Result<(), Error> {
        let facts = facts(leaf)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < facts.validity.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > facts.validity.not_after {
            return Err(CertificateError::Expired.into());
        }
        let serves = match purpose {
            Purpose::Server => facts.purposes.server,
            Purpose::Client => facts.purposes.client,
        };
        if serves { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
    }
}

fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, Error> {
    Facts::of(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

fn is_allowed(leaf: &CertificateDer<'_>, allowed: &AllowedNames) -> Result<bool, Error> {
    Ok(match allowed {
        AllowedNames::Any => true,
        AllowedNames::CommonNames(names) => {
            let common_name = facts(leaf)?.common_name.unwrap_or_default();
            names.contains(&common_name)
        }
        AllowedNames::Hostnames(names) => {
            let parsed = ParsedCertificate::try_from(leaf)?;
            names.iter().any(|name| covers(&parsed, name))
        }
    })
}

/// Returns whether a certificate is valid for a host name or an IP address.
pub(super) fn covers(certificate: &ParsedCertificate<'_>, name: &str) -> bool {
    ServerName::try_from(name).is_ok_and(|name| verify_server_name(certificate, &name).is_ok())
}

/// Verifies the certificates of those who connect.
#[derive(Debug)]
pub(super) struct Clients {
    chain: Arc<dyn ClientCertVerifier>,
    demands: Demands,
}

/// Verifies the certificates of those dialed.
#[derive(Debug)]
pub(super) struct Servers {
    chain: Arc<WebPkiServerVerifier>,
    demands: Demands,
}

/// Takes any certificate: the members make theirs themselves (`--peer-auto-tls`). That nobody listens in is all that
/// such a connection promises; who answers, it does not.
#[derive(Debug)]
pub(super) struct Anyone(WebPkiSupportedAlgorithms);

impl Clients {
    /// Returns `None` if there are no roots.
    pub(super) fn new(
        roots: Arc<Roots>,
        revoked: Option<Arc<Revoked>>,
        allowed: AllowedNames,
        provider: Arc<CryptoProvider>,
    ) -> Option<Arc<Self>> {
        let chain =
            WebPkiClientVerifier::builder_with_provider(roots.store.clone(), provider).build().ok()?;
        Some(Arc::new(Self { chain, demands: Demands { roots, allowed, revoked } }))
    }
}

impl Servers {
    /// Returns `None` if there are no roots.
    pub(super) fn new(
        roots: Arc<Roots>,
        revoked: Option<Arc<Revoked>>,
        allowed: AllowedNames,
        provider: Arc<CryptoProvider>,
    ) -> Option<Arc<Self>> {
        let chain =
            WebPkiServerVerifier::builder_with_provider(roots.store.clone(), provider).build().ok()?;
        Some(Arc::new(Self { chain, demands: Demands { roots, allowed, revoked } }))
    }
}

impl Anyone {
    pub(super) fn new(provider: &CryptoProvider) -> Arc<Self> {
        Arc::new(Self(provider.signature_verification_algorithms))
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.demands.roots.contains(leaf) {
            self.demands.check_root(leaf, now, Purpose::Client)?;
        } else {
            self.chain.verify_client_cert(leaf, others, now)?;
        }
        self.demands.check(leaf, others).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.demands.roots.contains(leaf) {
            self.demands.check_root(leaf, now, Purpose::Server)?;
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        } else {
            self.chain.verify_server_cert(leaf, others, name, ocsp, now)?;
        }
        self.demands.check(leaf, others).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
