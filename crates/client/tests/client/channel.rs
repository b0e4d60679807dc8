//! The channel under the stubs that tonic generates.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;

use crate::setup::lone;

#[tokio::test]
async fn a_generated_stub_works_on_the_channel() {
    let (_server, client) = lone!();
    let mut stub = KvClient::new(client.channel());
    let put = pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    stub.put(put).await.expect("a put");
    let read = stub.range(pb::RangeRequest { key: "k".into(), ..Default::default() }).await.expect("a read");
    assert_eq!(read.into_inner().kvs[0].value, "v");
    assert_eq!(client.at(&client.endpoints()[0]).endpoints(), client.endpoints());
}
