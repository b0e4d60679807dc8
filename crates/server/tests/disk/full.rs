//! A disk without space: puts are refused, everything else goes on, and space brings puts back.

use std::collections::BTreeMap;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::{Server, Tmpfs, require, wait};
use tonic::Code;
use tonic::transport::Channel;

use crate::client::{connect, kv, program, put, range};

/// Room for two files of the raft log (64 MiB each), one of the history (32 MiB), and a little.
const SMALL: &str = "200m";

/// Room for some more.
const LARGE: &str = "640m";

/// Larger than the small disk, if all of it were written.
const PUTS_MAX: usize = 1000;

/// Length of a value.
const VALUE_BYTES: usize = 512 << 10;

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

/// What was acknowledged: keys with their values.
type Acknowledged = BTreeMap<String, String>;

#[tokio::test]
async fn a_full_disk_refuses_puts_only_and_loses_nothing() {
    let disk = require!("full::a_full_disk", Tmpfs::new(SMALL));
    let mut server = Server::start_at(&program(), &[], &disk.path().join("data"));
    let mut channel = connect(&server).await;
    let mut acknowledged = Acknowledged::new();

    fill(&channel, &mut acknowledged).await;
    assert!(acknowledged.len() > 1, "puts are served as long as there is space");
    assert_reads(&channel, &acknowledged).await;
    delete_one(&channel, &mut acknowledged).await;
    assert_reads(&channel, &acknowledged).await;
    let again = put(&channel, "still", "full").await.expect_err("there is no space");
    assert_eq!((again.code(), again.message()), (Code::ResourceExhausted, NO_SPACE));

    // Nor does a crash lose anything.
    server.kill();
    server.restart();
    channel = connect(&server).await;
    assert_reads(&channel, &acknowledged).await;

    disk.resize(LARGE);
    put_when_possible(&channel, &mut acknowledged).await;
    assert_reads(&channel, &acknowledged).await;
    server.kill();
    server.restart();
    assert_reads(&connect(&server).await, &acknowledged).await;
}

/// Room for one file of the history (32 MiB), and a little.
const SMALL_STORE: &str = "44m";

/// The log has a disk of its own, and grows on. What no checkpoint has fills memory, which is bounded.
#[tokio::test]
async fn a_disk_without_space_for_checkpoints_raises_the_alarm_and_space_takes_it_back() {
    let disk = require!("full::checkpoints", Tmpfs::new(SMALL_STORE));
    let log = tempfile::tempdir().expect("a directory");
    let log = format!("--wal-dir={}", log.path().join("wal").display());
    let flags = [log.as_str(), "--memory-limit=134217728"];
    let mut server = Server::start_at(&program(), &flags, &disk.path().join("data"));
    let channel = connect(&server).await;
    let mut acknowledged = Acknowledged::new();
    fill(&channel, &mut acknowledged).await;
    assert_reads(&channel, &acknowledged).await;
    let alarms = no_space_alarms(&channel).await;
    assert_eq!(alarms, 1, "everybody knows that there is no space");

    // What only the log has is there after a crash.
    server.kill();
    server.restart();
    let channel = connect(&server).await;
    assert_reads(&channel, &acknowledged).await;

    disk.resize(LARGE);
    put_when_possible(&channel, &mut acknowledged).await;
    assert_reads(&channel, &acknowledged).await;
    assert_eq!(no_space_alarms(&channel).await, 0);
}

/// How many members have no space, as an operator sees it.
async fn no_space_alarms(channel: &Channel) -> usize {
    let list = pb::AlarmRequest { action: AlarmAction::Get as i32, ..Default::default() };
    let reply = MaintenanceClient::new(channel.clone()).alarm(list).await.expect("an answer").into_inner();
    reply.alarms.iter().filter(|alarm| alarm.alarm == pb::AlarmType::Nospace as i32).count()
}

/// Puts until one is refused.
async fn fill(channel: &Channel, acknowledged: &mut Acknowledged) {
    for number in 0..PUTS_MAX {
        let (key, value) = (format!("key {}", number % 16), format!("{number:08}").repeat(VALUE_BYTES / 8));
        match put(channel, &key, &value).await {
            Ok(_) => drop(acknowledged.insert(key, value)),
            Err(status) => {
                assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, NO_SPACE));
                return;
            }
        }
    }
    panic!("{PUTS_MAX} puts, and the disk is not full");
}

async fn delete_one(channel: &Channel, acknowledged: &mut Acknowledged) {
    let (key, _) = acknowledged.pop_first().expect("something was put");
    let request = pb::DeleteRangeRequest { key: key.into(), ..pb::DeleteRangeRequest::default() };
    let reply = kv(channel).delete_range(request).await.expect("a deletion is served");
    assert_eq!(reply.into_inner().deleted, 1);
}

/// Nothing tells when the member has noticed the space.
async fn put_when_possible(channel: &Channel, acknowledged: &mut Acknowledged) {
    let (key, value) = ("there is".to_owned(), "space".to_owned());
    let attempts = async {
        while let Err(status) = put(channel, &key, &value).await {
            assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, NO_SPACE));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(wait::DEADLINE, attempts).await.expect("space is noticed");
    acknowledged.insert(key, value);
}

/// All keys, and no others; a put that was refused left nothing.
async fn assert_reads(channel: &Channel, acknowledged: &Acknowledged) {
    let kvs = range(channel, 0).await.expect("a read is served");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let found: Acknowledged = kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))).collect();
    assert!(found == *acknowledged, "keys {:?}, expected {:?}", found.keys(), acknowledged.keys());
}
