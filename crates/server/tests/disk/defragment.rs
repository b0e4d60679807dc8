//! `Defragment` makes the database shorter while the member is in use.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::Server;

use crate::client::{connect, kv, program, put, range};

/// Keys and the length of their values, in bytes: 12 MB.
const KEYS: usize = 600;
const VALUE_BYTES: usize = 20_000;

#[tokio::test]
async fn what_was_deleted_is_given_back_while_others_read_and_write() {
    let mut server = Server::start(&program(), &[]);
    let channel = connect(&server).await;
    let value = "v".repeat(VALUE_BYTES);
    for number in 0..KEYS {
        put(&channel, &format!("key {number}"), &value).await.expect("a put is served");
    }
    let mut maintenance = MaintenanceClient::new(channel.clone());
    let all = b"\0".as_slice();
    let delete = pb::DeleteRangeRequest { key: all.into(), range_end: all.into(), ..Default::default() };
    maintenance.defragment(pb::DefragmentRequest {}).await.expect("a defragmentation");
    let database = server.data_dir().join("member/kv/current.redb");
    let file_bytes = || std::fs::metadata(&database).expect("a database").len();
    let full = file_bytes();
    assert!(full > (KEYS * VALUE_BYTES) as u64, "{full} bytes with everything");
    let deleted = kv(&channel).delete_range(delete).await.expect("a delete").into_inner();
    let revision = deleted.header.expect("a header").revision;
    let compact = pb::CompactionRequest { revision, physical: true };
    kv(&channel).compact(compact).await.expect("a compaction");

    let writes = async {
        for number in 0..50 {
            put(&channel, &format!("later {number}"), "value").await.expect("a put is served");
            assert_eq!(range(&channel, 0).await.expect("a read is served").len(), number + 1);
        }
    };
    let mut other = maintenance.clone();
    let (defragmented, ()) = tokio::join!(other.defragment(pb::DefragmentRequest {}), writes);
    defragmented.expect("a defragmentation");
    maintenance.defragment(pb::DefragmentRequest {}).await.expect("another");
    let short = file_bytes();
    assert!(short * 10 < full, "{full} bytes became {short}");
    drop((channel, maintenance, other));
    server.kill();
    server.restart();
    assert_eq!(range(&connect(&server).await, 0).await.expect("a read").len(), 50);
}
