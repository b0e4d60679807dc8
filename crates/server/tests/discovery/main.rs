//! Members that find each other through a discovery service, which is another member of ours.

mod refused;
mod secured;

use std::os::unix::process::ExitStatusExt;

use client::{Client, prefix};
use testkit::{Program, Server, wait};

/// The token of the registry.
const TOKEN: &str = "8A591FAB-1D72-41FA-BDF2-A27162FDA1E0";

const MEMBERS: &str = "/_etcd/registry/8A591FAB-1D72-41FA-BDF2-A27162FDA1E0/members";

const SIZE: &str = "/_etcd/registry/8A591FAB-1D72-41FA-BDF2-A27162FDA1E0/_config/size";

/// The binary that Cargo built.
fn program() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built")
}

async fn client_of(server: &Server) -> Client {
    Client::builder().endpoints([server.client_address()]).connect().await.expect("a client")
}

/// A discovery service whose registry is for a cluster of this size.
async fn service(size: &str) -> (Server, Client) {
    service_of(&program(), size).await
}

async fn service_of(program: &Program, size: &str) -> (Server, Client) {
    let service = Server::start(program, &[]);
    let client = client_of(&service).await;
    client.put(SIZE, size).await.expect("a write");
    (service, client)
}

/// A member that is told of the service and of nothing else.
fn member(name: &str, endpoints: &str, extra: &[&str]) -> Server {
    let mut member = Server::prepare(&program(), name, extra);
    member.set_discovery_service(endpoints, TOKEN);
    member
}

/// The URLs of those that have registered, the first first.
async fn registered(client: &Client) -> Vec<String> {
    let answer = client.get(prefix(MEMBERS)).await.expect("a read");
    let mut kvs = answer.kvs;
    kvs.sort_by_key(|kv| kv.create_revision);
    kvs.iter().map(|kv| kv.value_str().into_owned()).collect()
}

fn await_logged(server: &Server, words: &[&str]) {
    wait::until(&format!("{words:?} in the log of {}", server.name()), || {
        server.log().lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
}

fn start(members: &mut [Server]) {
    members.iter_mut().for_each(|member| member.spawn().expect("it starts"));
    members.iter_mut().for_each(|member| member.await_serving().unwrap_or_else(|why| panic!("{why}")));
}

async fn write_and_read_everywhere(members: &[Server], value: &str) {
    client_of(&members[0]).await.put("key", value).await.expect("a write");
    for member in members {
        let answer = client_of(member).await.get("key").await.expect("a read");
        assert_eq!(answer.first().map(|kv| kv.value_str().into_owned()).as_deref(), Some(value));
    }
}

#[tokio::test]
async fn three_members_found_a_cluster_and_a_fourth_is_refused() {
    let (service, registry) = service("3").await;
    let endpoints = service.client_address();
    let mut members: Vec<Server> =
        ["m0", "m1", "m2"].map(|name| member(name, &format!("http://{endpoints}"), &[])).into();
    start(&mut members);
    write_and_read_everywhere(&members, "one").await;
    let mut entries = registered(&registry).await;
    entries.sort();
    assert_eq!(entries, Vec::from_iter(members.iter().map(Server::peer_entry)));

    let mut fourth = member("m3", &endpoints, &[]);
    fourth.spawn().expect("it starts");
    assert_eq!(fourth.wait().code(), Some(1));
    for words in [
        ["\"level\":\"error\"", "discovery failed to join cluster", "discovery: cluster is full"],
        [
            "\"level\":\"warn\"",
            "failed to bootstrap; discovery token was already used",
            "failed to join discovery cluster (discovery: cluster is full)",
        ],
        [
            "\"level\":\"warn\"",
            "do not reuse discovery token; generate a new one to bootstrap a cluster",
            TOKEN,
        ],
    ] {
        let words = if words[1].starts_with("do not") { &words[..2] } else { &words[..] };
        await_logged(&fourth, words);
    }

    // What their data says counts from now on: the service may be gone.
    drop(service);
    members.iter_mut().for_each(Server::kill);
    start(&mut members);
    write_and_read_everywhere(&members, "two").await;
    await_logged(
        &members[0],
        &["discovery token is ignored since cluster already initialized; valid logs are found"],
    );
}

/// A member that ends while it waits has its place when it comes back.
#[tokio::test]
async fn a_member_that_starts_again_finds_itself_registered() {
    let (service, registry) = service("2").await;
    let endpoints = service.client_address();
    let mut members = [member("m0", &endpoints, &[]), member("m1", &endpoints, &[])];
    members[0].spawn().expect("it starts");
    await_logged(
        &members[0],
        &["waiting for peers from discovery service", "\"clusterSize\":2", "\"found-peers\":1"],
    );
    // Waiting can be interrupted.
    assert_eq!(members[0].terminate().signal(), Some(15));
    assert_eq!(registered(&registry).await, [members[0].peer_entry()]);
    start(&mut members);
    write_and_read_everywhere(&members, "one").await;
    assert_eq!(registered(&registry).await, [members[0].peer_entry(), members[1].peer_entry()]);
    await_logged(&members[0], &["discovery joined cluster successfully", &members[1].peer_entry()]);
}

/// The service comes when a member asks already, and is restarted while another waits.
#[tokio::test]
async fn a_service_that_is_not_there_is_waited_for() {
    let (mut service, _) = service("2").await;
    let endpoints = service.client_address();
    let mut members = [member("m0", &endpoints, &[]), member("m1", &endpoints, &[])];
    members[0].spawn().expect("it starts");
    await_logged(&members[0], &["waiting for peers from discovery service"]);
    service.kill();
    members[1].spawn().expect("it starts");
    let retry = ["retry connecting to discovery service", "cluster status check", "\"backoff\":\"2s\""];
    await_logged(&members[1], &retry);
    service.restart();
    members.iter_mut().for_each(|member| member.await_serving().unwrap_or_else(|why| panic!("{why}")));
    write_and_read_everywhere(&members, "one").await;
}

/// The service may be a cluster of etcd: its keys are all that is needed.
#[tokio::test]
async fn an_etcd_is_a_discovery_service_as_well() {
    let etcd = testkit::require!("an_etcd_is_a_discovery_service_as_well", Program::etcd());
    let (service, registry) = service_of(&etcd, "2").await;
    let endpoints = service.client_address();
    let mut members = [member("m0", &endpoints, &[]), member("m1", &endpoints, &[])];
    start(&mut members);
    write_and_read_everywhere(&members, "one").await;
    assert_eq!(registered(&registry).await.len(), 2);
}
