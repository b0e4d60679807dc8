//! The lines that etcd's own tests and people's scripts wait for, with etcd's fields.

use client::Client;
use serde_json::json;
use testkit::ports::free_port;
use testkit::{Server, wait};

use crate::{await_line, lines, program};

async fn client_of(server: &Server) -> Client {
    Client::builder().endpoints([server.client_address()]).connect().await.expect("a client")
}

#[tokio::test]
async fn a_member_says_how_it_starts_and_stops() {
    let metrics = format!("http://127.0.0.1:{}", free_port());
    let listen = format!("--listen-metrics-urls={metrics}");
    let flags =
        ["--discovery-password=secret", "--max-learners=3", "--auto-compaction-retention=72h", &listen];
    let mut server = Server::start(&program(), &flags);
    let (client, peer) =
        (format!("http://{}", server.client_address()), format!("http://{}", server.peer_address()));
    let data = server.data_dir().display().to_string();

    let running = await_line(&server, "Running: ");
    let args: Vec<&str> =
        running["args"].as_array().expect("a list").iter().filter_map(|word| word.as_str()).collect();
    assert!(args[0].ends_with("quorate") && args.contains(&"--max-learners=3"), "{running}");
    assert!(!running.to_string().contains("secret"), "{running}");
    let new = await_line(&server, "Initialize and start etcd server");
    assert_eq!((&new["data-dir"], &new["dir-type"]), (&json!(data), &json!("empty")));
    let starting = await_line(&server, "starting an etcd server");
    for (field, value) in [
        ("etcd-version", json!("3.7.1")),
        ("name", json!("default")),
        ("data-dir", json!(data)),
        ("member-initialized", json!(false)),
        ("heartbeat-interval", json!("100ms")),
        ("election-timeout", json!("1s")),
        ("listen-client-urls", json!([client])),
        ("initial-advertise-peer-urls", json!([peer])),
        ("cors", json!(["*"])),
        ("initial-cluster", json!(server.peer_entry())),
        ("initial-cluster-state", json!("new")),
        ("initial-cluster-token", json!("etcd-cluster")),
        ("quota-backend-bytes", json!(2_147_483_648_u64)),
        ("max-request-bytes", json!(1_572_864)),
        ("pre-vote", json!(true)),
        ("auto-compaction-mode", json!("periodic")),
        ("auto-compaction-retention", json!("72h0m0s")),
        ("max-learners", json!(3)),
        ("v2-deprecation", json!("write-only")),
    ] {
        assert_eq!(starting[field], value, "{field}");
    }
    assert_eq!(await_line(&server, "configuring peer listeners")["listen-peer-urls"], json!([peer]));
    assert_eq!(await_line(&server, "configuring client listeners")["listen-client-urls"], json!([client]));
    let serving = await_line(&server, "serving client traffic insecurely; this is strongly discouraged!");
    assert_eq!(serving["address"], json!(client));
    assert_eq!(await_line(&server, "serving metrics")["address"], json!(metrics));
    await_line(&server, "ready to serve client requests");

    server.terminate();
    for message in ["closing etcd server", "closed etcd server"] {
        let line = await_line(&server, message);
        assert_eq!((&line["name"], &line["data-dir"]), (&json!("default"), &json!(data)));
        assert_eq!(line["advertise-client-urls"], json!([client]));
    }
    server.restart();
    assert_eq!(await_line(&server, "server has already been initialized")["dir-type"], "member");
    let again = await_line(&server, "restarting local member");
    assert_eq!(again["local-member-id"], await_line(&server, "starting local member")["local-member-id"]);
}

#[tokio::test]
async fn a_member_says_who_leads_and_who_is_in_the_cluster() {
    let mut server = Server::start(&program(), &[]);
    let local = await_line(&server, "starting local member");
    let id = local["local-member-id"].as_str().expect("an id").to_owned();
    let leads = |log: &str| {
        let elected = format!("raft.node: {id} elected leader {id} at term ");
        log.contains(&elected) && log.contains(&format!("\"msg\":\"{id} became leader at term "))
    };
    wait::until("a leader in the log", || leads(&server.log()).then_some(()));
    let added = await_line(&server, "added member");
    for (field, value) in [
        ("cluster-id", local["cluster-id"].clone()),
        ("local-member-id", json!(id)),
        ("added-peer-id", json!(id)),
        ("added-peer-peer-urls", json!([format!("http://{}", server.peer_address())])),
        ("added-peer-is-learner", json!(false)),
    ] {
        assert_eq!(added[field], value, "{field}");
    }
    for message in [
        "setting up initial cluster version using v3 API",
        "set initial cluster version",
        "cluster version is updated",
    ] {
        assert_eq!(await_line(&server, message)["cluster-version"], "3.7", "{message}");
    }

    let client = client_of(&server).await;
    let learner = client.cluster().add_learner(["http://127.0.0.1:1"]).await.expect("a learner");
    wait::until("a learner in the log", || {
        let added = lines(&server.log(), "added member");
        added.iter().any(|line| line["added-peer-is-learner"] == true).then_some(())
    });
    client.cluster().remove(learner.member.id).await.expect("it goes");
    let removed = await_line(&server, "removed member");
    assert_eq!(removed["removed-remote-peer-urls"], json!(["http://127.0.0.1:1"]));

    server.terminate();
    server.restart();
    assert_eq!(
        await_line(&server, "recovered/added member from store")["recovered-remote-peer-id"],
        json!(id)
    );
    assert_eq!(await_line(&server, "set cluster version from store")["cluster-version"], "3.7");
    assert_eq!(lines(&server.log(), "added member").len(), 2, "a restart adds nobody");
}

#[tokio::test]
async fn a_compaction_and_what_a_defragmentation_would_free_are_said() {
    let mut server = Server::start(&program(), &[]);
    let client = client_of(&server).await;
    client.put("key", "one").await.expect("a write");
    let answer = client.put("key", "two").await.expect("a write");
    client.compact(answer.header.revision).await.expect("a compaction");
    let finished = await_line(&server, "finished scheduled compaction");
    assert_eq!(finished["compact-revision"], json!(answer.header.revision.0));
    assert!(finished["hash"].is_u64() && finished["took"].is_string(), "{finished}");

    server.terminate();
    server.set_extra(&["--bootstrap-defrag-threshold-megabytes=1000"]);
    server.restart();
    let skipped = await_line(&server, "Skipping defragmentation");
    assert_eq!(skipped["bootstrap-defrag-threshold-bytes"], json!(1000_u64 << 20));
    assert_eq!(skipped["bootstrap-defrag-threshold"], "1.0 GB");
    assert!(skipped["current-db-size-in-use-bytes"].as_u64() <= skipped["current-db-size-bytes"].as_u64());
    assert!(lines(&server.log(), "finished defragmenting").is_empty());
}

/// A database from which much was deleted is small again after a start.
#[tokio::test]
async fn a_database_is_defragmented_at_the_start_if_that_frees_enough() {
    let mut server = Server::start(&program(), &[]);
    let client = client_of(&server).await;
    let value = "v".repeat(1 << 20);
    for number in 0..8 {
        client.put(format!("key{number}"), value.as_str()).await.expect("a write");
    }
    server.terminate();
    server.restart();
    let client = client_of(&server).await;
    let deleted = client.delete(client::prefix("key")).await.expect("a deletion");
    client.compact(deleted.header.revision).await.expect("a compaction");
    server.terminate();
    server.set_extra(&["--bootstrap-defrag-threshold-megabytes=1"]);
    server.restart();
    let done = await_line(&server, "finished defragmenting");
    assert!(done["bytes-after"].as_u64() < done["bytes-before"].as_u64(), "{done}");
    assert!(client_of(&server).await.get("key0").await.expect("a read").kvs.is_empty());
}

#[test]
fn flags_that_etcd_will_drop_are_said() {
    let flags = ["--max-snapshots=10", "--v2-deprecation=gone"];
    let server = Server::start(&program(), &flags);
    for message in [
        "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.",
        "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user \
         input.",
        "it isn't recommended to use default name, please set a value for --name. Note that etcd might run into issue when \
         multiple members have the same default name",
        "Running http and grpc server on single port. This is not recommended for production.",
    ] {
        assert_eq!(await_line(&server, message)["level"], "warn", "{message}");
    }
}
