//! A discovery service that knows its users, or demands certificates.

use client::{Access, Client, prefix};
use testkit::pki::{Authority, Request};
use testkit::ports::free_port;
use testkit::{Server, wait};

use crate::{SIZE, await_logged, member, program, service, start, write_and_read_everywhere};

/// Allows a user to do what members do, and nobody else anything.
async fn enable_users(registry: &Client) {
    let auth = registry.auth();
    auth.user_add("root", "secret").await.expect("a user");
    auth.user_grant_role("root", "root").await.expect("a role");
    auth.role_add("founder").await.expect("a role");
    auth.role_grant("founder", Access::ReadWrite, prefix("/_etcd/registry")).await.expect("a permission");
    auth.user_add("founder", "word").await.expect("a user");
    auth.user_grant_role("founder", "founder").await.expect("a role");
    auth.enable().await.expect("authentication");
}

#[tokio::test]
async fn a_user_with_a_password_founds_a_cluster() {
    let (service, registry) = service("2").await;
    enable_users(&registry).await;
    let endpoints = service.client_address();
    let mut wrong = member("m0", &endpoints, &["--discovery-user=founder", "--discovery-password=wrong"]);
    wrong.spawn().expect("it starts");
    assert_eq!(wrong.wait().code(), Some(1));
    await_logged(&wrong, &["authentication failed, invalid user ID or password"]);
    // As in etcd, a refusal is no reason to give up.
    let mut nobody = member("m0", &endpoints, &[]);
    nobody.spawn().expect("it starts");
    await_logged(&nobody, &["failed to get cluster size from discovery service", "user name is empty"]);
    nobody.kill();

    let mut members = [
        member("m0", &endpoints, &["--discovery-user=founder", "--discovery-password=word"]),
        member("m1", &endpoints, &["--discovery-user=founder:word"]),
    ];
    start(&mut members);
    write_and_read_everywhere(&members, "one").await;
    assert!(members.iter().all(|member| !member.log().contains("word\"")), "passwords are not logged");
}

#[tokio::test]
async fn a_service_with_tls_is_asked_with_certificates() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let ca = Authority::new("test CA");
    std::fs::write(file("ca.crt"), ca.pem()).expect("a file in a fresh directory");
    ca.issue(&Request::named("service")).write(directory.path(), "service");
    ca.issue(&Request::named("founder")).write(directory.path(), "founder");
    let secure = format!("127.0.0.1:{}", free_port());
    let mut service = Server::prepare(&program(), "service", &[]);
    let plain = service.client_address();
    let flags = [
        format!("--listen-client-urls=http://{plain},https://{secure}"),
        format!("--advertise-client-urls=https://{secure}"),
        format!("--cert-file={}", file("service.crt")),
        format!("--key-file={}", file("service.key")),
        format!("--trusted-ca-file={}", file("ca.crt")),
        "--client-cert-auth".to_owned(),
    ];
    service.set_extra(&flags.each_ref().map(String::as_str));
    service.restart();
    let registry = Client::builder().endpoints([&plain]).connect().await.expect("a client");
    registry.put(SIZE, "2").await.expect("a write");

    let certificates = [
        format!("--discovery-cacert={}", file("ca.crt")),
        format!("--discovery-cert={}", file("founder.crt")),
        format!("--discovery-key={}", file("founder.key")),
    ];
    let unverified = ["--discovery-insecure-transport=false", "--discovery-insecure-skip-tls-verify"];
    let mut unknown = member("m1", &secure, &["--discovery-insecure-transport=false"]);
    unknown.spawn().expect("it starts");
    await_logged(&unknown, &["failed to get cluster size from discovery service", "certificate"]);
    unknown.kill();
    let all: Vec<&str> = certificates.iter().map(String::as_str).collect();
    let skipping: Vec<&str> = all[1..].iter().copied().chain(unverified).collect();
    let mut members = [
        member("m0", &format!("https://{secure}"), &all),
        // Without a scheme, and without a CA.
        member("m1", &secure, &skipping),
    ];
    start(&mut members);
    write_and_read_everywhere(&members, "one").await;
    wait::until("both to be registered", || {
        members
            .iter()
            .all(|member| member.log().contains("register member itself successfully"))
            .then_some(())
    });
}
