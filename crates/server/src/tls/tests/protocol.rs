//! Versions, cipher suites, and what is no TLS at all.

use std::time::Duration;

use rustls::CipherSuite as Suite;

use super::*;
use crate::config::tls::CipherSuite;

fn suites(names: &[&str]) -> Vec<CipherSuite> {
    names.iter().map(|name| CipherSuite::named(name).unwrap()).collect()
}

#[tokio::test]
async fn versions_are_those_that_the_flags_allow() {
    let stage = Stage::new();
    let side = stage.open_side();
    for (min, max, with_12, with_13) in [
        (TlsVersion::V12, None, true, true),
        (TlsVersion::V13, None, false, true),
        (TlsVersion::V12, Some(TlsVersion::V12), true, false),
    ] {
        let policy = Policy::new(&TlsProtocol { min, max, cipher_suites: Vec::new() }).unwrap();
        let acceptor = Acceptor::new(Role::Clients, &side, stage.files(&side), &policy).unwrap();
        for (version, is_served) in [(TlsVersion::V12, with_12), (TlsVersion::V13, with_13)] {
            let (accepted, heard) = handshake(&acceptor, stage.client_with(None, &policy_of(version))).await;
            assert_eq!(
                (accepted.is_ok(), heard.is_ok()),
                (is_served, is_served),
                "{min:?} to {max:?}: {version:?}"
            );
        }
    }
}

#[tokio::test]
async fn suites_of_tls_12_are_those_that_the_flag_names() {
    let stage = Stage::new();
    let side = stage.open_side();
    let name = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let protocol =
        |names: &[&str], max| TlsProtocol { min: TlsVersion::V12, max, cipher_suites: suites(names) };
    // One that is served, one that Go knows only.
    let policy = Policy::new(&protocol(&[name, "TLS_RSA_WITH_AES_128_CBC_SHA"], None)).unwrap();
    let acceptor = Acceptor::new(Role::Clients, &side, stage.files(&side), &policy).unwrap();
    let only = |names: &[&str]| Policy::new(&protocol(names, Some(TlsVersion::V12))).unwrap();
    let (accepted, _) = handshake(&acceptor, stage.client_with(None, &only(&[name]))).await;
    let suite = accepted.unwrap().stream.get_ref().1.negotiated_cipher_suite().unwrap();
    assert_eq!(suite.suite(), Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
    let other = only(&["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]);
    let (accepted, heard) = handshake(&acceptor, stage.client_with(None, &other)).await;
    assert!(accepted.is_err());
    assert_eq!(heard.unwrap_err(), "remote error: tls: handshake failure");
    // Those of TLS 1.3 cannot be chosen, as in Go.
    let (accepted, _) = handshake(&acceptor, stage.client_with(None, &policy_of(TlsVersion::V13))).await;
    assert!(accepted.is_ok());
    let none = Policy::new(&protocol(&["TLS_RSA_WITH_AES_128_CBC_SHA"], Some(TlsVersion::V12)));
    assert!(none.is_err());
}

#[tokio::test]
async fn a_client_chooses_http_2_or_http_1() {
    let stage = Stage::new();
    let chosen = async |role, offered: &[&[u8]]| {
        let acceptor = stage.acceptor(role, &stage.open_side());
        let mut client = stage.client(None);
        client.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let (accepted, _) = handshake(&acceptor, client).await;
        accepted.map(|secured| secured.stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)).map_err(|_| ())
    };
    let some = |name: &[u8]| Ok(Some(name.to_vec()));
    assert_eq!(chosen(Role::Clients, &[b"h2"]).await, some(b"h2"));
    assert_eq!(chosen(Role::Clients, &[b"http/1.1", b"h2"]).await, some(b"h2"));
    assert_eq!(chosen(Role::Clients, &[b"http/1.1"]).await, some(b"http/1.1"));
    assert_eq!(chosen(Role::Clients, &[]).await, Ok(None));
    assert_eq!(chosen(Role::Clients, &[b"spdy/1"]).await, Err(()));
    assert_eq!(chosen(Role::Peers, &[b"h2", b"http/1.1"]).await, some(b"http/1.1"));
}

/// What the acceptor says of a client that sends this and then nothing more, and what it answers.
async fn sent(acceptor: &Acceptor, bytes: &[u8]) -> (String, Vec<u8>) {
    let (accepted, mut socket) = connection().await;
    let say = async {
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be cut off.
        let _ = socket.read_to_end(&mut answer).await;
        answer
    };
    let accept = async { acceptor.accept(accepted).await.err().expect("it is no TLS").to_string() };
    tokio::join!(accept, say)
}

/// The greeting of a client that speaks no more than TLS 1.1: version, random bytes, no session, one suite, no
/// compression.
fn old_hello(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 2, 0xc0, 0x13, 1, 0]);
    let mut handshake = vec![1, 0, 0, body.len() as u8];
    handshake.extend_from_slice(&body);
    let mut record = vec![0x16, 3, 1, 0, handshake.len() as u8];
    record.extend_from_slice(&handshake);
    record
}

#[tokio::test]
async fn clients_of_old_versions_are_told_so() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    for version in [1, 2] {
        let (reason, answer) = sent(&acceptor, &old_hello(version)).await;
        assert_eq!(reason, "tls: client offered only unsupported versions", "TLS 1.{}", version - 1);
        // An alert that is fatal: `handshake_failure`.
        assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 40]);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_turned_away_in_etcds_words() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    for text in [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x00\x00\x00\x00",
        &[0xff; 64],
    ] {
        let (reason, answer) = sent(&acceptor, text).await;
        assert_eq!(reason, "tls: first record does not look like a TLS handshake", "{}", text.escape_ascii());
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_greeting_that_breaks_off_or_makes_no_sense_is_an_error_and_nothing_more() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    let mut whole = Vec::new();
    let mut client = rustls::ClientConnection::new(
        Arc::new(stage.client(None)),
        ServerName::try_from("localhost").unwrap(),
    )
    .unwrap();
    client.write_tls(&mut whole).unwrap();
    for end in (0..whole.len()).step_by(37) {
        assert_eq!(sent(&acceptor, &whole[..end]).await.0, "EOF", "after {end} bytes");
    }
    for place in (0..whole.len()).step_by(11) {
        let mut changed = whole.clone();
        changed[place] ^= 0x55;
        // Whatever becomes of it: the client says no more, so that it cannot succeed.
        sent(&acceptor, &changed).await;
    }
}

#[tokio::test]
async fn renegotiation_is_not_served() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    let (accepted, socket) = connection().await;
    let connector = TlsConnector::from(Arc::new(stage.client_with(None, &policy_of(TlsVersion::V12))));
    let name = ServerName::try_from("localhost").unwrap();
    let (accepted, stream) = tokio::join!(acceptor.accept(accepted), connector.connect(name, socket));
    let (mut accepted, (mut socket, _)) = (accepted.unwrap().stream, stream.unwrap().into_inner());
    // A greeting in the middle of a connection, even one that is not encrypted, is the end of it.
    socket.write_all(&old_hello(3)).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), accepted.read_u8()).await;
    assert!(read.expect("an answer at once").is_err());
}

#[test]
fn settings_that_etcd_refuses_are_refused_in_its_words() {
    let one = |flag: &'static str| config(&[flag]).unwrap_err();
    let https = [
        "--listen-client-urls",
        "https://127.0.0.1:2379",
        "--advertise-client-urls",
        "https://127.0.0.1:2379",
    ];
    let with = |flags: &[&str]| config(&[&https, flags].concat()).unwrap_err();
    assert_eq!(
        with(&[]),
        "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:2379 with HTTPS scheme"
    );
    assert_eq!(with(&["--cert-file", "c"]), "KeyFile and CertFile must both be present[key: , cert: c]");
    assert_eq!(one("--peer-key-file=k"), "KeyFile and CertFile must both be present[key: k, cert: ]");
    assert_eq!(
        one("--peer-client-key-file=k"),
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: k, cert: ]"
    );
    assert_eq!(
        config(&["--peer-cert-allowed-cn=a,b", "--peer-cert-allowed-hostname=c"]).unwrap_err(),
        "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\" \"b\"], hostnames=[\"c\"])"
    );
    assert_eq!(
        one("--listen-metrics-urls=https://127.0.0.1:1"),
        "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url"
    );
    assert_eq!(
        one("--listen-peer-urls=https://127.0.0.1:1"),
        "cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented"
    );
    assert_eq!(one("--cipher-suites=ROT13"), "unexpected TLS cipher suite \"ROT13\"");
    assert_eq!(
        config(&["--cipher-suites=TLS_RSA_WITH_RC4_128_SHA", "--tls-min-version=TLS1.3"]).unwrap_err(),
        "cipher suites cannot be configured when only TLS1.3 is enabled"
    );
    assert_eq!(
        config(&["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"]).unwrap_err(),
        "min version (TLS1.3) is greater than max version (TLS1.2)"
    );
    assert_eq!(
        one("--tls-max-version=TLS1.1"),
        "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"
    );
}

#[test]
fn peers_cannot_verify_certificates_that_nobody_has_signed() {
    for flag in ["--peer-client-cert-auth", "--peer-trusted-ca-file=ca.crt"] {
        let refused = config(&["--peer-auto-tls", flag]).unwrap_err();
        assert!(refused.contains("--peer-auto-tls"), "{refused}");
        let pair = ["--peer-cert-file=c", "--peer-key-file=k"];
        assert!(config(&[["--peer-auto-tls", flag], pair].concat()).is_ok(), "there is a certificate");
    }
}
