//! TLS without a member around it: certificates of all kinds, against the production acceptor and connector.

mod certificates;
mod files;
mod handshakes;
mod loading;
mod outgoing;
mod protocol;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use testkit::pki::{Authority, Certificate, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::acceptor::{Acceptor, Rejection, Role, Secured};
use super::files::Files;
use super::policy::Policy;
use super::reason::reason;
use super::wire::{Detached, Wire};
use crate::config::tls::{KeyFiles, TlsProtocol, TlsSide, TlsVersion};
use crate::config::{Config, MetricsDetail};
use crate::metrics::Metrics;

/// A directory of certificates, and who has signed them.
struct Stage {
    directory: TempDir,
    ca: Authority,
    metrics: Arc<Metrics>,
}

impl Stage {
    fn new() -> Stage {
        let directory = tempfile::tempdir().unwrap();
        Stage {
            directory,
            ca: Authority::new("test CA"),
            metrics: Arc::new(crate::metrics::of_server(MetricsDetail::Basic)),
        }
    }

    /// Writes a file, in place of one of the same name.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        testkit::pki::replace(self.directory.path(), name, bytes.as_ref())
    }

    fn write_pair(&self, name: &str, certificate: &Certificate) -> KeyFiles {
        let (cert, key) = certificate.write(self.directory.path(), name);
        KeyFiles { cert, key }
    }

    /// A side with a certificate that serves `localhost` and 127.0.0.1, and demands nothing.
    fn open_side(&self) -> TlsSide {
        let own = self.write_pair("own", &self.ca.issue(&Request::named("server")));
        TlsSide { own: Some(own), ..TlsSide::default() }
    }

    /// The same; and certificates of the CA are demanded.
    fn verifying_side(&self) -> TlsSide {
        let trusted_ca = Some(self.write("ca.crt", self.ca.pem()));
        TlsSide { trusted_ca, client_cert_auth: true, ..self.open_side() }
    }

    fn files(&self, side: &TlsSide) -> Arc<Files> {
        Files::open(side, &policy(), self.metrics.clone()).unwrap()
    }

    fn acceptor(&self, role: Role, side: &TlsSide) -> Arc<Acceptor> {
        Acceptor::new(role, side, self.files(side), &policy()).unwrap()
    }

    /// A client that trusts the CA, and shows a certificate if it has one.
    fn client(&self, certificate: Option<&Certificate>) -> ClientConfig {
        self.client_with(certificate, &policy())
    }

    fn client_with(&self, certificate: Option<&Certificate>, policy: &Policy) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(policy.provider.clone())
            .with_protocol_versions(policy.versions)
            .unwrap()
            .with_root_certificates(roots);
        match certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let chain = CertificateDer::pem_slice_iter(certificate.cert.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        }
    }
}

fn policy() -> Policy {
    Policy::new(&TlsProtocol { min: TlsVersion::V12, max: None, cipher_suites: Vec::new() }).unwrap()
}

fn policy_of(version: TlsVersion) -> Policy {
    Policy::new(&TlsProtocol { min: version, max: Some(version), cipher_suites: Vec::new() }).unwrap()
}

/// Two ends of a connection: that of the acceptor, and that of the client.
async fn connection() -> (Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    (Detached::Tcp(accepted.into_std().unwrap()).attach().unwrap(), client)
}

/// What each end thinks of a handshake. The client's opinion is that after it has read something: with TLS 1.3 it hears
/// only then that its certificate is not wanted.
async fn handshake(
    acceptor: &Acceptor,
    client: ClientConfig,
) -> (Result<Secured, Rejection>, Result<(), String>) {
    let (accepted, socket) = connection().await;
    let dial = async {
        let connector = TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, socket).await.map_err(|error| reason(&error))?;
        stream.read_u8().await.map(drop).map_err(|error| reason(&error))
    };
    let accept = async {
        let mut secured = acceptor.accept(accepted).await?;
        secured.stream.write_all(&[1]).await.unwrap();
        secured.stream.flush().await.unwrap();
        Ok(secured)
    };
    tokio::join!(accept, dial)
}

/// The common name of a client that was accepted, or why it was not.
async fn admitted(acceptor: &Acceptor, client: ClientConfig) -> Result<Option<String>, String> {
    let (accepted, heard) = handshake(acceptor, client).await;
    assert_eq!(accepted.is_ok(), heard.is_ok(), "both ends agree: {heard:?}");
    match accepted {
        Ok(secured) => Ok(secured.name.map(|name| name.as_str().to_owned())),
        Err(rejection) => Err(rejection.to_string()),
    }
}

/// A configuration with these flags.
fn config(flags: &[&str]) -> Result<Config, String> {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    match Config::load(&flags, &[]) {
        Ok(crate::config::Invocation::Serve(config)) => Ok(*config),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}
