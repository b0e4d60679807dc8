//! TLS on both sides of the proxy.

use client::{Client, Tls};
use testkit::pki::{Authority, Request};
use testkit::ports::free_port;
use testkit::{Server, http};

use crate::support::{Proxy, program, run};

#[tokio::test]
async fn members_and_clients_have_certificates_and_the_proxy_is_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Authority::new("test CA");
    let ca_file = directory.path().join("ca.crt");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    for (name, common_name) in [("server", "server"), ("proxy", ""), ("named", "root")] {
        ca.issue(&Request::named(common_name)).write(directory.path(), name);
    }
    let file = |flag: &str, name: &str| format!("--{flag}={}", directory.path().join(name).display());
    let secure = format!("127.0.0.1:{}", free_port());
    let mut member = Server::prepare(&program(), "default", &[]);
    let plain = member.client_address();
    let flags = [
        format!("--listen-client-urls=http://{plain},https://{secure}"),
        format!("--advertise-client-urls=https://{secure}"),
        file("cert-file", "server.crt"),
        file("key-file", "server.key"),
        file("trusted-ca-file", "ca.crt"),
        "--client-cert-auth".to_owned(),
    ];
    member.set_extra(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    member.restart();

    let endpoints = format!("--endpoints=https://{secure}");
    let metrics = free_port();
    let of_proxy = [
        endpoints.clone(),
        file("cacert", "ca.crt"),
        file("cert", "proxy.crt"),
        file("key", "proxy.key"),
        file("cert-file", "server.crt"),
        file("key-file", "server.key"),
        file("trusted-ca-file", "ca.crt"),
        format!("--metrics-addr=http://127.0.0.1:{metrics}"),
    ];
    let proxy = Proxy::start("grpc-proxy", &of_proxy.iter().map(String::as_str).collect::<Vec<_>>());
    let address = format!("https://{}", proxy.address());
    let tls = Tls::new().ca_file(&ca_file);
    let known =
        tls.clone().identity_files(directory.path().join("named.crt"), directory.path().join("named.key"));
    let client = Client::builder().endpoints([address.clone()]).tls(known).connect().await.unwrap();
    client.put("k", "v").await.unwrap();
    assert_eq!(client.get("k").await.unwrap().kvs.len(), 1);
    let stranger = Client::builder().endpoints([address]).tls(tls).connect().await.unwrap();
    assert!(stranger.get("k").await.is_err(), "it has no certificate");
    let members = http::get(&format!("127.0.0.1:{metrics}"), "/metrics");
    assert!(members.status == 200 && members.body.contains("etcd_server_has_leader 1"));

    let cert = directory.path().join("named.crt");
    let refused =
        run(&["grpc-proxy", "start", &endpoints, &file("cert", "named.crt"), &file("key", "named.key")]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains(&format!("cert has non empty Common Name (root): {}", cert.display())), "{said}");
}

#[tokio::test]
async fn a_proxy_makes_a_certificate_if_it_is_told_to() {
    let member = crate::support::member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address(), "--auto-tls"]);
    let address = format!("https://{}", proxy.address());
    let client =
        Client::builder().endpoints([address]).tls(Tls::new().skip_verify()).connect().await.unwrap();
    client.put("k", "v").await.unwrap();
}
