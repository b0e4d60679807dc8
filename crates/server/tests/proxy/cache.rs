//! Serializable ranges that the proxy answers from what it has read.

use proto::etcdserverpb::{DeleteRangeRequest, RangeRequest, RequestOp, TxnRequest, request_op};

use crate::support::{Proxy, get, kv, member, metric, put};

const HITS: &str = "etcd_grpc_proxy_cache_hits_total";

fn pair(key: &str, value: &str) -> Vec<(String, String)> {
    vec![(key.to_owned(), value.to_owned())]
}

#[tokio::test]
async fn a_write_through_the_proxy_is_seen_by_the_next_read() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let address = proxy.address();
    let hits = || metric(&address, "/proxy/metrics", HITS) as i64;
    let linearizable = RangeRequest { key: "k".into(), ..Default::default() };
    let one = RangeRequest { serializable: true, ..linearizable.clone() };
    let all = RangeRequest { key: "a".into(), range_end: "z".into(), ..one.clone() };
    put(&address, "k", "1").await;
    for expected in [0, 1] {
        assert_eq!(
            (get(&address, one.clone()).await, get(&address, all.clone()).await),
            (pair("k", "1"), pair("k", "1"))
        );
        assert_eq!(hits(), 2 * expected);
    }
    put(&address, "k", "2").await;
    assert_eq!(
        (get(&address, one.clone()).await, get(&address, all.clone()).await),
        (pair("k", "2"), pair("k", "2"))
    );
    assert_eq!(hits(), 2);
    let operation =
        proto::etcdserverpb::PutRequest { key: "k".into(), value: "3".into(), ..Default::default() };
    let operation = RequestOp { request: Some(request_op::Request::RequestPut(operation)) };
    kv(&address).txn(TxnRequest { success: vec![operation], ..Default::default() }).await.unwrap();
    assert_eq!(get(&address, all.clone()).await, pair("k", "3"));
    // A write by another way is not noticed, as in etcd; a linearizable read notices it for others.
    put(&member.client_address(), "k", "4").await;
    assert_eq!(get(&address, all.clone()).await, pair("k", "3"));
    assert_eq!(get(&address, linearizable).await, pair("k", "4"));
    assert_eq!(get(&address, one).await, pair("k", "4"));
    kv(&address).delete_range(DeleteRangeRequest { key: "k".into(), ..Default::default() }).await.unwrap();
    assert_eq!(get(&address, all).await, []);
}
