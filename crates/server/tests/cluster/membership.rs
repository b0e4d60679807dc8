//! Members come and go while the others serve.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::cluster_client::ClusterClient;
use testkit::{Cluster, Server};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::client::{channel, eventually, get, get_serializable, leader, put, status};
use crate::program;

/// Changes at once: with the check, members must have been connected for five seconds.
const AT_ONCE: [&str; 1] = ["--strict-reconfig-check=false"];

fn service(member: &Server) -> ClusterClient<Channel> {
    ClusterClient::new(channel(member))
}

async fn members(of: &Server) -> Vec<pb::Member> {
    let request = pb::MemberListRequest { linearizable: true };
    eventually("a list of members", || async {
        service(of).member_list(request).await.ok().map(|reply| reply.into_inner().members)
    })
    .await
}

async fn add(asked: &Server, joiner: &Server, is_learner: bool) -> Result<pb::MemberAddResponse, Status> {
    let peer_ur_ls = vec![format!("http://{}", joiner.peer_address())];
    let reply = service(asked).member_add(pb::MemberAddRequest { peer_ur_ls, is_learner }).await?;
    Ok(reply.into_inner())
}

async fn promote(asked: &Server, id: u64) -> Result<Vec<pb::Member>, Status> {
    let reply = service(asked).member_promote(pb::MemberPromoteRequest { id }).await?;
    Ok(reply.into_inner().members)
}

async fn remove(asked: &Server, id: u64) -> Result<Vec<pb::Member>, Status> {
    let reply = service(asked).member_remove(pb::MemberRemoveRequest { id }).await?;
    Ok(reply.into_inner().members)
}

/// A member that has yet to be started, told of the cluster that it joins.
fn joiner(name: &str, cluster: &[&Server], extra: &[&str]) -> Server {
    let flags: Vec<&str> = extra.iter().copied().chain(["--initial-cluster-state=existing"]).collect();
    let mut joiner = Server::prepare(&program(), name, &flags);
    let entries: Vec<String> =
        cluster.iter().map(|member| member.peer_entry()).chain([joiner.peer_entry()]).collect();
    joiner.set_cluster(&entries.join(","));
    joiner
}

async fn id_of(member: &Server) -> u64 {
    let status = eventually("a member's status", || async { status(member).await.ok() }).await;
    status.header.expect("a status has a header").member_id
}

#[tokio::test]
async fn a_learner_joins_is_promoted_and_is_removed() {
    let cluster = Cluster::start(&program(), 3, &AT_ONCE);
    let [first, second, third] = [0, 1, 2].map(|index| cluster.member(index));
    put(first, "before", "it came").await.expect("a write");

    let mut learner = joiner("learner", &[first, second, third], &AT_ONCE);
    let added = add(second, &learner, true).await.expect("a learner is added");
    let id = added.member.expect("the member added").id;
    assert_eq!(added.members.len(), 4);
    // With another URL besides: an id is made of the URLs and the second, and would be the same.
    let peer_ur_ls = vec![format!("http://{}", learner.peer_address()), "http://127.0.0.1:1".to_owned()];
    let request = pb::MemberAddRequest { peer_ur_ls, is_learner: false };
    let again = service(third).member_add(request).await.expect_err("its URL is taken");
    assert_eq!(again.message(), "etcdserver: Peer URLs already exists");
    let other = Server::prepare(&program(), "other", &[]);
    let another = add(first, &other, true).await.expect_err("one learner is allowed");
    assert_eq!(another.message(), "etcdserver: too many learner members in cluster");
    let unready = promote(first, id).await.expect_err("it has not started");
    assert_eq!(
        (unready.code(), unready.message()),
        (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader"
        )
    );

    learner.spawn().expect("it starts");
    let found = eventually("the learner to have the key", || async {
        get_serializable(&learner, "before").await.ok().flatten()
    })
    .await;
    assert_eq!(found, "it came");
    let refused = get(&learner, "before").await.expect_err("a learner does not vouch for what it has");
    assert_eq!(refused.message(), "etcdserver: rpc not supported for learner");
    assert!(status(&learner).await.expect("a learner says how it is").is_learner);

    let listed = eventually("the learner to be ready", || async { promote(third, id).await.ok() }).await;
    assert!(listed.iter().all(|member| !member.is_learner && !member.name.is_empty()));
    eventually("the promoted member to write", || async { put(&learner, "after", "promoted").await.ok() })
        .await;
    let twice = promote(second, id).await.expect_err("it votes already");
    assert_eq!(twice.message(), "etcdserver: can only promote a learner member");

    assert_eq!(remove(first, id).await.expect("it is removed").len(), 3);
    let removed = remove(second, id).await.expect_err("it is gone");
    assert_eq!((removed.code(), removed.message()), (Code::NotFound, "etcdserver: member not found"));
    assert_eq!(learner.wait().code(), Some(0), "a removed member stops by itself");
    let farewell = "the member has been permanently removed from the cluster";
    assert!(learner.log().contains(farewell), "{}", learner.log_tail());
    assert!(learner.try_restart().is_err_and(|log| log.contains(farewell)), "and does not start again");
    assert_eq!(get(third, "after").await.expect("the others go on"), Some("promoted".to_owned()));
}

#[tokio::test]
async fn a_member_that_lost_its_disk_is_replaced() {
    let mut cluster = Cluster::start(&program(), 3, &AT_ONCE);
    put(cluster.member(0), "key", "value").await.expect("a write");
    let lost = id_of(cluster.member(2)).await;
    cluster.member_mut(2).kill();

    // Founding the cluster again would make what it promised void.
    let data = cluster.member(2).data_dir().to_owned();
    std::fs::remove_dir_all(&data).expect("its data is lost");
    let refused = cluster.member_mut(2).try_restart().expect_err("it is known");
    assert!(refused.contains(&format!("member {lost:x} has already been bootstrapped")), "{refused}");

    let left =
        eventually("the lost one to leave", || async { remove(cluster.member(0), lost).await.ok() }).await;
    assert_eq!(left.len(), 2);
    let mut new = joiner("new", &[cluster.member(0), cluster.member(1)], &AT_ONCE);
    add(cluster.member(1), &new, false).await.expect("a new one is added");
    // It waits for its vote: the two go on without it.
    put(cluster.member(0), "key", "meanwhile").await.expect("a write");
    new.spawn().expect("it starts");
    let found = eventually("the new member to read", || async { get(&new, "key").await.ok() }).await;
    assert_eq!(found, Some("meanwhile".to_owned()));

    // With the new one, two of three are enough, once it has its vote and that change is over: the next one waits for it.
    eventually("the new member to get its vote", || async {
        let logs = [cluster.member(0).log(), cluster.member(1).log()];
        logs.iter().any(|log| log.contains("votes from now on")).then_some(())
    })
    .await;
    let moved = pb::MemberUpdateRequest {
        id: id_of(&new).await,
        peer_ur_ls: vec![format!("http://{}", new.peer_address())],
    };
    service(cluster.member(1)).member_update(moved).await.expect("to where it is");
    cluster.member_mut(0).kill();
    eventually("two to take a write", || async { put(&new, "key", "without the first").await.ok() }).await;
    assert_eq!(
        get(cluster.member(1), "key").await.expect("two of three"),
        Some("without the first".to_owned())
    );
}

#[tokio::test]
async fn the_last_member_goes_on_alone_if_it_is_forced_to() {
    let mut cluster = Cluster::start(&program(), 3, &AT_ONCE);
    for number in 0..50 {
        put(cluster.member(number % 3), &format!("key {number}"), "value").await.expect("a write");
    }
    // Of two members both are needed: what is acknowledged now is on the disk of each, and so is what came before it. While all
    // three run, two disks are enough, and the one that goes on alone need not be among them.
    cluster.member_mut(0).kill();
    eventually("a write that needs both", || async { put(cluster.member(1), "both", "value").await.ok() })
        .await;
    [1, 2].into_iter().for_each(|index| cluster.member_mut(index).kill());

    cluster.member_mut(1).set_extra(&["--force-new-cluster"]);
    cluster.member_mut(1).restart();
    let survivor = cluster.member(1);
    let alone = members(survivor).await;
    assert_eq!(alone.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["m1"]);
    for number in 0..50 {
        let found = get(survivor, &format!("key {number}")).await.expect("a read");
        assert_eq!(found.as_deref(), Some("value"));
    }
    put(survivor, "key", "alone").await.expect("a write");

    // As a cluster of one it starts as always, and grows again.
    cluster.member_mut(1).terminate();
    cluster.member_mut(1).set_extra(&[]);
    cluster.member_mut(1).restart();
    let survivor = cluster.member(1);
    assert_eq!(get(survivor, "key").await.expect("a read"), Some("alone".to_owned()));
    let mut new = joiner("new", &[survivor], &[]);
    add(survivor, &new, false).await.expect("a cluster of one may always grow");
    new.spawn().expect("it starts");
    let found = eventually("the new member to read", || async { get(&new, "key").await.ok() }).await;
    assert_eq!(found, Some("alone".to_owned()));

    // The others were removed: whoever starts one of them is told.
    let told = cluster.member_mut(0).try_restart().expect_err("it has no place any more");
    assert!(told.contains("permanently removed from the cluster"), "{told}");
}

#[tokio::test]
async fn a_learner_is_promoted_by_itself_if_asked_for() {
    let flags = ["--strict-reconfig-check=false", "--auto-promote-learners"];
    let cluster = Cluster::start(&program(), 1, &flags);
    let first = cluster.member(0);
    put(first, "key", "value").await.expect("a write");
    let mut learner = joiner("learner", &[first], &flags);
    add(first, &learner, true).await.expect("a learner is added");
    learner.spawn().expect("it starts");
    eventually("the learner to vote", || async {
        members(first).await.iter().all(|member| !member.is_learner).then_some(())
    })
    .await;
    let found = eventually("it to read", || async { get(&learner, "key").await.ok() }).await;
    assert_eq!(found, Some("value".to_owned()));
}

#[tokio::test]
async fn leadership_goes_where_it_is_sent() {
    let cluster = Cluster::start(&program(), 3, &[]);
    let from = leader(&cluster, &[0, 1, 2]).await;
    let to = (from + 1) % 3;
    let target_id = id_of(cluster.member(to)).await;
    let ask = |member: &Server| pb::maintenance_client::MaintenanceClient::new(channel(member));
    let request = pb::MoveLeaderRequest { target_id };
    let refused = ask(cluster.member(to)).move_leader(request).await.expect_err("it does not lead");
    assert_eq!(refused.message(), "etcdserver: not leader");
    let nobody = pb::MoveLeaderRequest { target_id: 4711 };
    let refused = ask(cluster.member(from)).move_leader(nobody).await.expect_err("nobody has this id");
    assert_eq!(refused.message(), "etcdserver: bad leader transferee");
    ask(cluster.member(from)).move_leader(request).await.expect("it is handed over");
    assert_eq!(leader(&cluster, &[0, 1, 2]).await, to);
}

#[tokio::test]
async fn a_join_that_cannot_be_is_refused() {
    let cluster = Cluster::start(&program(), 1, &AT_ONCE);
    let first = cluster.member(0);
    // Nobody was told of it.
    let mut stranger = joiner("stranger", &[first], &[]);
    let why = stranger.try_restart().expect_err("it is not expected");
    assert!(why.contains("error validating peerURLs") && why.contains("member count is unequal"), "{why}");
    // Nobody is there.
    let nobody = Server::prepare(&program(), "nobody", &[]);
    let mut lonely = joiner("lonely", &[&nobody], &[]);
    let why = lonely.try_restart().expect_err("nobody answers");
    let text = "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs";
    assert!(why.contains(text), "{why}");
    // Alone the first one serves as before.
    put(first, "key", "value").await.expect("a write");
}
