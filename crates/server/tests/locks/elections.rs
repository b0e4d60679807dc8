//! Elections.

use proto::v3electionpb as pb;
use proto::v3electionpb::election_client::ElectionClient;
use testkit::Server;
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::{await_key, channel, grant, quorate, revoke};

async fn campaign(channel: &Channel, lease: i64, value: &'static str) -> Result<pb::LeaderKey, Status> {
    let request = pb::CampaignRequest { name: "e".into(), lease, value: value.into() };
    let reply = ElectionClient::new(channel.clone()).campaign(request).await?;
    Ok(reply.into_inner().leader.expect("a leader's key"))
}

async fn proclaim(
    channel: &Channel,
    leader: Option<pb::LeaderKey>,
    value: &'static str,
) -> Result<(), Status> {
    let request = pb::ProclaimRequest { leader, value: value.into() };
    ElectionClient::new(channel.clone()).proclaim(request).await.map(drop)
}

async fn resign(channel: &Channel, leader: Option<pb::LeaderKey>) -> Result<(), Status> {
    ElectionClient::new(channel.clone()).resign(pb::ResignRequest { leader }).await.map(drop)
}

async fn leader(channel: &Channel) -> Result<(Vec<u8>, i64), Status> {
    let request = pb::LeaderRequest { name: "e".into() };
    let kv = ElectionClient::new(channel.clone()).leader(request).await?.into_inner().kv.expect("a key");
    Ok((kv.value.to_vec(), kv.create_revision))
}

/// Calls that fail.
pub(crate) async fn failures(channel: &Channel, note: &mut impl FnMut(&'static str, Result<(), Status>)) {
    let nobody = pb::LeaderKey { name: "e".into(), key: "e/5".into(), rev: 7, lease: 1 };
    note("a campaign with a lease that is not there", campaign(channel, 99, "").await.map(drop));
    note("a proclamation of nobody", proclaim(channel, None, "").await);
    note("a resignation of nobody", resign(channel, None).await);
    note("nobody leads", leader(channel).await.map(drop));
    grant(channel, 1, 600).await;
    note("a proclamation of who does not lead", proclaim(channel, Some(nobody), "").await);
}

#[tokio::test]
async fn one_leads_at_a_time_and_says_what_it_likes() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    grant(&channel, 1, 600).await;
    grant(&channel, 2, 600).await;
    let first = campaign(&channel, 1, "one").await.expect("the lead");
    assert_eq!((&first.name[..], &first.key[..], first.rev, first.lease), (&b"e"[..], &b"e/1"[..], 2, 1));
    assert_eq!(leader(&channel).await.expect("a leader"), (b"one".to_vec(), 2));
    let again = campaign(&channel, 1, "still one").await.expect("the lead, with another value");
    assert_eq!(again, first);
    assert_eq!(leader(&channel).await.expect("a leader"), (b"still one".to_vec(), 2));
    let second = tokio::spawn({
        let channel = channel.clone();
        async move { campaign(&channel, 2, "two").await }
    });
    await_key(&channel, "e/2", 1).await;
    proclaim(&channel, Some(first.clone()), "one to the end").await.expect("a proclamation");
    assert!(!second.is_finished());
    let stranger = pb::LeaderKey { rev: 1, ..first.clone() };
    resign(&channel, Some(stranger)).await.expect("nothing is changed");
    assert_eq!(leader(&channel).await.expect("a leader").0, b"one to the end");
    resign(&channel, Some(first.clone())).await.expect("the end");
    let second = second.await.expect("a task").expect("the lead");
    assert_eq!(leader(&channel).await.expect("a leader"), (b"two".to_vec(), second.rev));
    let late = proclaim(&channel, Some(first), "late").await.expect_err("it does not lead");
    assert_eq!((late.code(), late.message()), (Code::Unknown, "election: not leader"));
}

#[tokio::test]
async fn who_stops_waiting_or_loses_the_lease_never_leads() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    for lease in 1..=3 {
        grant(&channel, lease, 600).await;
    }
    let first = campaign(&channel, 1, "one").await.expect("the lead");
    let [second, third] = [2, 3].map(|lease| {
        let channel = channel.clone();
        tokio::spawn(async move { campaign(&channel, lease, "later").await })
    });
    await_key(&channel, "e/2", 1).await;
    await_key(&channel, "e/3", 1).await;
    second.abort();
    await_key(&channel, "e/2", 0).await;
    revoke(&channel, 3).await;
    resign(&channel, Some(first)).await.expect("the end");
    third.await.expect("a task").expect_err("the lease is gone");
    assert_eq!(leader(&channel).await.expect_err("nobody is left").message(), "election: no leader");
}

#[tokio::test]
async fn an_observer_sees_each_leader_and_what_it_says() {
    let server = Server::start(&quorate(), &[]);
    let channel = channel(&server);
    grant(&channel, 1, 600).await;
    grant(&channel, 2, 600).await;
    let request = pb::LeaderRequest { name: "e".into() };
    let observed = ElectionClient::new(channel.clone()).observe(request).await;
    let mut observed = observed.map(Response::into_inner).expect("a stream");
    let mut said = async || {
        let response = observed.next().await.expect("a response").expect("a response");
        let (kv, header) = (response.kv.expect("a key"), response.header.expect("a header"));
        assert!(header.revision >= kv.mod_revision);
        String::from_utf8(kv.value.to_vec()).expect("text")
    };
    let first = campaign(&channel, 1, "one").await.expect("the lead");
    assert_eq!(said().await, "one");
    for value in ["a", "b", "c"] {
        proclaim(&channel, Some(first.clone()), value).await.expect("a proclamation");
    }
    for value in ["a", "b", "c"] {
        assert_eq!(said().await, value);
    }
    resign(&channel, Some(first)).await.expect("the end");
    campaign(&channel, 2, "two").await.expect("the lead");
    assert_eq!(said().await, "two");
    revoke(&channel, 2).await;
    grant(&channel, 2, 600).await;
    campaign(&channel, 2, "two again").await.expect("the lead");
    assert_eq!(said().await, "two again");
}
