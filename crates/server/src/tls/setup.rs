//! TLS of a whole member, put together once at its start.

use std::sync::Arc;

use super::TlsError;
use super::acceptor::{Acceptor, Role};
use super::auto;
use super::connector::{Connector, Trust};
use super::files::Files;
use super::policy::Policy;
use crate::config::tls::{TlsProtocol, TlsSide};
use crate::config::{Config, Url};
use crate::metrics::Metrics;

/// Everything a member needs for TLS.
pub(crate) struct Setup {
    /// For listeners for clients (gRPC, HTTP, metrics); `None` if none of them has TLS.
    pub(crate) clients: Option<Arc<Acceptor>>,
    /// For listeners for peers; `None` if none of them has TLS.
    pub(crate) peers: Option<Arc<Acceptor>>,
    /// For connections to peers.
    pub(crate) connector: Arc<Connector>,
}

impl Setup {
    /// Reads the files that the settings name, and makes the certificates that they ask for.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn new(config: &Config, metrics: &Arc<Metrics>) -> Result<Setup, TlsError> {
        let policy = Policy::new(&config.tls.protocol)?;
        let (peer, trust) = with_own(Role::Peers, config)?;
        report(Role::Peers, &peer, &config.listen.peer);
        let files = Files::open(&peer, &policy, metrics.clone())?;
        let peers = match config.listen.peer.iter().any(Url::is_secure) {
            true => Some(Acceptor::new(Role::Peers, &peer, files.clone(), &policy)?),
            false => None,
        };
        let connector = Connector::new(&peer, trust, server_name(config), files, &policy);
        Ok(Setup { clients: clients(config, &policy, metrics)?, peers, connector })
    }
}

/// Returns the acceptor of the listeners of a proxy.
///
/// # Errors
/// What is wrong with the settings or a file.
pub(crate) fn acceptor_of_proxy(
    side: &TlsSide,
    protocol: &TlsProtocol,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Acceptor>, TlsError> {
    let policy = Policy::new(protocol)?;
    let files = Files::open(side, &policy, metrics.clone())?;
    Acceptor::new(Role::Clients, side, files, &policy)
}

fn clients(
    config: &Config,
    policy: &Policy,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Acceptor>>, TlsError> {
    let listen = &config.listen;
    let urls: Vec<Url> =
        [&listen.client, &listen.client_http, &listen.metrics].into_iter().flatten().cloned().collect();
    if !urls.iter().any(Url::is_secure) {
        report(Role::Clients, &config.tls.client, &urls);
        return Ok(None);
    }
    let (side, _) = with_own(Role::Clients, config)?;
    report(Role::Clients, &side, &urls);
    let files = Files::open(&side, policy, metrics.clone())?;
    Acceptor::new(Role::Clients, &side, files, policy).map(Some)
}

/// The side's settings with a certificate of its own, which is made if the settings say so and name none; and whose
/// certificates it accepts when it connects.
fn with_own(role: Role, config: &Config) -> Result<(TlsSide, Trust), TlsError> {
    let (side, flag, directory, listen) = match role {
        Role::Clients => {
            let listen = [&config.listen.client, &config.listen.client_http];
            (&config.tls.client, "--auto-tls", "client", listen.map(Vec::as_slice).concat())
        }
        Role::Peers => (&config.tls.peer, "--peer-auto-tls", "peer", config.listen.peer.clone()),
    };
    let mut side = side.clone();
    if !side.auto {
        return Ok((side, Trust::Verified));
    }
    if side.own.is_some() {
        tracing::warn!(flag, "ignoring auto TLS since certs given");
        return Ok((side, Trust::Verified));
    }
    let hosts: Vec<String> =
        listen.iter().filter_map(|url| url.host_port()).map(|(host, _)| host.to_owned()).collect();
    let directory = config.data_dir.join("fixtures").join(directory);
    side.own = Some(auto::ensure(&directory, &hosts, config.tls.self_signed_years)?);
    Ok((side, Trust::Anyone))
}

/// With members from the DNS and no CA of the cluster's own, all certificates are for the domain, as in etcd: the hosts
/// that the records name prove nothing.
fn server_name(config: &Config) -> Option<String> {
    let discovery = config.cluster.discovery.as_ref().filter(|_| config.tls.peer.trusted_ca.is_none());
    discovery.and_then(|discovery| discovery.domain()).map(str::to_owned)
}

/// Writes etcd's lines about the settings.
fn report(role: Role, side: &TlsSide, urls: &[Url]) {
    let shown =
        |path: Option<&std::path::PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
    if side.own.is_none() {
        return;
    }
    let pair = |files: &Option<crate::config::tls::KeyFiles>| {
        (shown(files.as_ref().map(|files| &files.cert)), shown(files.as_ref().map(|files| &files.key)))
    };
    let ((cert, key), (client_cert, client_key)) = (pair(&side.own), pair(&side.outgoing));
    let info = format!(
        "cert = {cert}, key = {key}, client-cert={client_cert}, client-key={client_key}, trusted-ca = {}, \
         client-cert-auth = {}, crl-file = {}",
        shown(side.trusted_ca.as_ref()),
        side.client_cert_auth,
        shown(side.crl.as_ref())
    );
    match role {
        Role::Clients => tracing::info!("tls-info" = info, "starting with client TLS"),
        Role::Peers => tracing::info!("tls-info" = info, "starting with peer TLS"),
    }
    for url in urls.iter().filter(|url| !url.is_secure()) {
        report_plain(role, side, url);
    }
}

fn report_plain(role: Role, side: &TlsSide, url: &Url) {
    match role {
        Role::Clients => {
            tracing::warn!("client-url" = %url, "scheme is http or unix while key and cert files are present; ignoring key and cert files");
            if side.client_cert_auth {
                tracing::warn!("client-url" = %url, "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL");
            }
        }
        Role::Peers => {
            tracing::warn!("peer-url" = %url, "scheme is HTTP while key and cert files are present; ignoring key and cert files");
            if side.client_cert_auth {
                tracing::warn!("peer-url" = %url, "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for this URL");
            }
        }
    }
}
