//! The one way from a socket that was connected to another member to a TLS stream.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TlsError;
use super::acceptor::{Role, no_roots};
use super::files::Files;
use super::material::Material;
use super::policy::Policy;
use super::reason::reason;
use super::verify::{Anyone, Servers};
use crate::config::tls::TlsSide;

/// Why there is no TLS with another member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It is dialed by something that a certificate cannot name.
    #[error("{0:?} is no host that a certificate could name")]
    Name(String),
    /// It cannot be tried.
    #[error(transparent)]
    Setup(#[from] Arc<TlsError>),
    /// The handshake has failed.
    #[error("{0}")]
    Handshake(String),
}

/// Whose certificates are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those that a CA has signed, and that the flags allow.
    Verified,
    /// All: members make theirs themselves (`--peer-auto-tls`).
    Anyone,
}

/// Connects as the files say at that moment. Cheap to share.
pub(crate) struct Connector {
    side: TlsSide,
    trust: Trust,
    /// What all other members' certificates must name, in place of the hosts that are dialed (`--discovery-srv`).
    server_name: Option<String>,
    files: Arc<Files>,
    policy: Policy,
    built: Mutex<Option<Built>>,
}

struct Built {
    material: Arc<Material>,
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("side", &self.side)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector for all outgoing connections of a side. Whether there are CAs to verify with turns out with the first
    /// of them: a cluster without TLS needs none.
    pub(crate) fn new(
        side: &TlsSide,
        trust: Trust,
        server_name: Option<String>,
        files: Arc<Files>,
        policy: &Policy,
    ) -> Arc<Connector> {
        let built = Mutex::new(None);
        Arc::new(Connector { side: side.clone(), trust, server_name, files, policy: policy.clone(), built })
    }

    /// A connector that has nothing and trusts the system's CAs.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Arc<Connector> {
        use crate::config::Config;
        let metrics = Arc::new(crate::metrics::of_server(crate::config::MetricsDetail::Basic));
        super::Setup::new(&Config::default(), &metrics).expect("the defaults name no files").connector
    }

    /// Makes the handshake with the host that was dialed. Sets no deadline.
    ///
    /// # Errors
    /// Why not. With TLS 1.3 a certificate that the other side does not want shows at the first read only.
    pub(crate) async fn connect<S>(
        self: &Arc<Self>,
        host: &str,
        socket: S,
    ) -> Result<TlsStream<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Name(host.to_owned()))?;
        // Files may be on a disk that hangs, and the caller's thread has other peers to serve.
        let connector = self.clone();
        let config = tokio::task::spawn_blocking(move || connector.config())
            .await
            .map_err(|error| ConnectError::Handshake(error.to_string()))?;
        let stream = TlsConnector::from(config.map_err(Arc::new)?).connect(name, socket).await;
        stream.map_err(|error: io::Error| ConnectError::Handshake(reason(&error)))
    }

    /// The configuration of the next handshake.
    fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let material = self.files.current();
        let mut built = self.built.lock();
        if let Some(built) = built.as_ref().filter(|built| Arc::ptr_eq(&built.material, &material)) {
            return Ok(built.config.clone());
        }
        let config = self.build(&material)?;
        *built = Some(Built { material, config: config.clone() });
        Ok(config)
    }

    fn build(&self, material: &Material) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = &self.policy.provider;
        let verifier: Arc<dyn ServerCertVerifier> = match self.trust {
            Trust::Anyone => Anyone::new(provider),
            Trust::Verified => Servers::new(
                material.roots(),
                material.revoked.clone(),
                self.side.allowed.clone(),
                provider.clone(),
            )
            .ok_or_else(|| no_roots(Role::Peers))?,
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.policy.versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match material.outgoing.as_ref().or(material.own.as_ref()) {
            Some(pair) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.certified.clone())))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}
