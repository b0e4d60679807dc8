//! Who a client is by the common name of its certificate, and where that counts for nothing (rule S5).

use std::sync::Arc;

use proto::authpb::{Permission, UserAddOptions, permission::Type};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use rustls::ClientConfig;
use testkit::Server;
use testkit::pki::{Certificate, Request};
use tokio_stream::StreamExt;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::client::{channel, config, post, put, read, trusting};
use crate::{Kit, secured, set_extra};

const DENIED: (Code, &str) = (Code::PermissionDenied, "etcdserver: permission denied");
const NO_USER: (Code, &str) = (Code::InvalidArgument, "etcdserver: user name is empty");
const UNKNOWN_USER: (Code, &str) = (Code::FailedPrecondition, "etcdserver: user name not found");
const NO_TOKEN: (Code, &str) = (Code::Unauthenticated, "etcdserver: invalid auth token");

/// A member with users: root; alice and bob, who may read and write what begins with the first letter of their names, bob
/// with a password only.
struct World {
    kit: Kit,
    server: Server,
    secure: String,
}

impl World {
    async fn new(extra: &[&str]) -> World {
        let kit = Kit::new();
        let flags = kit.client_flags();
        World::with(kit, flags, extra).await
    }

    async fn with(kit: Kit, mut flags: Vec<String>, extra: &[&str]) -> World {
        flags.push("--bcrypt-cost=4".to_owned());
        flags.extend(extra.iter().map(|flag| (*flag).to_owned()));
        let (mut server, secure) = secured("default", &[]);
        flags.extend([
            format!("--listen-client-urls=http://{},https://{secure}", server.client_address()),
            format!("--advertise-client-urls=https://{secure}"),
        ]);
        set_extra(&mut server, &flags);
        server.restart();
        let world = World { kit, server, secure };
        world.found().await;
        world
    }

    async fn found(&self) {
        let mut auth = AuthClient::new(self.plain());
        for (name, role, no_password) in [("root", "root", false), ("alice", "a", true), ("bob", "b", false)]
        {
            let password = if no_password { String::new() } else { name.to_owned() };
            let options = Some(UserAddOptions { no_password });
            let user =
                pb::AuthUserAddRequest { name: name.to_owned(), password, options, ..Default::default() };
            auth.user_add(user).await.expect("a user");
            if role != "root" {
                auth.role_add(pb::AuthRoleAddRequest { name: role.to_owned() }).await.expect("a role");
                let end = char::from(role.as_bytes()[0] + 1).to_string();
                let perm = Permission {
                    perm_type: Type::Readwrite as i32,
                    key: role.to_owned().into(),
                    range_end: end.into(),
                };
                let grant = pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(perm) };
                auth.role_grant_permission(grant).await.expect("a permission");
            }
            let grant = pb::AuthUserGrantRoleRequest { user: name.to_owned(), role: role.to_owned() };
            auth.user_grant_role(grant).await.expect("a role");
        }
        auth.auth_enable(pb::AuthEnableRequest {}).await.expect("authentication is on");
    }

    /// The address without TLS.
    fn plain(&self) -> Channel {
        let address = format!("http://{}", self.server.client_address());
        Endpoint::from_shared(address).expect("a URL").connect_lazy()
    }

    /// A client with a certificate of this common name.
    fn showing(&self, name: &str) -> Arc<ClientConfig> {
        self.with_certificate(&self.kit.client(name))
    }

    fn with_certificate(&self, certificate: &Certificate) -> Arc<ClientConfig> {
        config(&self.kit.ca.pem(), Some(certificate))
    }

    fn channel(&self, name: &str) -> Channel {
        channel(&self.secure, &self.showing(name))
    }

    async fn put(&self, name: &str, key: &str) -> Result<(), Status> {
        put(&self.secure, &self.showing(name), key).await
    }

    async fn login(&self, name: &str) -> String {
        let request = pb::AuthenticateRequest { name: name.to_owned(), password: name.to_owned() };
        AuthClient::new(self.plain()).authenticate(request).await.expect("a token").into_inner().token
    }

    /// Whether a key is there, as root sees it.
    async fn has(&self, key: &str) -> bool {
        read(&self.secure, &self.showing("root"), key).await.expect("root reads").is_some()
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("it is refused");
    (status.code(), status.message().to_owned())
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, (code, text): (Code, &str)) {
    assert_eq!(refusal(result), (code, text.to_owned()));
}

fn with_metadata<T>(message: T, name: &'static str, value: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert(name, MetadataValue::try_from(value).expect("ASCII"));
    request
}

fn put_request(key: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: "v".into(), ..Default::default() }
}

#[tokio::test]
async fn a_certificate_names_a_user_who_may_what_the_roles_permit() {
    let world = World::new(&[]).await;
    world.put("alice", "a1").await.expect("alice writes");
    assert!(world.has("a1").await);
    assert_refused(world.put("alice", "b1").await, DENIED);
    let alice = world.showing("alice");
    assert_eq!(read(&world.secure, &alice, "a1").await.expect("alice reads").as_deref(), Some("v"));
    assert_refused(read(&world.secure, &alice, "b1").await, DENIED);
    let list = |name: &str| {
        let mut auth = AuthClient::new(world.channel(name));
        async move { auth.user_list(pb::AuthUserListRequest {}).await }
    };
    assert_refused(list("alice").await, DENIED);
    list("root").await.expect("root manages users");
    // A name that is no user's, and a certificate without a name.
    assert_refused(world.put("mallory", "a1").await, DENIED);
    assert_refused(list("mallory").await, UNKNOWN_USER);
    assert_refused(world.put("", "a1").await, DENIED);
    assert_refused(list("").await, NO_USER);
    // Not a name that looks like one.
    for name in ["Alice", "alice ", "alice\0", "alice,root", "root/alice"] {
        assert_refused(world.put(name, "a1").await, DENIED);
    }
    // What is taken away is gone at once, on connections that stand as well.
    let mut kv = KvClient::new(world.channel("alice"));
    kv.put(put_request("a2")).await.expect("alice writes");
    let revoke = pb::AuthUserRevokeRoleRequest { name: "alice".to_owned(), role: "a".to_owned() };
    AuthClient::new(world.channel("root")).user_revoke_role(revoke).await.expect("root takes a role");
    assert_refused(kv.put(put_request("a3")).await, DENIED);
    assert!(!world.has("a3").await);
}

#[tokio::test]
async fn streams_and_leases_know_the_user_of_the_certificate() {
    let world = World::new(&[]).await;
    let watch = |key: &'static str| {
        let create = pb::WatchCreateRequest { key: key.into(), ..Default::default() };
        let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = tokio_stream::once(request).chain(tokio_stream::pending());
        let mut client = WatchClient::new(world.channel("alice"));
        async move {
            let mut stream = client.watch(requests).await.expect("a stream").into_inner();
            let created = stream.message().await.expect("an answer").expect("an answer");
            (created.canceled, stream)
        }
    };
    assert!(watch("b1").await.0, "alice may not watch it");
    let (is_canceled, mut stream) = watch("a1").await;
    assert!(!is_canceled);
    world.put("root", "a1").await.expect("root writes");
    assert_eq!(stream.message().await.expect("an event").expect("an event").events.len(), 1);

    let mut leases = LeaseClient::new(world.channel("alice"));
    let lease = leases.lease_grant(pb::LeaseGrantRequest { ttl: 600, id: 7 }).await.expect("a lease");
    let id = lease.into_inner().id;
    let attach = pb::PutRequest { lease: id, ..put_request("b1") };
    KvClient::new(world.channel("root")).put(attach).await.expect("root attaches a key");
    assert_refused(leases.lease_revoke(pb::LeaseRevokeRequest { id }).await, DENIED);
    let request = pb::LeaseTimeToLiveRequest { id, keys: true };
    assert_refused(leases.lease_time_to_live(request).await, DENIED);
    assert!(world.has("b1").await);
}

#[tokio::test]
async fn a_token_beats_the_certificate_also_when_it_is_none() {
    let world = World::new(&[]).await;
    let bob = world.login("bob").await;
    let mut kv = KvClient::new(world.channel("alice"));
    for name in ["token", "authorization"] {
        kv.put(with_metadata(put_request("b1"), name, &bob)).await.expect("it is bob who writes");
        assert_refused(kv.put(with_metadata(put_request("a1"), name, &bob)).await, DENIED);
        for forged in ["", "abcdefghijklmnop.1", "alice"] {
            assert_refused(kv.put(with_metadata(put_request("a1"), name, forged)).await, NO_TOKEN);
        }
    }
    kv.put(put_request("a1")).await.expect("without a token it is alice");
    // root's certificate does not help a token of somebody else.
    let mut kv = KvClient::new(world.channel("root"));
    assert_refused(kv.put(with_metadata(put_request("a1"), "token", &bob)).await, DENIED);
}

/// A gateway shows its own certificate. What it passes on is not done in its name.
#[tokio::test]
async fn cve_2018_16886_what_comes_through_a_gateway_has_no_user_by_certificate() {
    let world = World::new(&[]).await;
    let mut kv = KvClient::new(world.channel("root"));
    let passed_on = with_metadata(put_request("a1"), "grpcgateway-accept", "*/*");
    assert_refused(kv.put(passed_on).await, NO_USER);
    // Neither as JSON, nor as a call in HTTP/1.1, which is none.
    let root = world.showing("root");
    let message = prost::Message::encode_to_vec(&put_request("a1"));
    let frame = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
    for (path, content_type, body) in [
        ("/v3/kv/put", "application/json", &br#"{"key":"YTE=","value":"dg=="}"#[..]),
        ("/etcdserverpb.KV/Put", "application/grpc", &frame),
        ("/etcdserverpb.KV/Put", "application/grpc+proto", &frame),
        ("/etcdserverpb.KV/Put", "application/grpc-web", &frame),
    ] {
        let answer = post(&world.secure, path, content_type, body, &root).expect("an answer");
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{path} {content_type}: {answer}");
        assert!(!world.has("a1").await, "{path} {content_type}");
    }
}

#[tokio::test]
async fn without_client_cert_auth_or_without_tls_a_certificate_is_nobodys() {
    let kit = Kit::new();
    // With a CA certificates are demanded, but name nobody.
    let flags = kit.client_flags().into_iter().filter(|flag| flag != "--client-cert-auth").collect();
    let world = World::with(kit, flags, &[]).await;
    assert_refused(world.put("root", "a1").await, NO_USER);
    put(&world.secure, &config(&world.kit.ca.pem(), None), "a1").await.expect_err("no certificate");
    let world = World::new(&[]).await;
    assert_refused(KvClient::new(world.plain()).put(put_request("a1")).await, NO_USER);
}

/// A peer with the name of a user is a peer.
#[tokio::test]
async fn the_peer_port_answers_no_calls_of_clients_whatever_their_certificates_say() {
    let kit = Kit::new();
    let flags = [kit.client_flags(), kit.peer_flags()].concat();
    let mut members = crate::cluster::prepare(&[flags]);
    crate::cluster::start(&mut members);
    let peer_port = members[0].server.peer_address();
    let root = config(&kit.peer_ca.pem(), Some(&kit.peer_ca.issue(&Request::named("root"))));
    put(&peer_port, &root, "a1").await.expect_err("a call on the peer port");
    for content_type in ["application/grpc", "application/json"] {
        for path in ["/etcdserverpb.KV/Put", "/v3/kv/put"] {
            let answer = post(&peer_port, path, content_type, b"{}", &root).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
    }
    let client = config(&kit.ca.pem(), Some(&kit.client("alice")));
    assert_eq!(read(&members[0].address, &client, "a1").await.expect("a read"), None);
    // Nor does a certificate of a peer open the clients' port.
    let peer = kit.peer_ca.issue(&Request::named("root"));
    put(&members[0].address, &trusting(Some(&peer)), "a1").await.expect_err("of the peers' CA");
}

/// A page in a browser that a name of somebody else's has led here may send what it likes in HTTP/1.1.
#[tokio::test]
async fn a_call_in_http_1_does_not_get_past_the_host_whitelist() {
    let world = World::new(&["--host-whitelist=good.example,127.0.0.1"]).await;
    let request = "POST /etcdserverpb.KV/Put HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\
                   Content-Type: application/grpc\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0";
    let answer = crate::client::say(&world.server.client_address(), request).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    // With TLS the certificate says which host this is, and any name will do.
    let any = crate::client::get(&world.secure, "/version", &world.showing("alice")).expect("an answer");
    assert!(any.starts_with("HTTP/1.1 200 "), "Host: localhost is not on the list: {any}");
    let other = crate::client::say(
        &world.server.client_address(),
        "GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(other.expect("an answer").starts_with("HTTP/1.1 421 "));
}

/// The gateway takes a token and no certificate. Who shows one with a name would be taken for another than with gRPC, and is refused.
#[tokio::test]
async fn the_gateway_ignores_certificates_and_refuses_names() {
    let world = World::new(&[]).await;
    let put = r#"{"key":"YQ==","value":"YQ=="}"#;
    let ask = |name: &str| {
        let config = world.showing(name);
        post(&world.secure, "/v3/kv/put", "application/json", put.as_bytes(), &config).expect("an answer")
    };
    let named = ask("alice");
    assert!(named.starts_with("HTTP/1.1 400 "), "{named}");
    assert!(
        named.contains("CommonName of client sending a request against gateway will be ignored"),
        "{named}"
    );
    let nameless = ask("");
    assert!(nameless.contains(NO_USER.1), "{nameless}");
}
