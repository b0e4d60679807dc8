//! The one way from a socket that somebody has connected to a TLS stream.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::facts::Facts;
use super::files::Files;
use super::material::Material;
use super::policy::Policy;
use super::reason::reason;
use super::verify::Clients;
use super::wire::{Stream, Wire};
use super::{TlsError, address};
use crate::config::tls::TlsSide;
use crate::limits::LINGER_TIME;
use crate::logging::messages;
use crate::metrics::tls::Endpoint;

/// Whom a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Clients.
    Clients,
    /// Other members.
    Peers,
}

impl From<Role> for Endpoint {
    fn from(role: Role) -> Self {
        match role {
            Role::Clients => Self::Client,
            Role::Peers => Self::Peer,
        }
    }
}

/// The common name of a client's certificate, verified on this very connection: who the client is, unless it brings a
/// token (rule S5). Requests that reach a member in another way never carry one. Empty if the certificate has no common
/// name: as in etcd its owner is then a user who does not exist, and not a client without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateName(Arc<str>);

impl CertificateName {
    /// Returns the name, to be kept.
    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> CertificateName {
        CertificateName(name.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A connection after its handshake.
pub(crate) struct Secured {
    /// The stream.
    pub(crate) stream: TlsStream<Wire>,
    /// Who has connected; `None` without `--client-cert-auth`, and on connections of peers.
    pub(crate) name: Option<CertificateName>,
}

/// A connection that is to be served.
pub(crate) struct Delivery {
    /// The stream; its socket is detached.
    pub(crate) stream: Stream,
    /// As in [`Secured`].
    pub(crate) name: Option<CertificateName>,
}

/// Why a connection is not taken.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Rejection {
    text: String,
    /// The name that the client asked for, if it came so far.
    server_name: String,
    /// The certificate, if it was verified.
    facts: Option<Facts>,
    /// The other side has closed the connection, as port scanners and health checks do.
    is_end: bool,
}

/// Accepts connections as the files say at that moment.
pub(crate) struct Acceptor {
    role: Role,
    side: TlsSide,
    files: Arc<Files>,
    policy: Policy,
    built: Mutex<Built>,
}

/// A configuration, and what it was made of.
struct Built {
    material: Arc<Material>,
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// An acceptor for all listeners of a side.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn new(
        role: Role,
        side: &TlsSide,
        files: Arc<Files>,
        policy: &Policy,
    ) -> Result<Arc<Acceptor>, TlsError> {
        let material = files.current();
        let config = build(role, side, &material, policy)?;
        let built = Mutex::new(Built { material, config });
        Ok(Arc::new(Acceptor { role, side: side.clone(), files, policy: policy.clone(), built }))
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// The configuration of the next handshake.
    fn config(&self) -> Arc<ServerConfig> {
        let material = self.files.current();
        let mut built = self.built.lock();
        if !Arc::ptr_eq(&material, &built.material) {
            match build(self.role, &self.side, &material, &self.policy) {
                Ok(config) => built.config = config,
                Err(error) => {
                    tracing::error!(error = %error, "TLS files cannot be used; what was in them before is used on")
                }
            }
            built.material = material;
        }
        built.config.clone()
    }

    /// Makes the handshake, and checks who it is. Sets no deadline.
    ///
    /// # Errors
    /// Why the connection must not be served.
    pub(crate) async fn accept(&self, wire: Wire) -> Result<Secured, Rejection> {
        let from = wire.remote();
        let greeted = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), wire).await;
        let greeted = greeted.map_err(|error| Rejection::of(&error, ""))?;
        let server_name = greeted.client_hello().server_name().unwrap_or_default().to_owned();
        let stream = match greeted.into_stream(self.config()).into_fallible().await {
            Ok(stream) => stream,
            Err((error, wire)) => {
                let rejection = Rejection::of(&error, &server_name);
                if !rejection.is_end {
                    linger(wire).await;
                }
                return Err(rejection);
            }
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        let Some(leaf) = leaf else { return Ok(Secured { stream, name: None }) };
        if let (Role::Peers, false, Some(from)) = (self.role, self.side.skip_client_san_verification, from)
            && let Err(text) = address::check(&leaf, from.ip()).await
        {
            return Err(Rejection { text, server_name, facts: Facts::of(&leaf).ok(), is_end: false });
        }
        let name = match (self.role, self.side.client_cert_auth) {
            (Role::Clients, true) => Facts::of(&leaf).ok().map(|facts| facts.common_name.unwrap_or_default()),
            _ => None,
        };
        Ok(Secured { stream, name: name.map(|name| CertificateName(name.into())) })
    }
}

/// Ends a connection whose client has been sent why: closed on this side, it is read until the client has closed it too, for a
/// while. A client of TLS 1.3 takes the handshake for done and goes on writing; a connection that is closed with something
/// unread is reset, and the client would learn of that and not of the reason (RFC 9112, section 9.6).
async fn linger(mut wire: Wire) {
    let read = async {
        let mut unread = [0; 1024];
        if wire.shutdown().await.is_ok() {
            while wire.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME, read).await;
}

fn build(
    role: Role,
    side: &TlsSide,
    material: &Material,
    policy: &Policy,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(policy.provider.clone())
        .with_protocol_versions(policy.versions)?;
    let builder = if side.requires_client_cert() {
        let clients = Clients::new(
            material.roots(),
            material.revoked.clone(),
            side.allowed.clone(),
            policy.provider.clone(),
        );
        builder.with_client_cert_verifier(clients.ok_or_else(|| no_roots(role))?)
    } else {
        builder.with_no_client_auth()
    };
    let own =
        material.own.as_ref().expect("a listener with TLS has a certificate: the settings were checked");
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified.clone())));
    config.alpn_protocols = match role {
        Role::Clients => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Role::Peers => vec![b"http/1.1".to_vec()],
    };
    // A session that is resumed is not verified again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

pub(super) fn no_roots(role: Role) -> TlsError {
    match role {
        Role::Clients => TlsError::NoRoots { whom: "clients", flag: "--trusted-ca-file" },
        Role::Peers => TlsError::NoRoots { whom: "peers", flag: "--peer-trusted-ca-file" },
    }
}

impl Rejection {
    pub(super) fn of(error: &io::Error, server_name: &str) -> Rejection {
        let is_end = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
        Rejection { text: reason(error), server_name: server_name.to_owned(), facts: None, is_end }
    }

    /// A handshake that took too long.
    pub(super) fn too_slow(limit: std::time::Duration) -> Rejection {
        let text = format!("i/o timeout: no TLS handshake within {limit:?}");
        Rejection { text, server_name: String::new(), facts: None, is_end: false }
    }

    /// A handshake that had to make room.
    pub(super) fn evicted() -> Rejection {
        let text = "too many TLS handshakes under way: the oldest was given up".to_owned();
        Rejection { text, server_name: String::new(), facts: None, is_end: false }
    }

    /// Whether a line about it is worth a warning; etcd too hides those that come and go.
    pub(super) fn is_end(&self) -> bool {
        self.is_end
    }

    /// Writes etcd's line. `suppressed` others like it were not written.
    pub(super) fn log(&self, role: Role, remote: &str, suppressed: u64) {
        let message = match role {
            Role::Clients => messages::REJECTED_CLIENT,
            Role::Peers => messages::REJECTED_PEER,
        };
        let (server_name, error) = (&self.server_name, &self.text);
        // A field that is `None` is not written.
        let suppressed = (suppressed > 0).then_some(suppressed);
        match &self.facts {
            _ if self.is_end => {
                tracing::debug!("remote-addr" = remote, "server-name" = server_name, error, "{message}");
            }
            Some(facts) => tracing::warn!(
                "remote-addr" = remote,
                "server-name" = server_name,
                "ip-addresses" = ?facts.addresses,
                "dns-names" = ?facts.dns_names,
                error,
                suppressed,
                "{message}"
            ),
            None => {
                tracing::warn!(
                    "remote-addr" = remote,
                    "server-name" = server_name,
                    error,
                    suppressed,
                    "{message}"
                );
            }
        }
    }
}
