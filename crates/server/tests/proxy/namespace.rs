//! `--namespace`.

use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest,
    WatchCreateRequest,
};

use crate::support::{Proxy, channel, get, kv, member, put};
use crate::watches::Stream;

#[tokio::test]
async fn keys_have_a_prefix_at_the_members_alone() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address(), "--namespace=ns/"]);
    let (address, direct) = (proxy.address(), member.client_address());
    let all = || RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let everything =
        WatchCreateRequest { key: "\0".into(), range_end: "\0".into(), prev_kv: true, ..Default::default() };
    let mut stream = Stream::open(&address, RequestUnion::CreateRequest(everything)).await;
    assert!(stream.next().await.created);
    put(&direct, "outside", "v").await;
    put(&direct, "ns0", "v").await;
    put(&address, "k", "1").await;
    put(&address, "k", "2").await;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        get(&direct, RangeRequest { key: "ns/k".into(), ..Default::default() }).await,
        [pair("ns/k", "2")]
    );
    assert_eq!(get(&address, all()).await, [pair("k", "2")]);
    let (first, second) = (stream.next().await, stream.next().await);
    assert_eq!(first.events[0].kv.as_ref().unwrap().key, "k");
    assert_eq!(second.events[0].prev_kv.as_ref().unwrap().key, "k");
    let mut leases = LeaseClient::new(channel(&address));
    leases.lease_grant(LeaseGrantRequest { ttl: 60, id: 7 }).await.unwrap();
    for (address, key) in [(&address, "inside"), (&direct, "leased")] {
        kv(address).put(PutRequest { key: key.into(), lease: 7, ..Default::default() }).await.unwrap();
    }
    let keys = LeaseTimeToLiveRequest { id: 7, keys: true };
    assert_eq!(leases.lease_time_to_live(keys).await.unwrap().into_inner().keys, ["inside"]);
    let delete = DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), prev_kv: true };
    let deleted = kv(&address).delete_range(delete).await.unwrap().into_inner();
    assert_eq!((deleted.deleted, deleted.prev_kvs[0].key.as_ref()), (2, &b"inside"[..]));
    assert_eq!(get(&direct, all()).await.len(), 3);
    let status = kv(&address).range(RangeRequest::default()).await.unwrap_err();
    assert_eq!(status.message(), "etcdserver: key is not provided");
}
