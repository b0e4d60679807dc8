//! Who is let in.

use rustls::{ClientConfig, HandshakeKind};
use testkit::pki::{Authority, Purpose, Request};

use super::*;
use crate::config::tls::AllowedNames;

/// A certificate to try, and what comes of it.
struct Case {
    name: &'static str,
    certificate: Option<Certificate>,
    /// The common name it gives, or the reason in the log.
    outcome: Result<Option<&'static str>, &'static str>,
}

fn case(
    name: &'static str,
    certificate: Certificate,
    outcome: Result<Option<&'static str>, &'static str>,
) -> Case {
    Case { name, certificate: Some(certificate), outcome }
}

const EXPIRED: &str = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
const UNKNOWN: &str = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
const PURPOSE: &str =
    "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage";
const NOT_ALLOWED: &str = "client certificate authentication failed";

async fn check(stage: &Stage, acceptor: &Acceptor, cases: &[Case]) {
    for version in [TlsVersion::V12, TlsVersion::V13] {
        for Case { name, certificate, outcome } in cases {
            let client: ClientConfig = stage.client_with(certificate.as_ref(), &policy_of(version));
            let found = admitted(acceptor, client).await;
            let expected = outcome.map(|name| name.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(found, expected, "{name}, {version:?}");
        }
    }
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_ca_that_is_valid_now_and_for_clients() {
    let stage = Stage::new();
    let issue = |request: Request| stage.ca.issue(&request);
    let named = Request::named;
    let cases = [
        case("valid", issue(named("alice")), Ok(Some("alice"))),
        case("without a common name", issue(named("")), Ok(Some(""))),
        case(
            "for any host",
            issue(Request { hosts: vec!["elsewhere.example".to_owned()], ..named("bob") }),
            Ok(Some("bob")),
        ),
        Case { name: "none", certificate: None, outcome: Err("tls: client didn't provide a certificate") },
        case("expired", issue(Request { days: (-20, -1), ..named("alice") }), Err(EXPIRED)),
        case("not yet valid", issue(Request { days: (1, 20), ..named("alice") }), Err(EXPIRED)),
        case(
            "for servers only",
            issue(Request { purposes: vec![Purpose::Server], ..named("alice") }),
            Err(PURPOSE),
        ),
        case(
            "for clients only",
            issue(Request { purposes: vec![Purpose::Client], ..named("alice") }),
            Ok(Some("alice")),
        ),
        case(
            "for no purpose in particular",
            issue(Request { purposes: vec![], ..named("eve") }),
            Ok(Some("eve")),
        ),
        case("self-signed", named("alice").self_signed(), Err(CA_AS_LEAF)),
        case("of another CA", Authority::new("another").issue(&named("alice")), Err(UNKNOWN)),
        case(
            "of another CA of the same name",
            Authority::new("test CA").issue(&named("alice")),
            Err(UNKNOWN),
        ),
    ];
    check(&stage, &stage.acceptor(Role::Clients, &stage.verifying_side()), &cases).await;
}

/// What the library says first of a certificate that its owner has signed.
const CA_AS_LEAF: &str = "tls: failed to verify certificate: x509: certificate of a CA used for a connection";

#[tokio::test]
async fn a_ca_alone_demands_certificates_but_their_names_identify_nobody() {
    let stage = Stage::new();
    let side = TlsSide { client_cert_auth: false, ..stage.verifying_side() };
    let cases = [
        case("valid", stage.ca.issue(&Request::named("alice")), Ok(None)),
        Case { name: "none", certificate: None, outcome: Err("tls: client didn't provide a certificate") },
    ];
    check(&stage, &stage.acceptor(Role::Clients, &side), &cases).await;
}

#[tokio::test]
async fn without_a_ca_nobody_is_asked_for_a_certificate() {
    let stage = Stage::new();
    let cases = [
        Case { name: "none", certificate: None, outcome: Ok(None) },
        case("of another CA", Authority::new("another").issue(&Request::named("alice")), Ok(None)),
    ];
    check(&stage, &stage.acceptor(Role::Clients, &stage.open_side()), &cases).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_not_accepted_from_clients_or_peers() {
    let stage = Stage::new();
    let (good, bad) = (stage.ca.issue(&Request::named("good")), stage.ca.issue(&Request::named("bad")));
    let list = stage.ca.revoke(&[&bad]);
    let side = TlsSide { crl: Some(stage.write("list.crl", list)), ..stage.verifying_side() };
    for role in [Role::Clients, Role::Peers] {
        let acceptor = stage.acceptor(role, &side);
        let rejected = admitted(&acceptor, stage.client(Some(&bad))).await.unwrap_err();
        assert!(
            rejected.starts_with("transport: certificate serial ") && rejected.ends_with(" revoked"),
            "{rejected}"
        );
        assert!(admitted(&acceptor, stage.client(Some(&good))).await.is_ok(), "{role:?}");
    }
}

/// Whatever the other sends along counts as part of its chain.
#[tokio::test]
async fn a_certificate_that_comes_with_a_revoked_one_is_not_accepted() {
    let stage = Stage::new();
    let (good, bad) = (stage.ca.issue(&Request::named("good")), stage.ca.issue(&Request::named("bad")));
    let crl = Some(stage.write("list.crl", stage.ca.revoke(&[&bad])));
    let side = TlsSide { crl, ..stage.verifying_side() };
    let mut both = good.clone();
    both.cert.push_str(&bad.cert);
    for role in [Role::Clients, Role::Peers] {
        let rejected = admitted(&stage.acceptor(role, &side), stage.client(Some(&both))).await.unwrap_err();
        assert!(rejected.ends_with(" revoked"), "{rejected}");
    }
}

#[tokio::test]
async fn no_session_is_resumed_past_a_list_of_revoked_certificates() {
    let stage = Stage::new();
    let bad = stage.ca.issue(&Request::named("bad"));
    let crl = stage.write("list.crl", stage.ca.revoke(&[]));
    let side = TlsSide { crl: Some(crl), ..stage.verifying_side() };
    let acceptor = stage.acceptor(Role::Clients, &side);
    for version in [TlsVersion::V12, TlsVersion::V13] {
        stage.write("list.crl", stage.ca.revoke(&[]));
        // Clones of a client's configuration share its memory of sessions.
        let client = stage.client_with(Some(&bad), &policy_of(version));
        assert!(admitted(&acceptor, client.clone()).await.is_ok(), "not revoked yet");
        let (again, _) = handshake(&acceptor, client.clone()).await;
        let kind = again.unwrap().stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(HandshakeKind::Full), "{version:?}: the certificate is looked at again");
        stage.write("list.crl", stage.ca.revoke(&[&bad]));
        assert!(admitted(&acceptor, client).await.is_err(), "{version:?}");
    }
}

#[tokio::test]
async fn only_names_that_are_allowed_come_in() {
    let stage = Stage::new();
    let issue = |request: Request| stage.ca.issue(&request);
    let one = |name: &str| vec!["other".to_owned(), name.to_owned()];
    let side = TlsSide { allowed: AllowedNames::CommonNames(one("m1")), ..stage.verifying_side() };
    let cases = [
        case("the right common name", issue(Request::named("m1")), Ok(None)),
        case("another common name", issue(Request::named("m2")), Err(NOT_ALLOWED)),
        case("a longer one", issue(Request::named("m11")), Err(NOT_ALLOWED)),
        case("none", issue(Request::named("")), Err(NOT_ALLOWED)),
    ];
    check(&stage, &stage.acceptor(Role::Peers, &side), &cases).await;
    let hosts = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).chain(["127.0.0.1".to_owned()]);
        issue(Request { hosts: hosts.collect(), ..Request::named("example.org") })
    };
    let side = TlsSide { allowed: AllowedNames::Hostnames(one("example.org")), ..stage.verifying_side() };
    let cases = [
        case("the right host", hosts(&["a.net", "example.org"]), Ok(None)),
        case("a host below it", hosts(&["a.example.org"]), Err(NOT_ALLOWED)),
        case("as a common name only", hosts(&["a.net"]), Err(NOT_ALLOWED)),
    ];
    check(&stage, &stage.acceptor(Role::Peers, &side), &cases).await;
    let side = TlsSide { allowed: AllowedNames::Hostnames(one("a.example.org")), ..stage.verifying_side() };
    let cases = [case("a wildcard that covers it", hosts(&["*.example.org"]), Ok(Some("example.org")))];
    check(&stage, &stage.acceptor(Role::Clients, &side), &cases).await;
}

#[tokio::test]
async fn a_peer_must_come_from_where_its_certificate_says() {
    let stage = Stage::new();
    let hosts = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        stage.ca.issue(&Request { hosts, ..Request::named("m1") })
    };
    let side = stage.verifying_side();
    let acceptor = stage.acceptor(Role::Peers, &side);
    for (names, problem) in [
        (["127.0.0.1"].as_slice(), None),
        (&["10.0.0.1", "127.0.0.1"], None),
        // Found in /etc/hosts.
        (&["localhost"], None),
        (&[], None),
        (&["10.0.0.1"], Some("x509: certificate is valid for 10.0.0.1, not 127.0.0.1")),
        // The top-level domain is reserved for names that do not exist (RFC 6761).
        (&["m1.invalid"], Some("tls: \"127.0.0.1\" does not match any of DNSNames [\"m1.invalid\"]")),
    ] {
        let (accepted, _) = handshake(&acceptor, stage.client(Some(&hosts(names)))).await;
        assert_eq!(
            accepted.map(drop).map_err(|error| error.to_string()).err().as_deref(),
            problem,
            "{names:?}"
        );
    }
    let elsewhere = hosts(&["10.0.0.1"]);
    let lenient = TlsSide { skip_client_san_verification: true, ..side.clone() };
    assert_eq!(
        admitted(&stage.acceptor(Role::Peers, &lenient), stage.client(Some(&elsewhere))).await,
        Ok(None)
    );
    let name = admitted(&stage.acceptor(Role::Clients, &side), stage.client(Some(&elsewhere))).await;
    assert_eq!(name, Ok(Some("m1".to_owned())), "clients may come from anywhere");
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_trusted_itself_counts() {
    let stage = Stage::new();
    let request = Request { hosts: vec!["localhost".to_owned()], ..Request::named("root") };
    let trusted = request.self_signed();
    let side = TlsSide { trusted_ca: Some(stage.write("root.crt", &trusted.cert)), ..stage.verifying_side() };
    let acceptor = stage.acceptor(Role::Clients, &side);
    assert_eq!(admitted(&acceptor, stage.client(Some(&trusted))).await, Ok(Some("root".to_owned())));
    let other = admitted(&acceptor, stage.client(Some(&request.self_signed()))).await;
    assert!(other.is_err(), "the same words, but another key");
    for (request, reason) in [
        (Request { days: (-9, -1), ..request.clone() }, EXPIRED),
        (Request { days: (1, 9), ..request.clone() }, EXPIRED),
        (Request { purposes: vec![Purpose::Server], ..request.clone() }, PURPOSE),
    ] {
        let trusted = request.self_signed();
        let side =
            TlsSide { trusted_ca: Some(stage.write("root.crt", &trusted.cert)), ..stage.verifying_side() };
        let found = admitted(&stage.acceptor(Role::Clients, &side), stage.client(Some(&trusted))).await;
        assert_eq!(found, Err(reason.to_owned()));
    }
}
