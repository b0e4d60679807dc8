//! TLS towards an S3 store: the certificates of the system, or of a file.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::StoreError;

/// Where Linux distributions and BSDs keep the CAs that are trusted.
const SYSTEM_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns the settings of handshakes that trust the CAs of a file, or those of the system
/// (`SSL_CERT_FILE` names others).
pub(super) fn config(ca_file: Option<&PathBuf>) -> Result<Arc<ClientConfig>, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Tls(error.to_string()))?;
    let roots = match ca_file {
        Some(path) => of_file(path)?,
        None => of_system(),
    };
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn of_file(path: &PathBuf) -> Result<RootCertStore, StoreError> {
    let wrong = |why: String| StoreError::Tls(format!("{}: {why}", path.display()));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        store.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(store)
}

fn of_system() -> RootCertStore {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let file = named.or_else(|| SYSTEM_FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let mut store = RootCertStore::empty();
    if let Some(certificates) = file.and_then(|path| CertificateDer::pem_file_iter(path).ok()) {
        store.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    store
}
