//! TLS, client certificates, and sockets of Unix.

use std::path::Path;
use std::time::Duration;

use quorate_client::{Client, Error, Tls};
use testkit::pki::{Authority, Request};
use testkit::server::free_port;
use testkit::{Server, pki};

use crate::setup::{lone, program};

/// A member with a listener for TLS beside the plain one. Returns its endpoint too.
fn member(directory: &Path, flags: &[String]) -> (Server, String) {
    let mut server = Server::prepare(&program().expect("Quorate is built"), "default", &[]);
    let secure = format!("127.0.0.1:{}", free_port());
    let mut extra = vec![
        format!("--listen-client-urls=http://{},https://{secure}", server.client_address()),
        format!("--cert-file={}", directory.join("server.crt").display()),
        format!("--key-file={}", directory.join("server.key").display()),
    ];
    extra.extend_from_slice(flags);
    server.set_extra(&extra.iter().map(String::as_str).collect::<Vec<&str>>());
    server.spawn().expect("it starts");
    server.await_serving().expect("it serves");
    (server, secure)
}

async fn get(endpoint: &str, tls: Tls) -> Result<(), Error> {
    let client = Client::builder().endpoints([endpoint]).tls(tls).dial_timeout(Duration::from_secs(20));
    client.connect().await?.get("k").await.map(drop)
}

fn authority(directory: &Path, name: &str) -> Authority {
    let authority = Authority::new(name);
    pki::replace(directory, &format!("{name}.pem"), authority.pem().as_bytes());
    authority
}

#[tokio::test]
async fn a_members_certificate_is_verified() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let ca = authority(directory.path(), "ca");
    authority(directory.path(), "other");
    ca.issue(&Request::named("server")).write(directory.path(), "server");
    let (_server, endpoint) = member(directory.path(), &[]);
    let trusting = || Tls::new().ca_file(path("ca.pem"));
    get(&endpoint, trusting()).await.expect("a read");
    get(&format!("https://{endpoint}"), trusting().server_name("localhost")).await.expect("a read");
    get(&endpoint, Tls::new().skip_verify()).await.expect("a read from anyone");
    for (tls, why) in [
        (trusting().server_name("example.org"), "not valid for name"),
        (Tls::new().ca_file(path("other.pem")), "UnknownIssuer"),
        (Tls::new().ca_file(path("missing.pem")), "missing.pem"),
        (Tls::new().ca_file(path("server.key")), "no certificate"),
    ] {
        let error = get(&endpoint, tls).await.expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    Request::named("server").self_signed().write(directory.path(), "server");
    let (server, secure) = member(directory.path(), &[]);
    for (endpoint, why) in [
        (format!("http://{secure}"), "is reached by https"),
        (format!("https://{}", server.client_address()), "is reached by http"),
        (format!("https://{secure}"), "its certificate has signed itself"),
    ] {
        let client = Client::builder().endpoints([endpoint]).dial_timeout(Duration::from_secs(20));
        let error = client.connect().await.expect("a client").get("k").await.expect_err(why);
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.outcome(), quorate_client::Outcome::NotDone);
    }
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_trusted_if_it_is_given() {
    let directory = tempfile::tempdir().expect("a directory");
    let own = Request::named("server").self_signed();
    let (cert, _) = own.write(directory.path(), "server");
    let (_server, endpoint) = member(directory.path(), &[]);
    get(&endpoint, Tls::new().ca_file(&cert)).await.expect("a read");
    let wrong = get(&endpoint, Tls::new().ca_file(&cert).server_name("example.org")).await;
    assert!(wrong.is_err(), "it has another name");
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_reads_it_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let (ca, other) = (authority(directory.path(), "ca"), authority(directory.path(), "other"));
    ca.issue(&Request::named("server")).write(directory.path(), "server");
    let flags = ["--client-cert-auth".to_owned(), format!("--trusted-ca-file={}", path("ca.pem").display())];
    let (_server, endpoint) = member(directory.path(), &flags);
    let trusting = Tls::new().ca_file(path("ca.pem"));
    get(&endpoint, trusting.clone()).await.expect_err("a certificate is needed");

    let (cert, key) = other.issue(&Request::named("me")).write(directory.path(), "me");
    let client = Client::builder().endpoints([endpoint]).tls(trusting.identity_files(cert, key));
    let client = client.connect().await.expect("a client");
    client.get("k").await.expect_err("nobody knows who signed it");
    ca.issue(&Request::named("me")).write(directory.path(), "me");
    client.get("k").await.expect("a read with the new certificate");
}

#[tokio::test]
async fn a_socket_of_unix_is_an_endpoint() {
    let (server, _client) = lone!();
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
    let member = server.client_address();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut member = tokio::net::TcpStream::connect(&member).await.expect("a member");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut member).await });
        }
    });
    let client = Client::builder().endpoints([format!("unix://{}", socket.display())]);
    client.connect().await.expect("a client").put("k", "v").await.expect("a put");
}
