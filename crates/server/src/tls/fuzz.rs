//! Files and certificates as a fuzzer makes them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::ClientCertVerifier;

use super::facts::Facts;
use super::load::{self, Content};
use super::verify::{Clients, covers};
use crate::config::tls::AllowedNames;

/// Some day in 2027: what is valid must not depend on when this runs.
const NOW: Duration = Duration::from_secs(1_800_000_000);

/// Takes bytes for each of the files that a flag may name, and for a certificate that a client sends.
///
/// # Panics
/// When a certificate is let in that is not among the roots, which have signed nothing: a bug.
pub fn certificates(input: &[u8]) {
    let content = content(input);
    let provider = provider();
    let _ = load::key_pair(&content, &content, &provider);
    let sent = CertificateDer::from(input);
    let _ = Facts::of(&sent);
    if let Ok(parsed) = ParsedCertificate::try_from(&sent) {
        let _ = covers(&parsed, "localhost") || covers(&parsed, "127.0.0.1");
    }
    let Ok(roots) = load::roots(&content) else { return };
    let Some(clients) = Clients::new(Arc::new(roots), None, AllowedNames::Any, provider) else { return };
    let is_let_in = |leaf: &CertificateDer<'_>| {
        clients.verify_client_cert(leaf, &[], UnixTime::since_unix_epoch(NOW)).is_ok()
    };
    assert!(!is_let_in(&sent));
    for root in CertificateDer::pem_slice_iter(input).flatten() {
        let is_valid = Facts::of(&root)
            .is_ok_and(|facts| facts.validity.contains(NOW.as_secs() as i64) && facts.purposes.client);
        assert_eq!(is_let_in(&root), is_valid);
    }
}

/// Takes bytes for a file of revoked certificates, and for a certificate that is looked up in it.
///
/// # Panics
/// When a certificate that cannot be read does not count as revoked: a bug.
pub fn revocation_lists(input: &[u8]) {
    let Ok(revoked) = load::revoked(&content(input)) else { return };
    let certificate = CertificateDer::from(input);
    let is_unreadable = Facts::of(&certificate).is_err();
    assert!(!is_unreadable || revoked.first_of([&certificate]).is_some());
}

fn content(input: &[u8]) -> Content {
    Content { path: PathBuf::from("input"), bytes: input.to_vec() }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}
