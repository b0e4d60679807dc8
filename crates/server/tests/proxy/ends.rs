//! What clients see when the members are gone, and when the proxy stops.

use std::os::unix::process::ExitStatusExt;

use proto::etcdserverpb::PutRequest;
use tonic::Code;

use crate::support::{Proxy, kv, member, put};
use crate::watches::{Stream, create};

#[tokio::test]
async fn without_members_calls_are_unavailable_and_with_them_they_are_served_again() {
    let mut member = member();
    let mut proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    put(&proxy.address(), "k", "v").await;
    let mut stream = Stream::open(&proxy.address(), create("k", 0)).await;
    assert!(stream.next().await.created);
    member.kill();
    assert_eq!(stream.end().await.code(), Code::Unavailable);
    let request = PutRequest { key: "k".into(), ..Default::default() };
    let status = kv(&proxy.address()).put(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(proxy.is_running() && !proxy.log().contains("panic"), "{}", proxy.log());
    member.restart();
    let revision = put(&proxy.address(), "k", "v").await;
    let mut stream = Stream::open(&proxy.address(), create("k", revision)).await;
    assert!(stream.next().await.created);
    assert_eq!(stream.next().await.events.len(), 1);
}

#[tokio::test]
async fn a_watch_goes_on_when_its_member_comes_back() {
    let mut member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut stream = Stream::open(&proxy.address(), create("k", 0)).await;
    assert!(stream.next().await.created);
    let before = put(&proxy.address(), "k", "1").await;
    assert_eq!(stream.revisions(1).await, [before]);
    let member = tokio::task::spawn_blocking(move || {
        member.kill();
        member.restart();
        member
    });
    let member = member.await.expect("it starts again");
    let after = put(&member.client_address(), "k", "2").await;
    assert_eq!(stream.revisions(1).await, [after]);
}

#[tokio::test]
async fn a_proxy_that_stops_ends_its_streams_first() {
    let member = member();
    let mut proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut stream = Stream::open(&proxy.address(), create("k", 0)).await;
    assert!(stream.next().await.created);
    let stopped = tokio::task::spawn_blocking(move || (proxy.terminate().signal(), proxy.log()));
    let end = stream.end().await;
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "the proxy is stopping"));
    drop(stream);
    let (signal, log) = stopped.await.unwrap();
    assert_eq!(signal, Some(15));
    assert!(log.contains("stop listening gRPC proxy client requests"), "{log}");
}
