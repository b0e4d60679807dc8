//! What a certificate says, as far as rustls does not tell.

use std::net::IpAddr;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// What is read from a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The common name of its subject: the last, if there are several, as in Go. Never empty.
    pub(super) common_name: Option<String>,
    /// Its subject, for people.
    pub(super) subject: String,
    /// The serial number, without leading zeros.
    pub(super) serial: Vec<u8>,
    /// The host names it is for; they may begin with `*.`.
    pub(super) dns_names: Vec<String>,
    /// The addresses it is for.
    pub(super) addresses: Vec<IpAddr>,
    /// When it is valid.
    pub(super) validity: Validity,
    /// What it may be used for.
    pub(super) purposes: Purposes,
}

/// The time from the first to the last second in which something is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// What the two sides of a connection may use a certificate for. One that names no purpose is for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Purposes {
    pub(super) server: bool,
    pub(super) client: bool,
}

impl Validity {
    pub(super) fn contains(self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// Seconds since 1970; before that, 0.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A moment as etcd's log shows it.
pub(super) fn date(unix_seconds: i64) -> String {
    let time = ASN1Time::from_timestamp(unix_seconds).map(|time| time.to_datetime());
    time.map_or_else(
        |_| unix_seconds.to_string(),
        |time| {
            let (hour, minute, second) = (time.hour(), time.minute(), time.second());
            format!("{}T{hour:02}:{minute:02}:{second:02}Z", time.date())
        },
    )
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// The parser's reason.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Facts, String> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let (dns_names, addresses) = alternative_names(&parsed);
        let common_names = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        Ok(Facts {
            common_name: common_names.last().filter(|name| !name.is_empty()).map(str::to_owned),
            subject: parsed.subject().to_string(),
            serial: significant(parsed.raw_serial()).to_vec(),
            dns_names,
            addresses,
            validity: Validity {
                not_before: parsed.validity().not_before.timestamp(),
                not_after: parsed.validity().not_after.timestamp(),
            },
            purposes: purposes(&parsed)?,
        })
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<IpAddr>) {
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return (dns_names, addresses) };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    (dns_names, addresses)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn purposes(certificate: &X509Certificate<'_>) -> Result<Purposes, String> {
    let usage = certificate.extended_key_usage().map_err(|error| error.to_string())?;
    Ok(usage.map_or(Purposes { server: true, client: true }, |usage| Purposes {
        server: usage.value.any || usage.value.server_auth,
        client: usage.value.any || usage.value.client_auth,
    }))
}

/// A number's bytes without its leading zeros: two encodings of a serial number are one number.
pub(super) fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
