//! A source that asks for a certificate and a password.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::quorate_v1::Phase;
use testkit::pki::{Authority, Request};
use testkit::{Server, require};
use tonic::metadata::MetadataValue;

use crate::support::{channel, eventually, put_request, quorate};

const PASSWORD: &str = "the password";

async fn enable_auth(server: &Server) {
    let mut auth = AuthClient::new(channel(server));
    let user = |name: &str| pb::AuthUserAddRequest {
        name: name.to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    auth.user_add(user("root")).await.expect("a user");
    auth.user_add(user("reader")).await.expect("a user");
    auth.role_add(pb::AuthRoleAddRequest { name: "root".to_owned() }).await.expect("a role");
    let grant = pb::AuthUserGrantRoleRequest { user: "root".to_owned(), role: "root".to_owned() };
    auth.user_grant_role(grant).await.expect("a grant");
    auth.auth_enable(pb::AuthEnableRequest {}).await.expect("it is enabled");
}

async fn token(server: &Server, name: &str, password: &str) -> Option<MetadataValue<tonic::metadata::Ascii>> {
    let request = pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
    let answer = AuthClient::new(channel(server)).authenticate(request).await.ok()?;
    answer.into_inner().token.parse().ok()
}

fn with<T>(message: T, token: &MetadataValue<tonic::metadata::Ascii>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

async fn read(server: &Server, key: &str, token: &MetadataValue<tonic::metadata::Ascii>) -> Option<String> {
    let range = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
    let answer = KvClient::new(channel(server)).range(with(range, token)).await.ok()?.into_inner();
    answer.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}

/// Users come with their passwords, and what changes later comes too.
async fn users_are_followed(program: &testkit::Program) {
    let source = Server::start(program, &[]);
    enable_auth(&source).await;
    let root = token(&source, "root", PASSWORD).await.expect("a token");
    let mut kv = KvClient::new(channel(&source));
    kv.put(with(put_request("k", "v", 0), &root)).await.expect("a put");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("a file");
    let follower = Server::start(
        &quorate(),
        &[
            &format!("--follow-endpoints={}", source.client_address()),
            "--follow-user=root",
            &format!("--follow-password-file={}", file.display()),
        ],
    );
    let own = eventually("the password of the source", || token(&follower, "root", PASSWORD)).await;
    eventually("the key", || async { (read(&follower, "k", &own).await? == "v").then_some(()) }).await;
    assert!(token(&follower, "root", "another").await.is_none());
    // Without a login nothing is read.
    let range = pb::RangeRequest { key: "k".into(), ..Default::default() };
    assert!(KvClient::new(channel(&follower)).range(range).await.is_err());
    let mut auth = AuthClient::new(channel(&source));
    let added =
        pb::AuthUserAddRequest { name: "late".to_owned(), password: "l".to_owned(), ..Default::default() };
    auth.user_add(with(added, &root)).await.expect("a user");
    eventually("the later user", || token(&follower, "late", "l")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_an_etcd_log_in_with_their_passwords() {
    users_are_followed(&require!("users of an etcd", testkit::Program::etcd())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_quorate_log_in_with_their_passwords() {
    users_are_followed(&quorate()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_with_tls_is_followed_by_whom_it_trusts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let authority = Authority::new("ca");
    let signed = authority.issue(&Request::named("member"));
    let ca = file("ca.pem", &authority.pem());
    let (cert, key) = (file("cert.pem", &signed.cert), file("key.pem", &signed.key));
    // Beside the listener without TLS, that the harness polls.
    let port = testkit::server::free_port();
    let mut source = Server::prepare(&quorate(), "default", &[]);
    let (plain, secure) =
        (format!("http://{}", source.client_address()), format!("https://127.0.0.1:{port}"));
    let flags = [
        format!("--listen-client-urls={plain},{secure}"),
        format!("--advertise-client-urls={secure}"),
        format!("--cert-file={cert}"),
        format!("--key-file={key}"),
        format!("--trusted-ca-file={ca}"),
        "--client-cert-auth".to_owned(),
    ];
    source.set_extra(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    source.restart();
    let mut kv = KvClient::new(channel(&source));
    kv.put(put_request("k", "v", 0)).await.expect("a put");
    let endpoints = format!("--follow-endpoints={secure}");
    let stranger = Server::start(&quorate(), &[&endpoints, &format!("--follow-cacert={ca}")]);
    let known = [
        endpoints.clone(),
        format!("--follow-cacert={ca}"),
        format!("--follow-cert={cert}"),
        format!("--follow-key={key}"),
    ];
    let follower = Server::start(&quorate(), &known.each_ref().map(|flag| &flag[..]));
    crate::support::caught_up(&follower, &source).await;
    assert_eq!(crate::support::get(&follower, "k").await.expect("a read"), Some("v".to_owned()));
    let refused = crate::support::status(&stranger).await.expect("a status");
    assert_eq!(refused.phase(), Phase::None, "it has no certificate to show");
}
