//! Requests that are longer than what the files of the logs are made for.

use proto::etcdserverpb as pb;
use testkit::Server;
use tonic::transport::Channel;

use crate::client::{connect, kv, program, put};

/// A change from one value of this length to another is longer than a segment of the history.
const VALUE_BYTES: usize = 17_000_000;

async fn value_at(channel: &Channel, revision: i64) -> Vec<u8> {
    let request = pb::RangeRequest { key: "key".into(), revision, ..pb::RangeRequest::default() };
    let reply = kv(channel).range(request).await.expect("a range is served").into_inner();
    reply.kvs[0].value.to_vec()
}

async fn assert_values(channel: &Channel, revisions: &[(i64, &str)]) {
    for (revision, value) in revisions {
        assert!(value_at(channel, *revision).await == value.as_bytes(), "another value at {revision}");
    }
}

#[tokio::test]
async fn two_values_that_fill_more_than_a_segment_are_kept_through_checkpoints_and_restarts() {
    let mut server = Server::start(&program(), &["--max-request-bytes", "20000000"]);
    let channel = connect(&server).await;
    let values = ["a".repeat(VALUE_BYTES), "b".repeat(VALUE_BYTES)];
    let mut revisions = Vec::new();
    for value in &values {
        revisions.push((put(&channel, "key", value).await.expect("it is not too long"), &value[..]));
    }
    // A physical compaction waits until a checkpoint has everything.
    let compaction = pb::CompactionRequest { revision: revisions[0].0, physical: true };
    kv(&channel).compact(compaction).await.expect("a checkpoint is made");
    assert_values(&channel, &revisions).await;
    server.terminate();
    server.restart();
    assert_values(&connect(&server).await, &revisions).await;
    server.kill();
    server.restart();
    let channel = connect(&server).await;
    assert_values(&channel, &revisions).await;
    put(&channel, "key", "short").await.expect("puts are served");
}
