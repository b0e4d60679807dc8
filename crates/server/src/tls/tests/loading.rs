//! Files that are not what they should be, and those that a member makes for itself.

use std::os::unix::fs::PermissionsExt;

use testkit::pki::{Authority, Request};

use super::*;
use crate::tls::{Setup, auto};

/// Why a side cannot be opened, with the directory's name left out.
fn refused(stage: &Stage, side: &TlsSide) -> String {
    let error = Files::open(side, &policy(), stage.metrics.clone()).err().expect("it is refused");
    error.to_string().replace(&format!("{}/", stage.directory.path().display()), "")
}

#[test]
fn every_error_names_the_file_and_what_is_wrong_with_it() {
    let stage = Stage::new();
    let good = stage.open_side();
    let other = stage.ca.issue(&Request::named("other"));
    let files = good.own.clone().unwrap();
    let with_cert = |text: &str| {
        let own = KeyFiles { cert: stage.write("bad.crt", text), ..files.clone() };
        TlsSide { own: Some(own), ..TlsSide::default() }
    };
    let with_key = |text: &str| {
        let own = KeyFiles { key: stage.write("bad.key", text), ..files.clone() };
        TlsSide { own: Some(own), ..TlsSide::default() }
    };
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, error) in [
        (" \n", "bad.crt is empty"),
        ("hello", "bad.crt contains no certificate, but no PEM at all"),
        (&other.key, "bad.crt contains no certificate, but a private key"),
        (&other.cert[..99], "bad.crt is not a PEM file: a section has no end"),
    ] {
        assert_eq!(refused(&stage, &with_cert(text)), error);
    }
    for (text, error) in [
        (other.key.as_str(), "the private key in bad.key is not that of the certificate in own.crt"),
        (&other.cert, "bad.key contains no private key, but a certificate"),
        (
            encrypted,
            "the private key in bad.key cannot be used: it is encrypted, and there is nobody to ask for its passphrase",
        ),
    ] {
        assert_eq!(refused(&stage, &with_key(text)), error);
    }
    let unreadable = refused(&stage, &with_cert(nonsense));
    assert!(unreadable.starts_with("certificate 1 in bad.crt cannot be used: "), "{unreadable}");
    let missing = TlsSide { trusted_ca: Some(stage.directory.path().join("none.crt")), ..good.clone() };
    assert_eq!(refused(&stage, &missing), "open none.crt: No such file or directory (os error 2)");
    let list = TlsSide { crl: Some(stage.write("list.crl", &other.cert)), ..good.clone() };
    assert_eq!(refused(&stage, &list), "list.crl contains no revocation list, but a certificate");
    let list = TlsSide { crl: Some(stage.write("list.crl", [0x30, 3, 1, 2, 3])), ..good.clone() };
    assert!(refused(&stage, &list).starts_with("the revocation list in list.crl cannot be read: "));
    let huge = TlsSide { trusted_ca: Some(stage.write("huge.crt", vec![b'x'; 5 << 20])), ..good };
    assert_eq!(refused(&stage, &huge), "huge.crt is larger than 4194304 bytes");
}

#[test]
fn no_content_of_a_key_file_is_ever_in_an_error() {
    let stage = Stage::new();
    let files = stage.open_side().own.unwrap();
    let key = std::fs::read_to_string(&files.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for broken in [
        key.replace("-----END PRIVATE KEY-----", ""),
        key.replace("-----BEGIN PRIVATE KEY-----", &format!("-----BEGIN {secret}")),
        key.replace(secret, &format!("{secret}!")),
        key.replace(secret, &secret.to_ascii_lowercase()),
    ] {
        stage.write("own.key", broken);
        let side = TlsSide { own: Some(files.clone()), ..TlsSide::default() };
        let error = refused(&stage, &side);
        assert!(error.contains("own.key") && !error.contains(&secret[..8]), "{error}");
    }
}

#[test]
fn keys_and_lists_come_in_all_their_forms() {
    let stage = Stage::new();
    // PEM with the lists of two CAs, and what else one finds in such files.
    let (first, second) = (stage.ca.issue(&Request::named("a")), stage.ca.issue(&Request::named("b")));
    let pem = |der: Vec<u8>| {
        let text = testkit::pki::pem("X509 CRL", &der);
        format!("a comment\n{text}")
    };
    let lists = pem(stage.ca.revoke(&[&first])) + &pem(Authority::new("another").revoke(&[&second, &first]));
    let side = TlsSide { crl: Some(stage.write("list.pem", lists)), ..stage.verifying_side() };
    assert_eq!(stage.files(&side).current().revoked.as_ref().unwrap().len(), 2);
    // A key behind its parameters, as OpenSSL writes it.
    let files = side.own.unwrap();
    let key = std::fs::read_to_string(&files.key).unwrap();
    let parameters = testkit::pki::pem("EC PARAMETERS", &[6, 5, 43, 129, 4, 0, 34]);
    stage.write("own.key", parameters + &key);
    assert!(stage.files(&TlsSide { own: Some(files), ..TlsSide::default() }).current().own.is_some());
}

#[test]
fn a_member_makes_its_certificate_once_and_again_when_it_has_expired() {
    let stage = Stage::new();
    let directory = stage.directory.path().join("fixtures/client");
    let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let files = auto::ensure(&directory, &hosts, 1).unwrap();
    for (path, mode) in [(&files.cert, 0o600), (&files.key, 0o600), (&directory, 0o700)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    let first = std::fs::read(&files.cert).unwrap();
    assert_eq!(auto::ensure(&directory, &hosts, 1).unwrap(), files);
    assert_eq!(std::fs::read(&files.cert).unwrap(), first, "it is kept");
    let side = TlsSide { own: Some(files.clone()), ..TlsSide::default() };
    let pair = stage.files(&side).current().own.clone().unwrap();
    assert_eq!(pair.facts.addresses, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(pair.facts.dns_names, ["localhost"]);
    let validity = pair.facts.validity;
    assert_eq!(validity.not_after - validity.not_before, 365 * 24 * 60 * 60);
    let old = Request { days: (-9, -1), ..Request::named("old") }.self_signed();
    std::fs::write(&files.cert, old.cert).unwrap();
    std::fs::write(&files.key, old.key).unwrap();
    auto::ensure(&directory, &hosts, 3).unwrap();
    let pair = stage.files(&side).current().own.clone().unwrap();
    assert_eq!(pair.facts.validity.not_after - pair.facts.validity.not_before, 3 * 365 * 24 * 60 * 60);
}

#[test]
fn a_member_without_tls_reads_nothing() {
    let stage = Stage::new();
    let setup = Setup::new(&config(&[]).unwrap(), &stage.metrics).unwrap();
    assert!(setup.clients.is_none() && setup.peers.is_none());
    // Not even what is there: etcd too ignores it on a plain port.
    let config = config(&["--cert-file", "none.crt", "--key-file", "none.key", "--auto-tls"]).unwrap();
    assert!(Setup::new(&config, &stage.metrics).unwrap().clients.is_none());
}

#[test]
fn a_member_with_tls_starts_with_what_its_flags_name() {
    let stage = Stage::new();
    let own = stage.write_pair("own", &stage.ca.issue(&Request::named("server")));
    let (cert, key) = (own.cert.to_str().unwrap(), own.key.to_str().unwrap());
    let data = stage.directory.path().join("data");
    let flags = [
        "--data-dir",
        data.to_str().unwrap(),
        "--listen-client-urls",
        "http://127.0.0.1:1",
        "--advertise-client-urls",
        "http://127.0.0.1:1",
        "--listen-metrics-urls",
        "https://127.0.0.1:2",
        "--cert-file",
        cert,
        "--key-file",
        key,
        "--listen-peer-urls",
        "https://127.0.0.1:3",
        "--peer-auto-tls",
    ];
    let setup = Setup::new(&config(&flags).unwrap(), &stage.metrics).unwrap();
    assert!(setup.clients.is_some() && setup.peers.is_some());
    assert!(data.join("fixtures/peer/cert.pem").is_file() && !data.join("fixtures/client").exists());
}
