//! Certificates for tests: CAs, what they sign, and what they revoke.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};

/// A CA.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
    serial: SerialNumber,
}

/// What a certificate is to say. The default one is valid, names `localhost` and 127.0.0.1, and is for both sides of a
/// connection.
#[derive(Debug, Clone)]
pub struct Request {
    /// The common name; empty: none.
    pub common_name: String,
    /// Host names and IP addresses.
    pub hosts: Vec<String>,
    /// Begin and end of its validity, in days from now.
    pub days: (i64, i64),
    /// What it may be used for.
    pub purposes: Vec<Purpose>,
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The one that was dialed.
    Server,
    /// The one that dials.
    Client,
}

impl Request {
    /// The default one, with this common name.
    pub fn named(common_name: &str) -> Request {
        Request {
            common_name: common_name.to_owned(),
            hosts: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            days: (-1, 365),
            purposes: vec![Purpose::Server, Purpose::Client],
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names = self.hosts.iter().map(|host| alternative_name(host)).collect();
        params.distinguished_name = name(&self.common_name);
        (params.not_before, params.not_after) = (
            date_time_ymd(1970, 1, 1) + since_1970(self.days.0),
            date_time_ymd(1970, 1, 1) + since_1970(self.days.1),
        );
        let purpose = |purpose: &Purpose| match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        };
        params.extended_key_usages = self.purposes.iter().map(purpose).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.serial_number = Some(random_serial());
        params
    }

    /// A certificate that nobody but itself has signed.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn self_signed(&self) -> Certificate {
        let (mut params, key) = (self.params(), new_key());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let serial = params.serial_number.clone().expect("every request has one");
        let cert = params.self_signed(&key).expect("a self-signed certificate").pem();
        Certificate { cert, key: key.serialize_pem(), serial }
    }
}

impl Authority {
    /// A new CA.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(common_name: &str) -> Authority {
        Authority::ending(common_name, 3650)
    }

    /// A new CA whose own certificate ends in so many days.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn ending(common_name: &str, days: i64) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) =
            (date_time_ymd(1970, 1, 1) + since_1970(-30), date_time_ymd(1970, 1, 1) + since_1970(days));
        Authority(CertifiedIssuer::self_signed(params, new_key()).expect("a CA"))
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn issue(&self, request: &Request) -> Certificate {
        let (params, key) = (request.params(), new_key());
        let serial = params.serial_number.clone().expect("every request has one");
        let cert = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Certificate { cert, key: key.serialize_pem(), serial }
    }

    /// A list with these certificates revoked, in DER, which is what etcd takes.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn revoke(&self, revoked: &[&Certificate]) -> Vec<u8> {
        let entry = |certificate: &&Certificate| RevokedCertParams {
            serial_number: certificate.serial.clone(),
            revocation_time: date_time_ymd(1970, 1, 1) + since_1970(-1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + since_1970(-1),
            next_update: date_time_ymd(1970, 1, 1) + since_1970(60),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("a revocation list").der().to_vec()
    }
}

impl Certificate {
    /// Writes `<name>.crt` and `<name>.key` into a directory; returns their paths.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let cert = replace(directory, &format!("{name}.crt"), self.cert.as_bytes());
        let key = replace(directory, &format!("{name}.key"), self.key.as_bytes());
        (cert, key)
    }
}

/// Writes a file in one step, as whoever rotates certificates should; returns its path.
///
/// # Panics
/// When it cannot be written.
pub fn replace(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let (path, unfinished) = (directory.join(name), directory.join(format!(".{name}.new")));
    std::fs::write(&unfinished, bytes).expect("a file in the test's directory");
    std::fs::rename(unfinished, &path).expect("a file in the test's directory");
    path
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn random_serial() -> SerialNumber {
    use std::hash::{BuildHasher, Hasher};
    let random = std::hash::RandomState::new().build_hasher().finish();
    // Positive in every encoding.
    SerialNumber::from(random >> 1 | 1)
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "quorate tests");
    if !common_name.is_empty() {
        name.push(DnType::CommonName, common_name);
    }
    name
}

fn alternative_name(host: &str) -> SanType {
    match host.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(host.try_into().expect("a host name")),
    }
}

/// The time that lies so many days from now, since 1970.
fn since_1970(days_from_now: i64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    let day = Duration::from_secs(24 * 60 * 60);
    let distance = day * u32::try_from(days_from_now.unsigned_abs()).expect("a number of days");
    if days_from_now < 0 { now.saturating_sub(distance) } else { now + distance }
}

/// A section of PEM.
pub fn pem(kind: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(symbol) } else { '=' });
        }
    }
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
