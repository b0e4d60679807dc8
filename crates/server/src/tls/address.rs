//! Whether a peer comes from where its certificate says.
//!
//! As in etcd: a certificate that names addresses or hosts may be used from those only. An address must be the one that
//! the connection comes from; a host name must lead to it in the DNS, or the DNS must lead from it to the name. A
//! certificate that names neither may be used from anywhere, and `--peer-skip-client-san-verification` switches all of
//! it off.

use std::net::IpAddr;

use hickory_resolver::proto::rr::RData;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use rustls::pki_types::CertificateDer;

use super::facts::Facts;
use super::reason::not_valid_for;

/// Checks a certificate against the address that its connection comes from.
///
/// # Errors
/// etcd's text.
pub(super) async fn check(certificate: &CertificateDer<'_>, from: IpAddr) -> Result<(), String> {
    let facts = Facts::of(certificate)?;
    // Of an IPv4 connection on an IPv6 socket, the IPv4 address.
    let from = from.to_canonical();
    if (facts.addresses.is_empty() && facts.dns_names.is_empty()) || facts.addresses.contains(&from) {
        return Ok(());
    }
    if facts.dns_names.is_empty() {
        let addresses: Vec<String> = facts.addresses.iter().map(IpAddr::to_string).collect();
        return Err(not_valid_for(&from.to_string(), &addresses));
    }
    if leads_to(&facts.dns_names, from).await || is_named(&facts.dns_names, from).await {
        return Ok(());
    }
    Err(format!("tls: {:?} does not match any of DNSNames {:?}", from.to_string(), facts.dns_names))
}

/// Returns whether one of the names has this address. What cannot be looked up has none.
async fn leads_to(names: &[String], address: IpAddr) -> bool {
    for name in names.iter().filter(|name| !name.starts_with("*.")) {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        if found.is_ok_and(|mut found| found.any(|found| found.ip().to_canonical() == address)) {
            return true;
        }
    }
    false
}

/// Returns whether the DNS calls this address by one of the names, or by one that a wildcard covers.
async fn is_named(names: &[String], address: IpAddr) -> bool {
    let Ok(resolver) = TokioResolver::builder_tokio().and_then(ResolverBuilder::build) else { return false };
    let Ok(found) = resolver.reverse_lookup(address).await else { return false };
    found.answers().iter().any(|record| match &record.data {
        RData::PTR(name) => covers(names, name.to_string().trim_end_matches('.')),
        _ => false,
    })
}

fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| match name.strip_prefix('*') {
        // As in etcd, whatever ends so: `*.example.org` covers `a.b.example.org` too.
        Some(suffix) if suffix.starts_with('.') => host.ends_with(suffix),
        _ => name == host,
    })
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_covers_what_ends_so() {
        let names = ["*.example.org".to_owned(), "other.net".to_owned()];
        for (host, is_covered) in [
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("other.net", true),
            ("example.org", false),
            ("an.other.net", false),
            ("aexample.org", false),
        ] {
            assert_eq!(covers(&names, host), is_covered, "{host}");
        }
    }
}
