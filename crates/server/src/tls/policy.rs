//! Versions and cipher suites.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

use super::TlsError;
use crate::config::tls::{TlsProtocol, TlsVersion};

/// What a connection may use.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) versions: Versions,
}

type Versions = &'static [&'static SupportedProtocolVersion];

static BOTH: Versions = &[&TLS13, &TLS12];
static ONLY_12: Versions = &[&TLS12];
static ONLY_13: Versions = &[&TLS13];

impl Policy {
    /// Reads the settings. Suites that Go knows and this library does not (all of them weak) are logged and left out.
    ///
    /// # Errors
    /// When nothing is left.
    pub(crate) fn new(protocol: &TlsProtocol) -> Result<Policy, TlsError> {
        let mut provider = aws_lc_rs::default_provider();
        let allows_13 = protocol.max != Some(TlsVersion::V12);
        if !protocol.cipher_suites.is_empty() {
            let chosen = |number: u16| protocol.cipher_suites.iter().any(|suite| suite.number == number);
            provider.cipher_suites.retain(|suite| suite.tls13().is_some() || chosen(suite.suite().into()));
            report_unserved(protocol, &provider);
        }
        let has_12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
        let allows_12 = protocol.min == TlsVersion::V12 && has_12;
        let versions = match (allows_12, allows_13) {
            (true, true) => BOTH,
            (true, false) => ONLY_12,
            (false, true) => ONLY_13,
            (false, false) => return Err(TlsError::NoCipherSuites { given: names(protocol).join(",") }),
        };
        Ok(Policy { provider: Arc::new(provider), versions })
    }
}

fn names(protocol: &TlsProtocol) -> Vec<&'static str> {
    protocol.cipher_suites.iter().map(|suite| suite.name).collect()
}

fn report_unserved(protocol: &TlsProtocol, provider: &CryptoProvider) {
    let is_served = |number: u16| {
        let known = aws_lc_rs::default_provider().cipher_suites;
        provider.cipher_suites.iter().chain(&known).any(|suite| u16::from(suite.suite()) == number)
    };
    for suite in protocol.cipher_suites.iter().filter(|suite| !is_served(suite.number)) {
        tracing::warn!(
            "cipher-suite" = suite.name,
            "cipher suite is not served: it is not among the safe ones"
        );
    }
}
