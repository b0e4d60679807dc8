//! The certificates that others are trusted by.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::facts::Validity;

/// Certificates of CAs.
#[derive(Debug)]
pub(super) struct Roots {
    /// For chains that end at one of them.
    pub(super) store: Arc<RootCertStore>,
    /// The certificates themselves: one of them needs no chain (see [`Roots::contains`]).
    certificates: Vec<CertificateDer<'static>>,
    /// When each is valid.
    pub(super) validities: Vec<Validity>,
}

/// Where Go looks for the system's certificates on Linux; the first file there is counts.
const SYSTEM_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Roots {
    /// Takes certificates for roots.
    ///
    /// # Errors
    /// Which of them, counted from 1, cannot be one, and why.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        validities: Vec<Validity>,
    ) -> Result<Roots, (usize, rustls::Error)> {
        let mut store = RootCertStore::empty();
        for (place, certificate) in certificates.iter().enumerate() {
            store.add(certificate.clone()).map_err(|error| (place + 1, error))?;
        }
        Ok(Roots { store: Arc::new(store), certificates, validities })
    }

    /// Returns the system's, as many of them as are understood; there may be none. They are read once.
    pub(super) fn of_system() -> Arc<Roots> {
        static ROOTS: OnceLock<Arc<Roots>> = OnceLock::new();
        ROOTS.get_or_init(|| Arc::new(read_system())).clone()
    }

    /// Returns whether a certificate is itself one of those trusted. Then it needs nobody's signature, as in Go: a
    /// self-signed certificate that is given as CA too is a usual setup, which the library refuses because a CA's
    /// certificate should not be used for connections.
    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|known| known.as_ref() == certificate.as_ref())
    }
}

fn read_system() -> Roots {
    let given = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let file = given.or_else(|| SYSTEM_FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let text = file.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    Roots { store: Arc::new(store), certificates, validities: Vec::new() }
}
