//! What one member was told about users, all know.

use proto::etcdserverpb as pb;
use testkit::{Cluster, Server, wait};
use tonic::Code;

use crate::program;
use crate::world::{CHEAP, Client};

/// So few entries are kept behind a checkpoint that whoever misses more needs a snapshot.
const FEW_ENTRIES: &[&str] = &["--snapshot-catchup-entries=5", CHEAP];

/// More than a leader sends to a follower that does not answer.
const MANY: usize = 600;

async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let repeat = async {
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = tokio::time::timeout(2 * wait::DEADLINE, repeat).await;
    limit.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}

#[tokio::test]
async fn a_user_and_a_token_of_one_member_are_those_of_all() {
    let mut cluster = Cluster::start(&program(), 3, &[CHEAP]);
    let clients: Vec<Client> = cluster.members().iter().map(Client::of).collect();
    let root = clients[0].found().await;
    let both = clients[1].login("both").await.expect("a user that another member was told of");
    both.put("k", "v").await.expect("a write");
    // At once, on each: the token names the command that a member must have applied to know it.
    for client in &clients {
        let both = client.with_token(both.token.as_ref().expect("a token"));
        assert_eq!(both.get("k").await.unwrap(), ["v"]);
        assert_eq!(both.get("z").await.unwrap_err().code(), Code::PermissionDenied);
    }
    root.delete_user("both").await.unwrap();
    for client in &clients {
        let both = client.with_token(both.token.as_ref().unwrap());
        assert_eq!(both.get("k").await.unwrap_err().code(), Code::Unauthenticated);
    }
    // A member that starts again has users and roles, and hears of tokens from its log or not at all.
    cluster.member_mut(2).kill();
    cluster.member_mut(2).restart();
    let restarted = Client::of(cluster.member(2));
    assert_eq!(restarted.get("k").await.unwrap_err().message(), "etcdserver: user name is empty");
    let reader = restarted.login("reader").await.unwrap();
    assert_eq!(reader.get("k").await.unwrap(), ["v"]);
    assert_eq!(reader.put("k", "w").await.unwrap_err().code(), Code::PermissionDenied);
}

fn serializable() -> pb::RangeRequest {
    pb::RangeRequest { key: "k".into(), serializable: true, ..Default::default() }
}

/// It has users before it answers anybody.
#[tokio::test]
async fn a_member_that_joins_knows_the_users() {
    let mut cluster = Cluster::start(&program(), 1, &[CHEAP]);
    let root = Client::of(cluster.member(0)).found().await;
    root.put("k", "v").await.expect("a put");
    let mut joiner = Server::prepare(&program(), "joiner", &[CHEAP, "--initial-cluster-state=existing"]);
    let url = format!("http://{}", joiner.peer_address());
    let add = pb::MemberAddRequest { peer_ur_ls: vec![url], is_learner: false };
    let denied: Result<pb::MemberAddResponse, _> =
        Client::of(cluster.member(0)).login("both").await.unwrap().call("Cluster/MemberAdd", &add).await;
    assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);
    let _: pb::MemberAddResponse = root.call("Cluster/MemberAdd", &add).await.expect("a member is added");
    joiner.set_cluster(&format!("{},{}", cluster.member(0).peer_entry(), joiner.peer_entry()));
    joiner.restart();
    let place = cluster.push(joiner);
    let nobody = Client::of(cluster.member(place));
    assert!(is_denied(&nobody).await, "without a user nothing is to be read");
    // A token that the other member gave out counts here.
    assert_eq!(nobody.with_token(root.token.as_ref().unwrap()).get("k").await.unwrap(), ["v"]);
    let reader = nobody.login("reader").await.expect("a user of before it joined");
    assert_eq!(reader.get("k").await.unwrap(), ["v"]);
    assert_eq!(reader.put("k", "w").await.unwrap_err().code(), Code::PermissionDenied);
}

async fn is_denied(client: &Client) -> bool {
    let result: Result<pb::RangeResponse, _> = client.call("KV/Range", &serializable()).await;
    result.is_err_and(|status| status.message() == "etcdserver: user name is empty")
}

/// The leader of three, and one that follows. Authentication is off.
#[expect(clippy::unwrap_used, reason = "a member that does not answer fails the test")]
async fn leader_and_another(cluster: &Cluster) -> (&Server, &Server) {
    let mut statuses = Vec::new();
    for member in cluster.members() {
        let status: pb::StatusResponse =
            Client::of(member).call("Maintenance/Status", &pb::StatusRequest {}).await.unwrap();
        statuses.push(status);
    }
    let leader = statuses[0].leader;
    let is_leader = |status: &pb::StatusResponse| status.header.is_some_and(|h| h.member_id == leader);
    let leads = statuses.iter().position(is_leader).expect("a leader");
    (cluster.member(leads), cluster.member((leads + 1) % 3))
}

fn watch() -> pb::WatchRequest {
    let create = pb::WatchCreateRequest { key: "k".into(), ..Default::default() };
    let request_union = Some(pb::watch_request::RequestUnion::CreateRequest(create));
    pb::WatchRequest { request_union }
}

/// How often a member is asked about what it has missed.
const ROUNDS: usize = 10;

/// What another member has acknowledged counts here as well, however far behind this one is when it is asked: a user, a
/// role, a token.
#[tokio::test]
async fn a_member_that_is_behind_catches_up_before_it_refuses() {
    catches_up_before_it_refuses(&[CHEAP]).await;
}

/// A signed token is known to be one without catching up, but not whose.
#[tokio::test]
async fn so_does_one_whose_tokens_are_signed() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "a shared secret").unwrap();
    let signed = format!("--auth-token=jwt,sign-method=HS256,priv-key={}", secret.display());
    catches_up_before_it_refuses(&[CHEAP, &signed]).await;
}

async fn catches_up_before_it_refuses(flags: &[&str]) {
    let cluster = Cluster::start(&program(), 3, flags);
    let (leads, behind) = leader_and_another(&cluster).await;
    let nobody = Client::of(leads);
    let root = nobody.found().await;
    // The connection stands, so that the requests below are there when the member goes on.
    let late = Client::of(behind).login("reader").await.expect("a login");
    for round in 0..ROUNDS {
        let name = format!("new{round}");
        behind.pause();
        root.add_user(&name).await.expect("two of three are enough");
        root.grant_role(&name, "root").await;
        let caller = nobody.login(&name).await.expect("a login");
        let with_token = late.with_token(caller.token.as_ref().expect("a token"));
        let (logs_in, reads, watches, manages) =
            (late.clone(), with_token.clone(), with_token.clone(), with_token);
        let asked = tokio::spawn(async move {
            let (range, users) = (serializable(), pb::AuthUserListRequest {});
            let watch = watch();
            tokio::join!(
                logs_in.login(&name),
                reads.call::<_, pb::RangeResponse>("KV/Range", &range),
                watches.call::<_, pb::WatchResponse>("Watch/Watch", &watch),
                manages.call::<_, pb::AuthUserListResponse>("Auth/UserList", &users),
            )
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        behind.resume();
        let (login, read, watched, list) = asked.await.expect("no panic");
        login.expect("a user who was added elsewhere");
        read.expect("a token that was given out elsewhere");
        watched.expect("the same, for a watch");
        list.expect("a role that was granted elsewhere");
    }
}

/// The users come with the keys: whoever has the one has the other.
#[tokio::test]
async fn a_snapshot_brings_users_and_permissions() {
    let cluster = Cluster::start(&program(), 3, FEW_ENTRIES);
    let (leads, behind) = leader_and_another(&cluster).await;
    let nobody = Client::of(leads);
    nobody.put("k", "v").await.unwrap();
    let open: Result<pb::RangeResponse, _> = Client::of(behind).call("KV/Range", &serializable()).await;
    assert!(open.is_ok(), "authentication is off");

    behind.pause();
    let root = nobody.found().await;
    for _ in 0..MANY {
        root.put("k", "w").await.expect("two of three are enough");
    }
    eventually("the leader to miss the follower", || async {
        leads.log().contains("peer became inactive").then_some(())
    })
    .await;
    let compact = pb::CompactionRequest { revision: 2, physical: true };
    let _: pb::CompactionResponse = root.call("KV/Compact", &compact).await.unwrap();
    behind.resume();

    let late = Client::of(behind);
    eventually("the follower to ask who calls", || async { is_denied(&late).await.then_some(()) }).await;
    let reader = late.login("reader").await.unwrap();
    assert_eq!(reader.get("k").await.unwrap(), ["w"]);
    assert!(behind.log().contains("applied snapshot"));
}
