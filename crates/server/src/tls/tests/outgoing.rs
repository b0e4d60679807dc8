//! Which members are connected to.

use testkit::pki::{Authority, Purpose, Request};

use super::*;
use crate::config::tls::AllowedNames;
use crate::tls::connector::{Connector, Trust};

/// What a connector says of a member with this certificate. The member demands nothing itself.
async fn connected(
    connector: &Arc<Connector>,
    stage: &Stage,
    server: &Certificate,
    host: &str,
) -> Result<(), String> {
    let side = TlsSide { own: Some(stage.write_pair("other", server)), ..TlsSide::default() };
    let acceptor = stage.acceptor(Role::Peers, &side);
    let (accepted, socket) = connection().await;
    let (_, connected) = tokio::join!(acceptor.accept(accepted), connector.connect(host, socket));
    connected.map(drop).map_err(|error| error.to_string())
}

fn connector(stage: &Stage, side: &TlsSide, trust: Trust, server_name: Option<&str>) -> Arc<Connector> {
    Connector::new(side, trust, server_name.map(str::to_owned), stage.files(side), &policy())
}

#[tokio::test]
async fn a_member_must_show_a_certificate_of_the_host_that_was_dialed() {
    let stage = Stage::new();
    let strict = connector(&stage, &stage.verifying_side(), Trust::Verified, None);
    let good = stage.ca.issue(&Request::named("m1"));
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(connected(&strict, &stage, &good, host).await, Ok(()));
    }
    let verify = |reason: &str| Err(format!("tls: failed to verify certificate: x509: {reason}"));
    for host in ["example.org", "127.0.0.2", "::1"] {
        let reason = format!("certificate is valid for localhost, 127.0.0.1, not {host}");
        assert_eq!(connected(&strict, &stage, &good, host).await, verify(&reason));
    }
    let issue = |request: Request| stage.ca.issue(&request);
    let named = Request::named;
    for (certificate, reason) in [
        (issue(Request { days: (-9, -1), ..named("m1") }), "certificate has expired or is not yet valid"),
        (issue(Request { days: (1, 9), ..named("m1") }), "certificate has expired or is not yet valid"),
        (
            issue(Request { purposes: vec![Purpose::Client], ..named("m1") }),
            "certificate specifies an incompatible key usage",
        ),
        (Authority::new("another").issue(&named("m1")), "certificate signed by unknown authority"),
        (named("m1").self_signed(), "certificate of a CA used for a connection"),
    ] {
        assert_eq!(connected(&strict, &stage, &certificate, "localhost").await, verify(reason));
    }
    assert!(connected(&strict, &stage, &good, "not a host").await.is_err());
}

#[tokio::test]
async fn a_peers_certificate_means_the_same_whoever_dials() {
    let stage = Stage::new();
    let (good, bad) = (stage.ca.issue(&Request::named("m1")), stage.ca.issue(&Request::named("m2")));
    let crl = Some(stage.write("list.crl", stage.ca.revoke(&[&bad])));
    let strict = connector(&stage, &TlsSide { crl, ..stage.verifying_side() }, Trust::Verified, None);
    let revoked = connected(&strict, &stage, &bad, "localhost").await.unwrap_err();
    assert!(revoked.ends_with(" revoked"), "{revoked}");
    assert_eq!(connected(&strict, &stage, &good, "localhost").await, Ok(()));
    let allowed = AllowedNames::CommonNames(vec!["m1".to_owned()]);
    let strict = connector(&stage, &TlsSide { allowed, ..stage.verifying_side() }, Trust::Verified, None);
    let other = connected(&strict, &stage, &bad, "localhost").await;
    assert_eq!(other, Err("client certificate authentication failed".to_owned()));
    assert_eq!(connected(&strict, &stage, &good, "localhost").await, Ok(()));
}

#[tokio::test]
async fn a_self_signed_member_that_is_trusted_itself_is_looked_at_as_any_other() {
    let stage = Stage::new();
    let m1 = Request::named("m1");
    for (request, is_accepted) in [
        (m1.clone(), true),
        (Request { hosts: vec!["example.org".to_owned()], ..m1.clone() }, false),
        (Request { hosts: Vec::new(), ..m1.clone() }, false),
        (Request { days: (-9, -1), ..m1.clone() }, false),
        (Request { days: (1, 9), ..m1.clone() }, false),
        (Request { purposes: vec![Purpose::Client], ..m1.clone() }, false),
    ] {
        let server = request.self_signed();
        let trusted_ca = Some(stage.write("m1.crt", &server.cert));
        let side = TlsSide { trusted_ca, ..stage.verifying_side() };
        let strict = connector(&stage, &side, Trust::Verified, None);
        let connected = connected(&strict, &stage, &server, "localhost").await;
        assert_eq!(connected.is_ok(), is_accepted, "{request:?}: {connected:?}");
    }
}

#[tokio::test]
async fn members_that_the_dns_lists_show_certificates_of_the_domain() {
    let stage = Stage::new();
    let domain = connector(&stage, &stage.verifying_side(), Trust::Verified, Some("example.org"));
    let of_domain = Request { hosts: vec!["example.org".to_owned()], ..Request::named("m1") };
    assert_eq!(connected(&domain, &stage, &stage.ca.issue(&of_domain), "127.0.0.1").await, Ok(()));
    assert!(connected(&domain, &stage, &stage.ca.issue(&Request::named("m1")), "127.0.0.1").await.is_err());
}

#[tokio::test]
async fn with_certificates_of_their_own_making_members_accept_any() {
    let stage = Stage::new();
    let lenient = connector(&stage, &stage.open_side(), Trust::Anyone, None);
    for request in [Request::named("m1"), Request { days: (-9, -1), hosts: vec![], ..Request::named("m2") }] {
        assert_eq!(connected(&lenient, &stage, &request.self_signed(), "127.0.0.1").await, Ok(()));
    }
}

#[tokio::test]
async fn peers_that_verify_each_other_connect() {
    let stage = Stage::new();
    let side = stage.verifying_side();
    let (acceptor, connector) =
        (stage.acceptor(Role::Peers, &side), connector(&stage, &side, Trust::Verified, None));
    let (accepted, socket) = connection().await;
    let (accepted, connected) =
        tokio::join!(acceptor.accept(accepted), connector.connect("127.0.0.1", socket));
    let (mut accepted, mut connected) = (accepted.unwrap().stream, connected.unwrap());
    connected.write_all(b"hello").await.unwrap();
    connected.flush().await.unwrap();
    let mut heard = [0; 5];
    accepted.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    // With a certificate of its own for the way out.
    let outgoing = Some(stage.write_pair("out", &Authority::new("another").issue(&Request::named("m1"))));
    let side = TlsSide { outgoing, ..side };
    let connector = super::outgoing::connector(&stage, &side, Trust::Verified, None);
    let (accepted, socket) = connection().await;
    let (accepted, _) = tokio::join!(acceptor.accept(accepted), connector.connect("127.0.0.1", socket));
    assert!(accepted.is_err(), "the certificate for outgoing connections is shown, and it is another CA's");
}
