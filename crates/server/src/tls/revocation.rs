//! Certificates that were revoked.
//!
//! As in etcd, a certificate counts as revoked if its serial number is on the list, whichever CA has issued it; and one
//! revoked certificate of the chain that the other sends is enough. A list that is overdue still holds.

use std::collections::HashSet;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::facts::{Facts, significant};

/// The serial numbers of all lists of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked {
    serials: HashSet<Vec<u8>>,
    /// When the first of the lists is overdue, in seconds since 1970.
    pub(super) next_update: Option<i64>,
}

impl Revoked {
    /// Adds a list.
    ///
    /// # Errors
    /// The parser's reason.
    pub(super) fn add(&mut self, list: &[u8]) -> Result<(), String> {
        let (_, list) = CertificateRevocationList::from_der(list).map_err(|error| error.to_string())?;
        let serials =
            list.iter_revoked_certificates().map(|revoked| significant(revoked.raw_serial()).to_vec());
        self.serials.extend(serials);
        let next_update = list.next_update().map(|time| time.timestamp());
        self.next_update = [self.next_update, next_update].into_iter().flatten().min();
        Ok(())
    }

    /// Returns the serial number of the first certificate that was revoked, in hexadecimal. A certificate that cannot be
    /// read counts as revoked.
    pub(super) fn first_of<'a>(
        &self,
        chain: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Option<String> {
        chain.into_iter().find_map(|certificate| match Facts::of(certificate) {
            Ok(facts) if self.serials.contains(&facts.serial) => Some(hex(&facts.serial)),
            Ok(_) => None,
            Err(_) => Some("unreadable".to_owned()),
        })
    }

    /// How many certificates are on the lists.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.serials.len()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
