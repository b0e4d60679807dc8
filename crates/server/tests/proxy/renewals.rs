//! Renewals of leases through the proxy.

use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
};

use crate::support::{Proxy, channel, member, metric};

const RENEWED: &str = "etcd_debugging_lease_renewed_total";

/// Renews a lease once, on a stream of its own.
async fn renew(address: &str, id: i64) -> LeaseKeepAliveResponse {
    let requests = tokio_stream::iter([LeaseKeepAliveRequest { id }]);
    let stream = LeaseClient::new(channel(address)).lease_keep_alive(requests).await.expect("a stream");
    stream.into_inner().message().await.expect("a response").expect("a response")
}

#[tokio::test]
async fn many_clients_renew_a_lease_once() {
    let member = member();
    let proxy = Proxy::start("grpc-proxy", &["--endpoints", &member.client_address()]);
    let mut leases = LeaseClient::new(channel(&proxy.address()));
    leases.lease_grant(LeaseGrantRequest { ttl: 600, id: 7 }).await.unwrap();
    for _ in 0..50 {
        let renewed = renew(&proxy.address(), 7).await;
        assert!(renewed.id == 7 && renewed.ttl <= 600 && renewed.ttl > 400, "{renewed:?}");
    }
    assert_eq!(metric(&member.client_address(), "/metrics", RENEWED), 1.0);
    leases.lease_revoke(LeaseRevokeRequest { id: 7 }).await.unwrap();
    assert_eq!(renew(&proxy.address(), 7).await.ttl, 0, "it has ended, and that is passed on");
}
