//! Calls of every service through `grpc-proxy start`, with the members' answers and refusals.

use std::time::Duration;

use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{self as pb, RangeRequest};
use proto::v3electionpb::election_client::ElectionClient;
use proto::v3lockpb::lock_client::LockClient;
use testkit::{http, wait};
use tonic::{Code, Request, Status};

use crate::support::{Proxy, channel, etcdctl, get, kv, member, metric, put, run};

fn as_user<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("token", token.parse().expect("a token"));
    request
}

fn key(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..Default::default() }
}

#[tokio::test]
async fn every_service_is_passed_on() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let address = proxy.address();
    put(&address, "k", "v").await;
    assert_eq!(get(&address, key("k")).await, [("k".to_owned(), "v".to_owned())]);
    let mut maintenance = MaintenanceClient::new(channel(&address));
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.header.unwrap().revision, 2);
    let mut snapshot = maintenance.snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    let mut bytes = 0;
    while let Some(piece) = snapshot.message().await.unwrap() {
        bytes += piece.blob.len();
    }
    assert!(bytes > 4096, "{bytes}");
    let lease = pb::lease_client::LeaseClient::new(channel(&address))
        .lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 7 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!((lease.id, lease.ttl), (7, 60));
    let lock = proto::v3lockpb::LockRequest { name: "l".into(), lease: 7 };
    let lock = LockClient::new(channel(&address)).lock(lock).await.unwrap().into_inner();
    assert!(lock.key.starts_with(b"l/"));
    let campaign = proto::v3electionpb::CampaignRequest { name: "e".into(), lease: 7, value: "me".into() };
    let mut election = ElectionClient::new(channel(&address));
    election.campaign(campaign).await.unwrap();
    let observed = election.observe(proto::v3electionpb::LeaderRequest { name: "e".into() }).await;
    let leader = observed.unwrap().into_inner().message().await.unwrap().unwrap();
    assert_eq!(leader.kv.unwrap().value, "me");
    let users = AuthClient::new(channel(&address)).auth_status(pb::AuthStatusRequest {}).await.unwrap();
    assert!(!users.into_inner().enabled);
}

#[tokio::test]
async fn refusals_are_the_members_own() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let of = async |address: String| -> Vec<(Code, String)> {
        let mut kv = kv(&address);
        let said = |status: Status| (status.code(), status.message().to_owned());
        let future = RangeRequest { revision: 99, ..key("k") };
        let lease = pb::PutRequest { key: "k".into(), lease: 99, ..Default::default() };
        vec![
            said(kv.range(RangeRequest::default()).await.unwrap_err()),
            said(kv.range(future).await.unwrap_err()),
            said(kv.put(lease).await.unwrap_err()),
            said(kv.compact(pb::CompactionRequest { revision: 99, physical: false }).await.unwrap_err()),
        ]
    };
    let refused = of(proxy.address()).await;
    assert_eq!(refused, of(member.client_address()).await);
    assert_eq!(refused[0], (Code::InvalidArgument, "etcdserver: key is not provided".to_owned()));
    let stream = kv(&proxy.address()).range_stream(key("k")).await.unwrap_err();
    assert_eq!(
        (stream.code(), stream.message()),
        (Code::Unimplemented, "RangeStream is not supported by the gRPC proxy")
    );
}

#[tokio::test]
async fn a_client_has_its_own_deadline() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    put(&proxy.address(), "k", "v").await;
    member.pause();
    let mut request = Request::new(key("k"));
    request.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
    // The client's library counts, too, and may be first.
    let status = kv(&proxy.address()).range(request).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
    // Whoever was first, the call has ended at the proxy, while the member says nothing.
    let address = proxy.address();
    let ended = move || {
        let of = |code: &str| {
            let labels = "grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
            let name = format!("grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}}");
            metric(&address, "/proxy/metrics", &name)
        };
        (of("DeadlineExceeded") + of("Canceled") == 1.0).then_some(())
    };
    tokio::task::spawn_blocking(move || wait::until("the call has ended", ended)).await.expect("it has");
    member.resume();
}

#[tokio::test]
async fn calls_are_their_callers() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut auth = AuthClient::new(channel(&proxy.address()));
    for name in ["root", "nobody"] {
        let (name, password) = (name.to_owned(), name.to_owned());
        let add = pb::AuthUserAddRequest { name, password, ..Default::default() };
        auth.user_add(add).await.unwrap();
    }
    let root = pb::AuthUserGrantRoleRequest { user: "root".to_owned(), role: "root".to_owned() };
    auth.role_add(pb::AuthRoleAddRequest { name: "root".to_owned() }).await.unwrap();
    auth.user_grant_role(root).await.unwrap();
    put(&proxy.address(), "k", "v").await;
    let serializable = RangeRequest { serializable: true, ..key("k") };
    get(&proxy.address(), serializable.clone()).await;
    auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
    // What was read before is not answered from the cache any more.
    let status = kv(&proxy.address()).range(serializable.clone()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "etcdserver: user name is empty"));
    let mut token = async |name: &str| {
        let login = pb::AuthenticateRequest { name: name.to_owned(), password: name.to_owned() };
        auth.authenticate(login).await.unwrap().into_inner().token
    };
    let (root, nobody) = (token("root").await, token("nobody").await);
    let mut kv = kv(&proxy.address());
    for _ in 0..2 {
        assert_eq!(kv.range(as_user(&root, serializable.clone())).await.unwrap().into_inner().count, 1);
        let status = kv.range(as_user(&nobody, serializable.clone())).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::PermissionDenied, "etcdserver: permission denied")
        );
    }
}

#[tokio::test]
async fn proxies_register_and_are_the_members_that_clients_see() {
    let member = member();
    let start = |name: &str| {
        let advertised = format!("--advertise-client-url={name}:1");
        let endpoints = member.client_address();
        Proxy::start(
            "grpc-proxy",
            &["--endpoints", &endpoints, &advertised, "--resolver-prefix=p", "--resolver-ttl=5"],
        )
    };
    let (first, _second) = (start("a"), start("b"));
    let mut cluster = ClusterClient::new(channel(&first.address()));
    let both = async {
        loop {
            let answer = cluster.member_list(pb::MemberListRequest::default()).await.expect("a list");
            let members = answer.into_inner().members.into_iter();
            let listed: Vec<String> = members.flat_map(|member| member.client_ur_ls).collect();
            if listed.len() == 2 {
                return listed;
            }
        }
    };
    let listed = tokio::time::timeout(Duration::from_secs(60), both).await.expect("both register");
    assert_eq!(listed, ["a:1", "b:1"]);
    let registered =
        get(&member.client_address(), RangeRequest { range_end: "p0".into(), ..key("p/") }).await;
    assert_eq!(registered[0].0, "p/a:1");
    assert!(
        registered[0].1.starts_with("{\"Op\":0,\"Addr\":\"a:1\",\"Metadata\":\"{\\\"name\\\":"),
        "{registered:?}"
    );
}

#[test]
fn health_and_metrics_are_those_of_the_members_and_of_the_proxy() {
    let member = member();
    let metrics = testkit::server::free_port();
    let flags = [
        "--endpoints",
        &member.client_address(),
        &format!("--metrics-addr=http://127.0.0.1:{metrics}"),
        "--experimental-serializable-ordering",
    ];
    let proxy = Proxy::start("grpc-proxy", &flags);
    for address in [proxy.address(), format!("127.0.0.1:{metrics}")] {
        for path in ["/health", "/proxy/health"] {
            let answer = http::get(&address, path);
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, "{\"health\":\"true\",\"reason\":\"\"}"),
                "{path}"
            );
        }
        assert!(http::get(&address, "/metrics").body.contains("etcd_server_has_leader 1"));
        let own = http::get(&address, "/proxy/metrics").body;
        assert!(
            own.contains("etcd_grpc_proxy_cache_hits_total 0") && !own.contains("etcd_server_has_leader"),
            "{own}"
        );
        assert_eq!(http::get(&address, "/version").status, 404);
    }
}

#[test]
fn etcdctl_works_through_the_proxy() {
    let test = "etcdctl_works_through_the_proxy";
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let Some(said) = etcdctl(test, &proxy.address(), &["put", "k", "v"]) else { return };
    assert_eq!(said, "OK\n");
    let etcdctl = |words: &[&str]| etcdctl(test, &proxy.address(), words).expect("it was there");
    assert_eq!(etcdctl(&["get", "--prefix", "", "--consistency=s"]), "k\nv\n");
    assert_eq!(etcdctl(&["lease", "list"]), "found 0 leases\n");
    assert_eq!(etcdctl(&["lock", "l", "echo", "held"]), "held\n");
    assert!(etcdctl(&["member", "list"]).contains("127.0.0.1:23790"));
    assert!(etcdctl(&["endpoint", "status"]).contains("true"));
}

#[test]
fn what_cannot_be_is_refused() {
    for (words, text) in [
        (["grpc-proxy", "start", "--nosuch"].as_slice(), "Error: unknown flag: --nosuch"),
        (&["grpc-proxy", "start", "--resolver-ttl=1"], "invalid resolver-prefix \"\""),
        (
            &["grpc-proxy", "start", "--experimental-leasing-prefix=x"],
            "which this version of quorate does not serve yet",
        ),
        (&["grpc-proxy", "start", "--listen-addr=x"], "listen tcp"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(text), "{words:?}: {said}");
    }
    assert!(String::from_utf8_lossy(&run(&["grpc-proxy"]).stdout).contains("start the grpc proxy"));
}

#[tokio::test]
async fn endpoints_that_take_the_place_of_others_are_said() {
    let member = member();
    let port = member.client_address().rsplit_once(':').expect("host and port").1.to_owned();
    let endpoints = format!("--endpoints=localhost:{port}");
    let proxy = Proxy::start("grpc-proxy", &[&endpoints, "--endpoints-auto-sync-interval=50ms"]);
    let log = tokio::task::spawn_blocking(move || {
        wait::until("the endpoints are those of the member", || {
            let log = proxy.log();
            log.contains("the endpoints are now those of the members").then_some(log)
        })
    });
    assert!(log.await.expect("a log").contains(&format!("127.0.0.1:{port}")));
}
