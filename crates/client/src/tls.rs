//! TLS of the connections to members.
//!
//! The files are read for each connection that is made, so that certificates may be rotated under a client that runs.
//! Connections are made rarely, and reading a few kilobytes costs nothing beside a handshake.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;
use crate::verify::{Anyone, Trusted};

/// Whose certificates are accepted, and which certificate is shown.
///
/// ```
/// use quorate_client::Tls;
/// let tls = Tls::new().ca_file("/etc/etcd/ca.crt").identity_files("/etc/etcd/me.crt", "/etc/etcd/me.key");
/// # let _ = tls;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tls {
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    server_name: Option<String>,
    skips_verification: bool,
}

impl Tls {
    /// TLS that trusts the CAs of the system and shows no certificate.
    pub fn new() -> Tls {
        Tls::default()
    }

    /// Trusts the CAs of this PEM file in place of the system's.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Tls {
        self.ca_file = Some(path.into());
        self
    }

    /// Shows this certificate (with its chain) to members that ask for one. Both files are PEM.
    pub fn identity_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Tls {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Demands that members' certificates name this host, whatever host is dialed.
    pub fn server_name(mut self, name: impl Into<String>) -> Tls {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate. Nobody then knows who answers.
    pub fn skip_verify(mut self) -> Tls {
        self.skips_verification = true;
        self
    }

    /// Returns the name that the certificate of `host` must have.
    pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>, Error> {
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|error| Error::tls(name, error))
    }

    /// Reads the files and returns the configuration of one handshake, for gRPC: what speaks another protocol over TLS
    /// changes the list of protocols.
    ///
    /// # Errors
    /// When a file cannot be read, or does not hold what it should.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::tls("protocol versions", error))?
            .dangerous();
        let builder = if self.skips_verification {
            builder.with_custom_certificate_verifier(Anyone::new(&provider))
        } else {
            let roots = self.roots()?;
            let verifier = Trusted::new(roots, provider).map_err(|error| Error::tls("CAs", error))?;
            builder.with_custom_certificate_verifier(verifier)
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, private) = (certificates(certificate)?, private_key(key)?);
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| Error::tls(certificate.display(), error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        match &self.ca_file {
            Some(path) => certificates(path),
            None => Ok(system_roots()),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| Error::tls(path.display(), error))?;
    if read.is_empty() {
        return Err(Error::tls(path.display(), "no certificate in it"));
    }
    Ok(read)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| Error::tls(path.display(), error))
}

/// Where Linux distributions and BSDs keep the CAs that are trusted.
const SYSTEM_FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns the system's CAs, as many as are understood; `SSL_CERT_FILE` names others.
fn system_roots() -> Vec<CertificateDer<'static>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let file = named.or_else(|| SYSTEM_FILES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let Some(read) = file.and_then(|path| CertificateDer::pem_file_iter(path).ok()) else {
        return Vec::new();
    };
    let mut store = RootCertStore::empty();
    read.filter_map(Result::ok).filter(|certificate| store.add(certificate.clone()).is_ok()).collect()
}
