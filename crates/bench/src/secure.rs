//! Servers with TLS and with users: certificates for a run, the flags that go with them, and the user of the load.
//!
//! The certificates are made anew for each server, live in its directory and go with it. All keys are of the curve P-256.

use crate::client::{Connection, Keep};
use crate::endpoint::{self, Access, Endpoint};
use crate::messages::{self, path};
use anyhow::Context;
use clap::ValueEnum;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The user of the load, who may read and write every key.
pub(crate) const USER: &str = "bench";

/// The password of every user.
pub(crate) const PASSWORD: &str = "of no importance";

/// One thing that a server is secured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Secure {
    /// Clients connect with TLS.
    Tls,
    /// Members connect with TLS, each with a certificate.
    PeerTls,
    /// Users are checked; the load has a token.
    Users,
    /// Users are checked; the load is known by its certificate (with TLS).
    Certificates,
}

/// What a server is secured with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Security(pub(crate) Vec<Secure>);

impl Security {
    fn has(&self, secure: Secure) -> bool {
        self.0.contains(&secure)
    }

    /// Returns whether clients connect with TLS.
    pub(crate) fn tls(&self) -> bool {
        self.has(Secure::Tls) || self.has(Secure::Certificates)
    }

    /// Returns whether members connect to each other with TLS.
    pub(crate) fn peer_tls(&self) -> bool {
        self.has(Secure::PeerTls)
    }

    /// Returns whether users are checked.
    pub(crate) fn users(&self) -> bool {
        self.has(Secure::Users) || self.has(Secure::Certificates)
    }
}

/// The certificates of one server.
pub(crate) struct Certificates {
    authority: PathBuf,
    member: (PathBuf, PathBuf),
    client: (PathBuf, PathBuf),
}

impl Certificates {
    /// Makes an authority, the members' certificate and the load's, and writes them below `directory`.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Certificates> {
        let key = KeyPair::generate()?;
        let mut params = params("quorate-bench");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = directory.join("ca.pem");
        std::fs::write(&authority, params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Certificates {
            authority,
            member: issue(&issuer, directory, "member")?,
            client: issue(&issuer, directory, USER)?,
        })
    }

    /// Returns the flags of a member that is secured as `security` says.
    pub(crate) fn flags(&self, security: &Security) -> Vec<String> {
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut flags = Vec::new();
        if security.tls() {
            flags.push(flag("cert-file", &self.member.0));
            flags.push(flag("key-file", &self.member.1));
        }
        if security.has(Secure::Certificates) {
            // A trusted authority alone makes etcd ask every client for a certificate.
            flags.push(flag("trusted-ca-file", &self.authority));
            flags.push("--client-cert-auth".into());
        }
        if security.peer_tls() {
            flags.push(flag("peer-cert-file", &self.member.0));
            flags.push(flag("peer-key-file", &self.member.1));
            flags.push(flag("peer-trusted-ca-file", &self.authority));
            flags.push("--peer-client-cert-auth".into());
        }
        flags
    }

    /// Returns what a client presents before it has a token.
    pub(crate) fn access(&self, security: &Security) -> anyhow::Result<Access> {
        let tls = security.tls().then(|| self.connector(security)).transpose()?;
        Ok(Access { tls, token: None })
    }

    fn connector(&self, security: &Security) -> anyhow::Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = if security.has(Secure::Certificates) {
            let chain = vec![CertificateDer::from_pem_file(&self.client.0)?];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&self.client.1)?)?
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Each connection is a new one: what a handshake costs is one of the figures.
        config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Writes a certificate and its key for use on both ends of a loopback connection; returns both files.
fn issue(issuer: &Issuer<'_, KeyPair>, directory: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let mut params = params(name);
    params.subject_alt_names = CertificateParams::new(vec!["127.0.0.1".into()])?.subject_alt_names;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let files = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    std::fs::write(&files.0, params.signed_by(&key, issuer)?.pem())?;
    std::fs::write(&files.1, key.serialize_pem())?;
    Ok(files)
}

/// Makes the users and switches their checks on; returns what the load presents from now on.
pub(crate) async fn enable_users(
    endpoint: &Endpoint,
    mut access: Access,
    security: &Security,
) -> anyhow::Result<Access> {
    let connection = Connection::open(endpoint).await?;
    for (path, request) in [
        (path::USER_ADD, messages::name_and_password("root", PASSWORD)),
        (path::ROLE_ADD, messages::name("root")),
        (path::USER_GRANT_ROLE, messages::name_and_role("root", "root")),
        (path::USER_ADD, messages::name_and_password(USER, PASSWORD)),
        (path::ROLE_ADD, messages::name("all")),
        (path::ROLE_GRANT_PERMISSION, messages::grant_all_keys("all")),
        (path::USER_GRANT_ROLE, messages::name_and_role(USER, "all")),
        (path::AUTH_ENABLE, messages::empty()),
    ] {
        connection.client(path).call(request, Keep::Head).await.with_context(|| path.to_owned())?;
    }
    if security.has(Secure::Users) {
        let request = messages::name_and_password(USER, PASSWORD);
        let reply = connection.client(path::AUTHENTICATE).call(request, Keep::Whole).await?;
        access.token = Some(endpoint::token(&messages::token(&reply.message)?)?);
    }
    Ok(access)
}
