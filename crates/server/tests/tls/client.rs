//! What a client does over TLS: one request by HTTP/1.1, and gRPC.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use testkit::pki::Certificate;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client that trusts these CAs, and shows a certificate if it has one.
pub(crate) fn config(cas: &str, certificate: Option<&Certificate>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(cas.as_bytes()) {
        roots.add(ca.expect("PEM")).expect("a CA");
    }
    let builder = builder().with_root_certificates(roots);
    Arc::new(with_certificate(builder, certificate))
}

/// A client that accepts every member.
pub(crate) fn trusting(certificate: Option<&Certificate>) -> Arc<ClientConfig> {
    let builder = builder().dangerous().with_custom_certificate_verifier(Arc::new(Anyone));
    Arc::new(with_certificate(builder, certificate))
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions")
}

fn with_certificate(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    certificate: Option<&Certificate>,
) -> ClientConfig {
    match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let chain = CertificateDer::pem_slice_iter(certificate.cert.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
            let chain = chain.map(|certificate| certificate.expect("PEM")).collect();
            builder.with_client_auth_cert(chain, key).expect("a certificate with its key")
        }
    }
}

/// `GET path` over TLS: the whole answer, or why there is none.
pub(crate) fn get(address: &str, path: &str, config: &Arc<ClientConfig>) -> Result<String, String> {
    let socket = connect(address).map_err(|error| error.to_string())?;
    exchange(socket, path, config).map_err(|error| error.to_string())
}

/// `POST path` over TLS, in HTTP/1.1.
pub(crate) fn post(
    address: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
    config: &Arc<ClientConfig>,
) -> Result<String, String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    let socket = connect(address).map_err(|error| error.to_string())?;
    encrypted(socket, &request, config).map_err(|error| error.to_string())
}

/// Any request in clear text.
pub(crate) fn say(address: &str, request: &str) -> io::Result<String> {
    let mut socket = connect(address)?;
    socket.write_all(request.as_bytes())?;
    answer_on(socket)
}

/// `GET path` over TLS on a connection that stands.
pub(crate) fn exchange<S: Read + Write>(
    socket: S,
    path: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    encrypted(socket, request.as_bytes(), config)
}

fn encrypted<S: Read + Write>(socket: S, request: &[u8], config: &Arc<ClientConfig>) -> io::Result<String> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(request)?;
    answer_on(stream)
}

/// Reads until the other side closes.
fn answer_on(mut stream: impl Read) -> io::Result<String> {
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ if answer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

pub(crate) fn connect(address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// Puts a key by gRPC on a connection of its own.
pub(crate) async fn put(address: &str, config: &Arc<ClientConfig>, key: &str) -> Result<(), Status> {
    let request = pb::PutRequest { key: key.to_owned().into(), value: "v".into(), ..Default::default() };
    KvClient::new(channel(address, config)).put(request).await.map(drop)
}

/// Reads a key by gRPC on a connection of its own.
pub(crate) async fn read(
    address: &str,
    config: &Arc<ClientConfig>,
    key: &str,
) -> Result<Option<String>, Status> {
    let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
    let reply = KvClient::new(channel(address, config)).range(request).await?.into_inner();
    Ok(reply.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

/// A connection for gRPC, made when it is first used.
pub(crate) fn channel(address: &str, config: &Arc<ClientConfig>) -> Channel {
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let dial = Dial { address: address.to_owned(), config: Arc::new(config) };
    Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect_with_connector_lazy(dial)
}

/// Dials with TLS.
#[derive(Clone)]
struct Dial {
    address: String,
    config: Arc<ClientConfig>,
}

type Dialed = TokioIo<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

impl tower_service::Service<Uri> for Dial {
    type Response = Dialed;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Dialed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Dial { address, config } = self.clone();
        Box::pin(async move {
            let socket = tokio::net::TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").expect("a name");
            Ok(TokioIo::new(tokio_rustls::TlsConnector::from(config).connect(name, socket).await?))
        })
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
