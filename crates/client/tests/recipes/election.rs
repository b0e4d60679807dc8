//! Elections.

use quorate_client::Error;

use crate::setup::{lone, session, soon, until_line};

#[tokio::test]
async fn the_lead_is_handed_over_in_order_and_everybody_sees_it() {
    let (_server, client) = lone!();
    let election = client.election("lead");
    assert_eq!(election.leader().await.expect("an answer"), None);
    let mut observed = election.observe();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(session(&client).await);
    }
    let first = election.campaign(&sessions[0], "a").await.expect("the lead");
    let mut campaigns = Vec::new();
    for (place, name) in [(1, "b"), (2, "c")] {
        let (election, session) = (election.clone(), sessions[place].clone());
        campaigns.push(tokio::spawn(async move { election.campaign(&session, name).await }));
        until_line(&client, "lead", place as i64 + 1).await;
    }
    assert_eq!(soon(observed.next()).await.expect("a leader").value, "a");
    first.proclaim("a2").await.expect("it leads");
    assert_eq!(soon(observed.next()).await.expect("a leader").value, "a2");

    let token = first.token();
    first.resign().await.expect("it led");
    let third = campaigns.pop().expect("a campaign");
    let second = soon(campaigns.pop().expect("a campaign")).await.expect("no panic").expect("the lead");
    assert!(second.token() > token);
    let seen = soon(observed.next()).await.expect("a leader");
    assert_eq!((seen.value.as_ref(), seen.create_revision), (&b"b"[..], second.token()));
    assert_eq!(election.leader().await.expect("an answer").expect("a leader").key, second.key());

    // Its process dies.
    client.lease_revoke(sessions[1].lease().id()).await.expect("the end");
    assert!(matches!(soon(second.lost()).await, Error::LeaseLost(_)));
    second.proclaim("late").await.expect_err("it leads no more");
    let third = soon(third).await.expect("no panic").expect("the lead");
    assert_eq!(soon(observed.next()).await.expect("a leader").value, "c");
    drop(third);
    until_line(&client, "lead", 0).await;
    assert_eq!(election.leader().await.expect("an answer"), None);
}

#[tokio::test]
async fn who_stops_campaigning_is_not_elected() {
    let (_server, client) = lone!();
    let (first, second) = (session(&client).await, session(&client).await);
    let election = client.election("lead");
    let lead = election.campaign(&first, "a").await.expect("the lead");
    let campaign = {
        let (election, second) = (election.clone(), second.clone());
        tokio::spawn(async move { election.campaign(&second, "b").await })
    };
    until_line(&client, "lead", 2).await;
    campaign.abort();
    until_line(&client, "lead", 1).await;
    assert_eq!(election.leader().await.expect("an answer").expect("a leader").value, "a");
    lead.check().expect("it leads");
}
