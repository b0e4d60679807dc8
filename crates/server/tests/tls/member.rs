//! One member and its clients.

use std::io::{Read, Write};
use std::process::Command;

use testkit::pki::{Authority, Request};
use testkit::wait;

use crate::client::{config, connect, get, put, read, trusting};
use crate::{Kit, start_secured};

fn wait_logged(server: &testkit::Server, words: &[&str]) {
    wait::until(&format!("{words:?} in the log"), || {
        let log = server.log();
        log.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
}

#[tokio::test]
async fn only_a_client_with_a_certificate_is_served() {
    let kit = Kit::new();
    let (server, secure) = start_secured(&kit.client_flags());
    let with = |certificate| config(&kit.ca.pem(), Some(certificate));
    let alice = kit.client("alice");
    put(&secure, &with(&alice), "key").await.expect("a put with a certificate");
    assert_eq!(read(&secure, &with(&alice), "key").await.expect("a read").as_deref(), Some("v"));
    let answer = get(&secure, "/health", &with(&alice)).expect("HTTP on the same port");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"health":"true","reason":""}"#),
        "{answer}"
    );
    let stranger = Authority::new("another").issue(&Request::named("alice"));
    assert!(put(&secure, &with(&stranger), "key").await.is_err());
    assert!(put(&secure, &config(&kit.ca.pem(), None), "key").await.is_err());
    assert!(get(&secure, "/health", &config(&kit.ca.pem(), None)).is_err());
    for reason in [
        "tls: client didn't provide a certificate",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ] {
        let words = [
            "\"level\":\"warn\"",
            "rejected connection on client endpoint",
            "\"remote-addr\":\"127.0.0.1:",
            reason,
        ];
        wait_logged(&server, &words);
    }
    wait_logged(&server, &["serving client traffic securely", &secure]);
    let metrics = testkit::http::get(&server.client_address(), "/metrics").body;
    for family in
        ["quorate_tls_expiry_days{file=", "quorate_tls_handshakes_total{endpoint=\"client\",result=\"ok\"}"]
    {
        assert!(metrics.contains(family), "{family} in\n{metrics}");
    }
}

/// etcd's command-line client, in Go.
#[test]
fn etcdctl_is_served_with_its_certificate() {
    let name = "etcdctl_is_served_with_its_certificate";
    let version = Command::new("etcdctl").arg("version").output();
    testkit::require!(name, version.map(drop).map_err(|error| format!("no etcdctl: {error}")));
    let kit = Kit::new();
    let (_server, secure) = start_secured(&kit.client_flags());
    let (cert, key) = kit.client("alice").write(kit.path(), "alice");
    let call = |certificate: &[&str], words: &[&str]| {
        let endpoint = format!("--endpoints=https://{secure}");
        let cacert = format!("--cacert={}", kit.file("ca.crt"));
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args([&endpoint, &cacert])
            .args(["--dial-timeout=10s", "--command-timeout=10s"])
            .args(certificate)
            .args(words)
            .output()
            .expect("etcdctl runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (cert, key) = (format!("--cert={}", cert.display()), format!("--key={}", key.display()));
    let own = [cert.as_str(), key.as_str()];
    assert_eq!(call(&own, &["put", "k", "v"]), (true, "OK\n".to_owned()));
    assert_eq!(call(&own, &["get", "k", "--print-value-only"]), (true, "v\n".to_owned()));
    assert!(call(&own, &["endpoint", "health"]).0);
    assert!(!call(&["--command-timeout=2s"], &["get", "k"]).0, "without a certificate");
}

/// The list of revoked certificates holds on the gRPC listener, that for HTTP and that for metrics, when each has an
/// address of its own: with etcd it did not on the first (CVE-2026-59818).
#[tokio::test]
async fn cve_2026_59818_a_revoked_certificate_is_refused_on_every_listener() {
    let kit = Kit::new();
    let (good, bad) = (kit.client("good"), kit.client("bad"));
    kit.write("clients.crl", kit.ca.revoke(&[&bad]));
    let [http, metrics] = [0; 2].map(|_| format!("127.0.0.1:{}", testkit::ports::free_port()));
    let mut flags = kit.client_flags();
    flags.extend([
        format!("--client-crl-file={}", kit.file("clients.crl")),
        format!("--listen-metrics-urls=https://{metrics}"),
    ]);
    // The test asks the plain HTTP listener whether the member serves.
    let (mut server, grpc) = crate::secured("default", &[]);
    let plain = server.client_address();
    flags.extend([
        format!("--listen-client-urls=https://{grpc}"),
        format!("--listen-client-http-urls=http://{plain},https://{http}"),
        format!("--advertise-client-urls=https://{grpc}"),
    ]);
    crate::set_extra(&mut server, &flags);
    server.restart();
    let with = |certificate| config(&kit.ca.pem(), Some(certificate));
    put(&grpc, &with(&good), "key").await.expect("gRPC, not revoked");
    put(&grpc, &with(&bad), "key").await.expect_err("gRPC, revoked");
    for (address, path) in [(&http, "/version"), (&metrics, "/metrics")] {
        get(address, path, &with(&good)).expect("HTTP, not revoked");
        get(address, path, &with(&bad)).expect_err("HTTP, revoked");
    }
    wait_logged(
        &server,
        &["rejected connection on client endpoint", "transport: certificate serial ", " revoked"],
    );
}

#[tokio::test]
async fn a_list_of_revoked_certificates_is_read_again_while_the_member_runs() {
    let kit = Kit::new();
    let (alice, bob) = (kit.client("alice"), kit.client("bob"));
    kit.write("clients.crl", kit.ca.revoke(&[]));
    let mut flags = kit.client_flags();
    flags.push(format!("--client-crl-file={}", kit.file("clients.crl")));
    let (server, secure) = start_secured(&flags);
    let with = |certificate| config(&kit.ca.pem(), Some(certificate));
    put(&secure, &with(&alice), "a").await.expect("nobody is revoked");
    kit.write("clients.crl", kit.ca.revoke(&[&alice]));
    put(&secure, &with(&alice), "a").await.expect_err("revoked");
    put(&secure, &with(&bob), "a").await.expect("not revoked");
    kit.write("clients.crl", "no list at all");
    put(&secure, &with(&alice), "a").await.expect_err("the list before still holds");
    put(&secure, &with(&bob), "a").await.expect("and nobody else is shut out");
    wait_logged(&server, &["cannot be used", "clients.crl contains no revocation list"]);
}

/// What etcd 3.7 does is the same: the connection is closed without a word, and on a port with TLS the log says why.
#[test]
fn plaintext_on_a_port_with_tls_and_tls_on_one_without_are_closed() {
    let kit = Kit::new();
    let (server, secure) = start_secured(&kit.client_flags());
    for greeting in ["GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = connect(&secure).expect("a connection");
        socket.write_all(greeting.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    }
    let words =
        ["rejected connection on client endpoint", "tls: first record does not look like a TLS handshake"];
    wait_logged(&server, &words);
    assert!(get(&server.client_address(), "/health", &trusting(None)).is_err());
    assert_eq!(testkit::http::get(&server.client_address(), "/health").status, 200, "others are served");
}

#[test]
fn a_member_with_a_certificate_of_its_own_making_keeps_it() {
    let (mut server, secure) = start_secured(&["--auto-tls".to_owned()]);
    get(&secure, "/health", &trusting(None)).expect("TLS");
    let fixtures = server.data_dir().join("fixtures/client");
    let cert = std::fs::read(fixtures.join("cert.pem")).expect("the certificate that it has made");
    server.kill();
    server.restart();
    get(&secure, "/health", &trusting(None)).expect("TLS");
    assert_eq!(std::fs::read(fixtures.join("cert.pem")).expect("it is there"), cert);
}

#[test]
fn a_member_whose_certificate_cannot_be_used_does_not_start_and_says_why() {
    let kit = Kit::new();
    let refused = |file: &str, content: &str| {
        kit.write(file, content);
        let (mut server, _) = crate::secured("default", &kit.client_flags());
        server.try_restart().expect_err("it does not start")
    };
    for (file, content, why) in [
        ("ca.crt", "", "ca.crt is empty"),
        ("ca.crt", "hello", "ca.crt contains no certificate, but no PEM at all"),
        ("server.crt", "", "server.crt is empty"),
    ] {
        let log = refused(file, content);
        assert!(log.contains("\"msg\":\"discovery failed\"") && log.contains(why), "{log}");
        kit.write("ca.crt", kit.ca.pem());
    }
}
