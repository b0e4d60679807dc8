//! The space quota, as etcd's documentation tells its users to live with it: fill the store, see writes refused, compact,
//! defragment, disarm the alarm, go on; and without the last two steps.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{AlarmType, alarm_request::AlarmAction};
use testkit::{Server, wait};
use tonic::Code;
use tonic::transport::Channel;

use crate::client::{connect, kv, program, put, range};

const QUOTA_BYTES: usize = 4 << 20;
const VALUE_BYTES: usize = 256 << 10;

/// What etcd counts for a version of this length, about (docs/decisions/0006).
const VERSION_BYTES_MAX: usize = VALUE_BYTES + 1024;

async fn alarms(channel: &Channel) -> Vec<pb::AlarmMember> {
    alarm(channel, AlarmAction::Get, pb::AlarmMember::default()).await
}

async fn alarm(channel: &Channel, action: AlarmAction, which: pb::AlarmMember) -> Vec<pb::AlarmMember> {
    let request = pb::AlarmRequest { action: action as i32, member_id: which.member_id, alarm: which.alarm };
    let reply = MaintenanceClient::new(channel.clone()).alarm(request).await;
    reply.expect("alarms are served").into_inner().alarms
}

async fn db_size(channel: &Channel) -> usize {
    let status = MaintenanceClient::new(channel.clone()).status(pb::StatusRequest {}).await;
    let status = status.expect("a member tells its status").into_inner();
    assert_eq!(status.db_size_quota, QUOTA_BYTES as i64);
    assert_eq!(status.db_size, status.db_size_in_use, "nothing is fragmented");
    status.db_size as usize
}

/// Overwrites one key until that is refused; says how often it was done, and the newest revision.
async fn fill(channel: &Channel) -> (usize, i64) {
    let value = "v".repeat(VALUE_BYTES);
    let (mut writes, mut revision) = (0, 0);
    loop {
        match put(channel, "key", &value).await {
            Ok(newest) => (writes, revision) = (writes + 1, newest),
            Err(status) => {
                assert_eq!(
                    (status.code(), status.message()),
                    (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded")
                );
                return (writes, revision);
            }
        }
        assert!(writes <= QUOTA_BYTES / VALUE_BYTES, "{writes} values fit into the quota");
    }
}

/// The first time somebody disarms the alarm; later the member does it by itself, also one from before its start.
#[tokio::test]
async fn a_full_store_takes_writes_again_after_a_compaction() {
    let mut server = Server::start(&program(), &[&format!("--quota-backend-bytes={QUOTA_BYTES}")]);
    for round in 0..3 {
        let mut channel = connect(&server).await;
        let (writes, revision) = fill(&channel).await;
        assert!(writes + 2 >= QUOTA_BYTES / VERSION_BYTES_MAX, "what fits into etcd's quota fits: {writes}");
        let raised = alarms(&channel).await;
        assert_eq!((raised.len(), raised[0].alarm), (1, AlarmType::Nospace as i32));
        assert!(put(&channel, "other", "").await.is_err(), "however small");
        assert_eq!(range(&channel, 0).await.expect("reads go on").len(), 1);

        let compaction = pb::CompactionRequest { revision, physical: round == 0 };
        kv(&channel).compact(compaction).await.expect("compactions go on");
        let mut maintenance = MaintenanceClient::new(channel.clone());
        maintenance.defragment(pb::DefragmentRequest {}).await.expect("it is answered at once");
        assert!(db_size(&channel).await < 2 * VERSION_BYTES_MAX, "one version is left");
        if round == 1 {
            drop((maintenance, channel));
            server.kill();
            server.restart();
            channel = connect(&server).await;
            assert!(db_size(&channel).await < 2 * VERSION_BYTES_MAX, "and counted the same");
        }
        if round == 0 {
            alarm(&channel, AlarmAction::Deactivate, raised[0]).await;
        }
        let disarmed = async { while !alarms(&channel).await.is_empty() {} };
        tokio::time::timeout(wait::DEADLINE, disarmed).await.expect("the alarm goes");
    }
}
