//! `defrag` gives space back and changes nothing else.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use testkit::Server;

use crate::subject::{connect, program, put};
use crate::tool::{run, verify};

#[test]
fn a_database_that_was_larger_is_shortened_and_the_member_goes_on() {
    let program = testkit::require!("defrag", program());
    let mut server = Server::start(&program, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut kv = KvClient::new(connect(&server).await);
        let value = "x".repeat(10_000);
        for number in 0..600 {
            put(&mut kv, &format!("{number}"), &value, 0).await;
        }
        kv.compact(pb::CompactionRequest { revision: 2, physical: true }).await.unwrap();
        let all = pb::DeleteRangeRequest { key: "0".into(), range_end: "9".into(), ..Default::default() };
        let deleted = kv.delete_range(all).await.unwrap().into_inner();
        let revision = deleted.header.unwrap().revision;
        kv.compact(pb::CompactionRequest { revision, physical: true }).await.unwrap();
    });
    server.terminate();
    let database = server.data_dir().join("member/kv/current.redb");
    let before = database.metadata().unwrap().len();
    let ended = run(&["defrag", "--data-dir", server.data_dir().to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended:?}");
    let after = database.metadata().unwrap().len();
    assert!(after * 2 < before, "{before} before, {after} after");
    assert!(verify(server.data_dir()).is_empty());
    server.restart();
    runtime.block_on(async {
        let mut kv = KvClient::new(connect(&server).await);
        let left = pb::RangeRequest { key: "9".into(), range_end: "\0".into(), ..Default::default() };
        assert_eq!(kv.range(left).await.unwrap().into_inner().count, 11, "9, and 90 to 99");
    });
}

#[test]
fn what_cannot_be_defragmented_is_said_in_etcdutls_words() {
    let ended = run(&["defrag", "--data-dir", "/nonexistent"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(ended.stderr.starts_with("Error: Failed to defragment etcd data[/nonexistent] ("), "{ended:?}");
}
