//! Endpoints: of the command line, or of the records of a domain.

use super::exit::Failure;
use super::global::Globals;
use super::print::note;

/// Returns the endpoints that the global flags name, or that `--discovery-srv` finds.
///
/// # Errors
/// When the domain has no records.
pub async fn endpoints(globals: &Globals) -> Result<Vec<String>, Failure> {
    let domain = globals.text("discovery-srv");
    if domain.is_empty() {
        return Ok(globals.endpoints());
    }
    let suffix = Some(globals.text("discovery-srv-name")).filter(|name| !name.is_empty());
    let mut found = client::discover(domain, suffix).await.map_err(Failure::error)?;
    if !globals.is_on("insecure-discovery") {
        found.retain(|endpoint| is_secure(endpoint));
    }
    Ok(if found.is_empty() { globals.endpoints() } else { found })
}

fn is_secure(endpoint: &str) -> bool {
    let is_secure = !endpoint.starts_with("http://");
    if !is_secure {
        note(format_args!("ignoring discovered insecure endpoint {endpoint:?}"));
    }
    is_secure
}
