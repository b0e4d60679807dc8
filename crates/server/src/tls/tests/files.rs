//! Files that change while the member runs.

use std::time::SystemTime;

use testkit::pki::{Authority, Request};

use super::*;
use crate::tls::facts::Validity;
use crate::tls::load::Content;
use crate::tls::material::{Change, Dated, Watched};

/// What the acceptor shows to a client that accepts anything: the common name of its certificate.
async fn shown(acceptor: &Acceptor) -> String {
    let (accepted, socket) = connection().await;
    let policy = policy();
    let client = ClientConfig::builder_with_provider(policy.provider.clone())
        .with_protocol_versions(policy.versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(crate::tls::verify::Anyone::new(&policy.provider))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (accepted, stream) = tokio::join!(acceptor.accept(accepted), connector.connect(name, socket));
    accepted.unwrap();
    let leaf = stream.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone();
    crate::tls::facts::Facts::of(&leaf).unwrap().common_name.unwrap()
}

fn reloads(stage: &Stage) -> (u64, u64) {
    (stage.metrics.tls.reloads.get(), stage.metrics.tls.reload_failures.get())
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_client() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    assert_eq!(shown(&acceptor).await, "server");
    // Each time within the same tick of the file system's clock, or nearly.
    for name in ["first", "second", "third"] {
        stage.write_pair("own", &stage.ca.issue(&Request::named(name)));
        assert_eq!(shown(&acceptor).await, name);
    }
    assert_eq!(reloads(&stage), (3, 0));
    for _ in 0..3 {
        assert_eq!(shown(&acceptor).await, "third");
    }
    assert_eq!(reloads(&stage), (3, 0), "nothing has changed");
}

/// Any text.
struct Text(Vec<u8>);

impl Dated for Text {
    const WHAT: &'static str = "text";

    fn validity(&self) -> Option<Validity> {
        None
    }
}

/// The clock of the file system stands still between two ticks: inode, length and time are the same then.
#[test]
fn a_file_that_is_overwritten_twice_within_a_tick_is_read_twice() {
    let stage = Stage::new();
    let path = stage.write("text", "00");
    let parse = |contents: &[Content]| Ok(Text(contents[0].bytes.clone()));
    let mut watched = Watched::new(vec![path.clone()], Content::read, parse, SystemTime::now()).unwrap();
    for number in 1..99 {
        let text = format!("{number:02}");
        std::fs::write(&path, &text).unwrap();
        assert!(matches!(watched.refresh(SystemTime::now()), Change::Taken), "{text}");
        assert_eq!(watched.value().0, text.as_bytes());
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_leaves_the_old_one_and_is_reported_once() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    let next = stage.ca.issue(&Request::named("next"));
    for (number, broken) in ["", "no PEM", &next.key, &next.cert[..200]].into_iter().enumerate() {
        stage.write("own.crt", broken);
        for _ in 0..3 {
            assert_eq!(shown(&acceptor).await, "server");
        }
        assert_eq!(reloads(&stage), (0, number as u64 + 1), "{broken:?}");
    }
    std::fs::remove_file(stage.directory.path().join("own.crt")).unwrap();
    assert_eq!(shown(&acceptor).await, "server");
    assert_eq!(reloads(&stage), (0, 5), "it is gone");
    // Between the two writes of a rotation, key and certificate do not belong together.
    stage.write("own.crt", &next.cert);
    assert_eq!(shown(&acceptor).await, "server");
    assert_eq!(reloads(&stage), (0, 6));
    stage.write("own.key", &next.key);
    assert_eq!(shown(&acceptor).await, "next");
    assert_eq!(reloads(&stage), (1, 6));
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_now_does_not_take_the_place_of_one_that_is() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.open_side());
    for days in [(-9, -1), (1, 9)] {
        stage.write_pair("own", &stage.ca.issue(&Request { days, ..Request::named("next") }));
        assert_eq!(shown(&acceptor).await, "server");
    }
    assert_eq!(reloads(&stage), (0, 2));
    // But it is better than nothing, and a member that starts with it says so.
    let acceptor = stage.acceptor(
        Role::Clients,
        &TlsSide {
            own: Some(
                stage
                    .write_pair("own", &stage.ca.issue(&Request { days: (-9, -1), ..Request::named("old") })),
            ),
            ..TlsSide::default()
        },
    );
    assert_eq!(shown(&acceptor).await, "old");
    stage.write_pair("own", &stage.ca.issue(&Request { days: (-9, -2), ..Request::named("as old") }));
    assert_eq!(shown(&acceptor).await, "as old");
}

#[tokio::test]
async fn a_list_of_revoked_certificates_holds_from_the_next_handshake_on() {
    let stage = Stage::new();
    let certificate = stage.ca.issue(&Request::named("alice"));
    let crl = stage.write("list.crl", stage.ca.revoke(&[]));
    let side = TlsSide { crl: Some(crl.clone()), ..stage.verifying_side() };
    let acceptor = stage.acceptor(Role::Clients, &side);
    let client = || stage.client(Some(&certificate));
    assert!(admitted(&acceptor, client()).await.is_ok());
    stage.write("list.crl", stage.ca.revoke(&[&certificate]));
    assert!(admitted(&acceptor, client()).await.is_err());
    // A list that is gone or broken does not let anybody in again.
    stage.write("list.crl", "no list");
    assert!(admitted(&acceptor, client()).await.is_err());
    std::fs::remove_file(crl).unwrap();
    assert!(admitted(&acceptor, client()).await.is_err());
    stage.write("list.crl", stage.ca.revoke(&[]));
    assert!(admitted(&acceptor, client()).await.is_ok());
    assert_eq!(reloads(&stage), (2, 2));
}

#[tokio::test]
async fn a_ca_is_replaced_by_way_of_a_file_with_both() {
    let stage = Stage::new();
    let acceptor = stage.acceptor(Role::Clients, &stage.verifying_side());
    let next = Authority::new("next CA");
    let (of_old, of_next) = (stage.ca.issue(&Request::named("old")), next.issue(&Request::named("next")));
    let is_admitted = async |certificate| admitted(&acceptor, stage.client(Some(certificate))).await.is_ok();
    assert_eq!((is_admitted(&of_old).await, is_admitted(&of_next).await), (true, false));
    stage.write("ca.crt", stage.ca.pem() + &next.pem());
    assert_eq!((is_admitted(&of_old).await, is_admitted(&of_next).await), (true, true));
    stage.write("ca.crt", next.pem());
    assert_eq!((is_admitted(&of_old).await, is_admitted(&of_next).await), (false, true));
}

#[test]
fn metrics_say_when_each_file_ends() {
    let stage = Stage::new();
    let side = TlsSide { crl: Some(stage.write("list.crl", stage.ca.revoke(&[]))), ..stage.verifying_side() };
    let files = stage.files(&side);
    let days = |name: &str| {
        let exposition = stage.metrics.exposition();
        let line = exposition
            .lines()
            .find(|line| line.starts_with("quorate_tls_expiry_days") && line.contains(name));
        let value =
            line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse::<f64>().unwrap());
        value.unwrap_or_else(|| panic!("{name} in {exposition}")).round()
    };
    assert_eq!((days("own.crt"), days("ca.crt"), days("list.crl")), (365.0, 3650.0, 60.0));
    stage.write_pair("own", &stage.ca.issue(&Request { days: (-1, 20), ..Request::named("server") }));
    files.current();
    assert_eq!(days("own.crt"), 20.0);
}
