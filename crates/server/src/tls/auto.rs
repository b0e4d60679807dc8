//! Certificates that a member makes for itself (`--auto-tls`, `--peer-auto-tls`).
//!
//! They keep others from listening in, and nothing more: nobody has signed them, so nobody can verify them, and the
//! members accept any (see [`super::connector::Trust::Anyone`]). They are kept beside the data, as etcd keeps its own, so
//! that a member shows the same certificate after a restart.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use super::TlsError;
use super::facts::{Facts, unix_seconds};
use super::load::{Content, LoadError};
use crate::config::tls::KeyFiles;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns the certificate and key in a directory. Makes them if they are not there, or if the certificate has expired.
///
/// # Errors
/// When they cannot be made or written.
pub(crate) fn ensure(directory: &Path, hosts: &[String], years: u64) -> Result<KeyFiles, TlsError> {
    let failed = |reason: String| TlsError::SelfSigned { path: directory.to_owned(), reason };
    let files = KeyFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
    if files.cert.exists() && files.key.exists() {
        if !has_expired(&files.cert)? {
            return Ok(files);
        }
        tracing::warn!(path = %files.cert.display(), "the certificate that this member made for itself has expired");
    }
    create_directory(directory).map_err(|error| failed(error.to_string()))?;
    let (cert, key) = make(hosts, years).map_err(|error| failed(error.to_string()))?;
    // The old certificate goes first and the new one comes last: there is never one beside another one's key.
    let _ = fs::remove_file(&files.cert);
    for (path, text) in [(&files.key, key), (&files.cert, cert)] {
        write(path, &text).map_err(|error| failed(error.to_string()))?;
    }
    tracing::warn!(path = %files.cert.display(), years, "automatically generate certificates");
    Ok(files)
}

fn has_expired(cert: &Path) -> Result<bool, LoadError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let content = Content::read(cert)?;
    // What cannot be read is reported by whoever is to use it.
    let facts = CertificateDer::from_pem_slice(&content.bytes).ok().and_then(|der| Facts::of(&der).ok());
    Ok(facts.is_some_and(|facts| facts.validity.not_after < unix_seconds(SystemTime::now())))
}

/// A certificate and its key, in PEM: as etcd makes them, ECDSA on P-521, for the hosts that the member listens on.
fn make(hosts: &[String], years: u64) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512)?;
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "quorate");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::CrlSign];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now;
    // A thousand years are as good as for ever, and fit into a certificate's date.
    let years = u32::try_from(years.min(1000)).unwrap_or(1000);
    params.not_after = epoch + now + YEAR * years;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn create_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only its owner may read, under another name first: a half-written one would keep the member from
/// starting (rule S7).
fn write(path: &PathBuf, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}
