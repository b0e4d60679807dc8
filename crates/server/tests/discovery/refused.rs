//! Registries that are not there, or lie: the member does not start, says why, and ends.

use client::Client;
use testkit::Server;

use crate::{MEMBERS, SIZE, await_logged, member, service};

/// Starts a member that is expected to end by itself, for this reason.
fn refuse(member: &mut Server, why: &str) {
    member.spawn().expect("it starts");
    assert_eq!(member.wait().code(), Some(1), "{}", member.log_tail());
    await_logged(member, &[why]);
    assert!(!member.log().contains("panicked"), "{}", member.log_tail());
}

async fn register(registry: &Client, id: &str, entry: &str) {
    registry.put(format!("{MEMBERS}/{id}"), entry).await.expect("a write");
}

#[tokio::test]
async fn sizes_that_are_none_are_refused() {
    let (service, registry) = service("1").await;
    let endpoints = service.client_address();
    registry.delete(SIZE).await.expect("a deletion");
    refuse(&mut member("m0", &endpoints, &[]), "discovery: size key not found");
    for size in ["", "0", "-1", "three", "99999999999999999999", "1000000"] {
        registry.put(SIZE, size).await.expect("a write");
        refuse(&mut member("m0", &endpoints, &[]), "discovery: size key is bad");
    }
}

#[tokio::test]
async fn registries_that_lie_are_refused() {
    let (service, registry) = service("2").await;
    let endpoints = service.client_address();
    let mut newcomer = member("m0", &endpoints, &[]);
    let own = newcomer.peer_entry();
    let url = own.split_once('=').expect("name=URL").1.to_owned();
    // What names nobody is reported, and does not take a place.
    register(&registry, "1", "nobody").await;
    for (entry, why) in [
        ("other=http://nowhere", "discovery: invalid peer URL".to_owned()),
        ("m0=http://127.0.0.1:1", "discovery: more than one member has the name \\\"m0\\\"".to_owned()),
        (&format!("other={url}"), "has duplicate url".to_owned()),
    ] {
        register(&registry, "2", entry).await;
        refuse(&mut newcomer, &why);
        registry.delete(format!("{MEMBERS}/2")).await.expect("a deletion");
    }
    await_logged(
        &newcomer,
        &["\"level\":\"warn\"", "invalid peer info returned from discovery service", "nobody"],
    );
}

#[tokio::test]
async fn what_cannot_be_asked_with_is_refused() {
    let (service, _) = service("1").await;
    let endpoints = service.client_address();
    let cases: [(&[&str], &str); 3] = [
        (&["--discovery-cacert=/nosuch/ca.crt"], "/nosuch/ca.crt"),
        (
            &["--discovery-cert=/nosuch/cert"],
            "KeyFile and CertFile must both be present[key: , cert: /nosuch/cert]",
        ),
        (
            &["--initial-cluster-state=existing"],
            "discovery URL should not be set when joining existing initial cluster",
        ),
    ];
    for (flags, why) in cases {
        refuse(&mut member("m0", &endpoints, flags), why);
    }
}
