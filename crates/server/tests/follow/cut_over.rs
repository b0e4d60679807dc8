//! The end of a follow: with writers, watchers and leases; and called off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::quorate_v1::follow_client::FollowClient;
use proto::quorate_v1::{CancelRequest, Fence, Phase};
use testkit::{Program, Server, require};

use crate::support::{
    assert_equal, at, caught_up, channel, compact, cut_over, eventually, follower, get, in_phase, leases,
    put, put_request, revision,
};

const WRITERS: usize = 8;
const WATCHERS: usize = 50;
const LEASES: i64 = 1_000;

/// Writes that were acknowledged: key to value and revision.
type Written = BTreeMap<String, (String, i64)>;

/// Puts keys until it is refused, first at the source and then, once that refuses, at the follower.
async fn writer(number: usize, source: String, follower: String, stops: Arc<AtomicBool>) -> Written {
    let mut written = Written::new();
    for (side, address) in [source, follower].iter().enumerate() {
        let mut kv = KvClient::new(at(address));
        let mut count = 0;
        loop {
            let (key, value) = (format!("w{number}/{side}/{count}"), format!("{count}"));
            match kv.put(put_request(key.clone(), value.clone(), 0)).await {
                Ok(reply) => {
                    let revision = reply.into_inner().header.expect("a header").revision;
                    written.insert(key, (value, revision));
                    count += 1;
                }
                // Fenced: to the other side.
                Err(_) if side == 0 => break,
                // It has yet to take writes.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
            if side == 1 && stops.load(Ordering::Relaxed) && count >= 20 {
                return written;
            }
        }
    }
    written
}

/// Watches a writer's keys at the follower and returns all events until one is seen: key and revision.
async fn watcher(
    follower: String,
    number: usize,
    until: tokio::sync::watch::Receiver<i64>,
) -> Vec<(String, i64)> {
    let create = pb::WatchCreateRequest {
        key: format!("w{number}/").into(),
        range_end: format!("w{number}0").into(),
        start_revision: 1,
        progress_notify: true,
        ..Default::default()
    };
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let (send, receive) = tokio::sync::mpsc::channel(1);
    send.send(request).await.expect("there is room");
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut stream = WatchClient::new(at(&follower)).watch(requests).await.expect("a watch").into_inner();
    let mut seen = Vec::new();
    let mut through = 0;
    loop {
        if *until.borrow() != 0 && through >= *until.borrow() {
            return seen;
        }
        let progress = pb::WatchRequest {
            request_union: Some(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})),
        };
        let message = tokio::select! {
            message = stream.message() => message.expect("a message").expect("a message"),
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {
                let _ = send.send(progress).await;
                continue;
            }
        };
        assert!(!message.canceled, "{}", message.cancel_reason);
        for event in message.events {
            let kv = event.kv.expect("a key");
            seen.push((String::from_utf8_lossy(&kv.key).into_owned(), kv.mod_revision));
        }
        through = message.header.expect("a header").revision;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_move_loses_no_write_uses_no_revision_twice_and_watchers_see_each_event_once() {
    let source = Server::start(&require!("a live move", Program::etcd()), &[]);
    let mut stub = LeaseClient::new(channel(&source));
    for id in 1..=LEASES {
        stub.lease_grant(pb::LeaseGrantRequest { id, ttl: 10_000 }).await.expect("a lease");
    }
    let mut kv = KvClient::new(channel(&source));
    for id in 1..=LEASES {
        kv.put(put_request(format!("leased/{id}"), "v", id)).await.expect("a put");
    }
    let member = follower(&source);
    caught_up(&member, &source).await;
    let stops = Arc::new(AtomicBool::new(false));
    let (end, until) = tokio::sync::watch::channel(0);
    let addresses = (source.client_address(), member.client_address());
    let watchers: Vec<_> = (0..WATCHERS)
        .map(|number| tokio::spawn(watcher(addresses.1.clone(), number % WRITERS, until.clone())))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(writer(number, addresses.0.clone(), addresses.1.clone(), stops.clone())))
        .collect();
    // They are under way.
    let begun = revision(&source).await;
    eventually("writes", || async { (revision(&source).await > begun + 100).then_some(()) }).await;
    let done = cut_over(&member, Fence::Alarm, 60_000).await.expect("a cut-over");
    assert_eq!(done.source_revision, done.revision, "the source was fenced");
    stops.store(true, Ordering::Relaxed);
    let mut all = Written::new();
    for writer in writers {
        all.extend(writer.await.expect("a writer"));
    }
    // No acknowledged write is lost, and none of the source came after the end.
    let mut by_revision = BTreeMap::new();
    for (key, (value, at)) in &all {
        assert_eq!(get(&member, key).await.expect("a read").as_ref(), Some(value), "{key}");
        assert_eq!(*at > done.revision, key.contains("/1/"), "{key} at {at}, cut over at {}", done.revision);
        assert_eq!(by_revision.insert(*at, key), None, "revision {at} is used twice");
    }
    let newest = revision(&member).await;
    end.send(newest).expect("there are watchers");
    for (number, watcher) in watchers.into_iter().enumerate() {
        let mut wanted: Vec<(String, i64)> = all
            .iter()
            .filter(|(key, _)| key.starts_with(&format!("w{}/", number % WRITERS)))
            .map(|(key, (_, at))| (key.clone(), *at))
            .collect();
        wanted.sort_unstable_by_key(|(_, at)| *at);
        let mut seen = watcher.await.expect("a watcher");
        // A write whose answer was lost counts for neither: there is none here.
        seen.retain(|(_, at)| *at <= newest);
        assert_eq!(seen, wanted, "watcher {number}");
    }
    assert_eq!(leases(&member).await, leases(&source).await);
    // And it stays so.
    put(&member, "own", "write").await.expect("the cluster takes writes");
    assert_eq!(in_phase(&member, Phase::Ended).await.ended_revision, done.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_restarted_after_the_end_takes_writes_with_the_same_flags() {
    let source = Server::start(&require!("a restart after the end", Program::etcd()), &[]);
    put(&source, "k", "w").await.expect("a put");
    // What it is asked of a revision that was compacted lately is another hash.
    let newest = put(&source, "k", "v").await.expect("a put");
    compact(&source, newest).await;
    let mut member = follower(&source);
    caught_up(&member, &source).await;
    cut_over(&member, Fence::None, 0).await.expect("a cut-over");
    put(&source, "k", "after the end").await.expect("without a fence the source takes writes");
    member.kill();
    member.restart();
    put(&member, "own", "write").await.expect("the cluster takes writes");
    assert_eq!(get(&member, "k").await.expect("a read"), Some("v".to_owned()));
}

/// Whether the source refuses puts.
async fn is_fenced(source: &Server) -> bool {
    let mut maintenance = MaintenanceClient::new(channel(source));
    let alarms = maintenance.alarm(pb::AlarmRequest::default()).await.expect("alarms").into_inner();
    !alarms.alarms.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_over_that_takes_too_long_is_called_off_and_the_source_takes_writes_again() {
    let source = Server::start(&require!("a cut-over out of time", Program::etcd()), &[]);
    put(&source, "k", "v").await.expect("a put");
    let member = follower(&source);
    caught_up(&member, &source).await;
    let status = cut_over(&member, Fence::Alarm, 1).await.expect_err("a millisecond is not enough");
    assert!(status.message().contains("not equal in time"), "{status}");
    in_phase(&member, Phase::Following).await;
    assert!(!is_fenced(&source).await);
    put(&source, "k", "w").await.expect("a put");
    caught_up(&member, &source).await;
    assert_equal(&source, &member).await;
    assert!(put(&member, "k", "x").await.is_err(), "it follows still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_over_that_an_operator_calls_off_leaves_everything_as_it_was() {
    let source = Server::start(&require!("a cut-over that is called off", Program::etcd()), &[]);
    put(&source, "k", "v").await.expect("a put");
    let member = follower(&source);
    caught_up(&member, &source).await;
    let nothing = FollowClient::new(channel(&member)).cancel(CancelRequest {}).await;
    assert!(nothing.is_err(), "none is under way");
    // It waits for the source now.
    source.pause();
    let address = member.client_address();
    let cutting = tokio::spawn(async move {
        let request = proto::quorate_v1::CutoverRequest { timeout_ms: 60_000, fence: Fence::Alarm.into() };
        FollowClient::new(at(&address)).cutover(request).await
    });
    in_phase(&member, Phase::CuttingOver).await;
    FollowClient::new(channel(&member)).cancel(CancelRequest {}).await.expect("it is called off");
    source.resume();
    cutting.await.expect("a task").expect_err("it was called off");
    in_phase(&member, Phase::Following).await;
    eventually("no fence", || async { (!is_fenced(&source).await).then_some(()) }).await;
    put(&source, "k", "w").await.expect("a put");
    caught_up(&member, &source).await;
    assert_equal(&source, &member).await;
}

/// Whoever leads next finds that a cut-over was under way, and calls it off.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_while_it_cuts_over_leaves_no_fence() {
    let source = Server::start(&require!("a leader killed in a cut-over", Program::etcd()), &[]);
    put(&source, "k", "v").await.expect("a put");
    let mut member = follower(&source);
    caught_up(&member, &source).await;
    source.pause();
    let address = member.client_address();
    let cutting = tokio::spawn(async move {
        let request = proto::quorate_v1::CutoverRequest { timeout_ms: 60_000, fence: Fence::Alarm.into() };
        FollowClient::new(at(&address)).cutover(request).await
    });
    in_phase(&member, Phase::CuttingOver).await;
    member.kill();
    cutting.await.expect("a task").expect_err("nobody is there to answer");
    source.resume();
    member.restart();
    in_phase(&member, Phase::Following).await;
    eventually("no fence", || async { (!is_fenced(&source).await).then_some(()) }).await;
    put(&source, "k", "w").await.expect("a put");
    caught_up(&member, &source).await;
}

/// Between what ends a cut-over and what takes its fence away, a process may end or a connection break; and a source that did not
/// answer for a while may raise the fence after it was told to disarm it.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_nobody_has_taken_away_is_disarmed() {
    let source = Server::start(&require!("a fence that was left", Program::etcd()), &[]);
    put(&source, "k", "v").await.expect("a put");
    let member = follower(&source);
    caught_up(&member, &source).await;
    let status = MaintenanceClient::new(channel(&member)).status(pb::StatusRequest {}).await;
    let own_cluster = status.expect("a status").into_inner().header.expect("a header").cluster_id;
    let fence = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Activate as i32,
        member_id: own_cluster,
        alarm: pb::AlarmType::Nospace as i32,
    };
    MaintenanceClient::new(channel(&source)).alarm(fence).await.expect("an alarm");
    eventually("no fence", || async { (!is_fenced(&source).await).then_some(()) }).await;
    put(&source, "k", "w").await.expect("a put");
    caught_up(&member, &source).await;
}
