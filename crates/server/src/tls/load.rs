//! From the bytes of a file to certificates, keys and lists of revoked certificates.
//!
//! Whoever reads one of these errors has put the wrong thing in a file: each names the file and says what is in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::facts::{Facts, Validity, date};
use super::revocation::Revoked;
use super::roots::Roots;
use crate::limits::{CERTIFICATE_FILE_BYTES_MAX, REVOCATION_FILE_BYTES_MAX};

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("open {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It is larger than any such file is.
    #[error("{path} is larger than {limit} bytes", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// There is nothing in it.
    #[error("{path} is empty", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is not PEM.
    #[error("{path} is not a PEM file: {reason}", path = .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// What is sought is not in it.
    #[error("{path} contains no {sought}, but {found}", path = .path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What should be there.
        sought: &'static str,
        /// What is there.
        found: String,
    },
    /// A certificate in it cannot be used.
    #[error("certificate {number} in {path} cannot be used: {reason}", path = .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// Why not.
        reason: String,
    },
    /// The key in it cannot be used.
    #[error("the private key in {path} cannot be used: {reason}", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// They do not belong together.
    #[error("the private key in {key} is not that of the certificate in {cert}", key = .key.display(), cert = .cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
    },
    /// A list of revoked certificates in it cannot be read.
    #[error("the revocation list in {path} cannot be read: {reason}", path = .path.display())]
    RevocationList {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It is valid at another time, and what was there before is valid now.
    #[error("{what} in {path} is valid from {from} to {to} only", path = .path.display())]
    NotNow {
        /// The file.
        path: PathBuf,
        /// What is.
        what: &'static str,
        /// The begin.
        from: String,
        /// The end.
        to: String,
    },
}

impl LoadError {
    pub(super) fn not_now(path: &Path, what: &'static str, validity: Validity) -> LoadError {
        LoadError::NotNow {
            path: path.to_owned(),
            what,
            from: date(validity.not_before),
            to: date(validity.not_after),
        }
    }
}

/// A file's content. It may be a private key, so it cannot be shown.
pub(super) struct Content {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Content {
    /// Reads a file of certificates or keys.
    pub(super) fn read(path: &Path) -> Result<Content, LoadError> {
        read(path, CERTIFICATE_FILE_BYTES_MAX)
    }

    /// Reads a file of revocation lists, which may be long.
    pub(super) fn read_long(path: &Path) -> Result<Content, LoadError> {
        read(path, REVOCATION_FILE_BYTES_MAX)
    }
}

fn read(path: &Path, limit: u64) -> Result<Content, LoadError> {
    use io::Read;
    let unreadable = |source| LoadError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(LoadError::TooLarge { path: path.to_owned(), limit });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(LoadError::Empty { path: path.to_owned() });
    }
    Ok(Content { path: path.to_owned(), bytes })
}

/// Certificate and key, and what the certificate says.
#[derive(Debug, Clone)]
pub(super) struct KeyPair {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) facts: Facts,
}

/// Makes a pair of a certificate's file and its key's.
///
/// # Errors
/// What is wrong with which file.
pub(super) fn key_pair(
    cert: &Content,
    key: &Content,
    provider: &CryptoProvider,
) -> Result<KeyPair, LoadError> {
    let chain = certificates(cert)?;
    let facts = facts_of(cert, &chain)?.swap_remove(0);
    let key_der = private_key(key)?;
    let signing_key = provider
        .key_provider
        .load_private_key(key_der)
        .map_err(|error| LoadError::Key { path: key.path.clone(), reason: error.to_string() })?;
    let certified = CertifiedKey::new(chain, signing_key);
    match certified.keys_match() {
        // Unknown: the key does not say what its public half is.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(LoadError::Mismatch { cert: cert.path.clone(), key: key.path.clone() });
        }
        Err(error) => {
            return Err(LoadError::Certificate {
                path: cert.path.clone(),
                number: 1,
                reason: error.to_string(),
            });
        }
    }
    Ok(KeyPair { certified: Arc::new(certified), facts })
}

/// Makes roots of a file of CAs' certificates.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn roots(content: &Content) -> Result<Roots, LoadError> {
    let certificates = certificates(content)?;
    let validities = facts_of(content, &certificates)?.into_iter().map(|facts| facts.validity).collect();
    Roots::new(certificates, validities).map_err(|(number, error)| LoadError::Certificate {
        path: content.path.clone(),
        number,
        reason: error.to_string(),
    })
}

/// Reads lists of revoked certificates: one in DER, which is all that etcd takes, or any number in PEM.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn revoked(content: &Content) -> Result<Revoked, LoadError> {
    let unreadable = |reason| LoadError::RevocationList { path: content.path.clone(), reason };
    let mut revoked = Revoked::default();
    if content.bytes.first() == Some(&DER_SEQUENCE) {
        revoked.add(&content.bytes).map_err(unreadable)?;
        return Ok(revoked);
    }
    let mut lists = 0;
    for list in CertificateRevocationListDer::pem_slice_iter(&content.bytes) {
        let list = list.map_err(|error| pem_error(content, &error))?;
        revoked.add(&list).map_err(unreadable)?;
        lists += 1;
    }
    if lists == 0 {
        return Err(wrong_kind(content, "revocation list"));
    }
    Ok(revoked)
}

/// How every certificate and revocation list in DER begins.
const DER_SEQUENCE: u8 = 0x30;

fn certificates(content: &Content) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let certificates = CertificateDer::pem_slice_iter(&content.bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem_error(content, &error))?;
    if certificates.is_empty() { Err(wrong_kind(content, "certificate")) } else { Ok(certificates) }
}

/// What the certificates of a file say; as many as there are.
/// Returns the common name of the certificate in a file; `None` if it has none.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn common_name(path: &Path) -> Result<Option<String>, LoadError> {
    let content = Content::read(path)?;
    let chain = certificates(&content)?;
    Ok(facts_of(&content, &chain)?.swap_remove(0).common_name)
}

fn facts_of(content: &Content, certificates: &[CertificateDer<'static>]) -> Result<Vec<Facts>, LoadError> {
    let numbered = (1..).zip(certificates);
    let facts = numbered.map(|(number, certificate)| {
        let unusable = |reason| LoadError::Certificate { path: content.path.clone(), number, reason };
        Facts::of(certificate).map_err(unusable)
    });
    facts.collect()
}

fn private_key(content: &Content) -> Result<PrivateKeyDer<'static>, LoadError> {
    match PrivateKeyDer::from_pem_slice(&content.bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if names(content, b"ENCRYPTED") => Err(LoadError::Key {
            path: content.path.clone(),
            reason: "it is encrypted, and there is nobody to ask for its passphrase".to_owned(),
        }),
        Err(pem::Error::NoItemsFound) => Err(wrong_kind(content, "private key")),
        Err(error) => Err(pem_error(content, &error)),
    }
}

fn pem_error(content: &Content, error: &pem::Error) -> LoadError {
    // Never the line that the parser stumbled over: it may be a key's.
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "the begin of a section is malformed".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        _ => "it cannot be read".to_owned(),
    };
    LoadError::Pem { path: content.path.clone(), reason }
}

fn wrong_kind(content: &Content, sought: &'static str) -> LoadError {
    type Section = (SectionKind, Vec<u8>);
    let found = match Section::from_pem_slice(&content.bytes) {
        Ok((SectionKind::Certificate, _)) => "a certificate",
        Ok((SectionKind::Crl, _)) => "a revocation list",
        Ok((SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _)) => {
            "a private key"
        }
        Ok((SectionKind::Csr, _)) => "a request for a certificate",
        Ok((SectionKind::PublicKey, _)) => "a public key",
        _ if names(content, b"-----BEGIN") => "something else in PEM",
        _ if content.bytes.first() == Some(&DER_SEQUENCE) => "DER; it must be PEM",
        _ => "no PEM at all",
    };
    LoadError::WrongKind { path: content.path.clone(), sought, found: found.to_owned() }
}

fn names(content: &Content, word: &[u8]) -> bool {
    content.bytes.windows(word.len()).any(|window| window == word)
}
