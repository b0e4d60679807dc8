//! Backups: what `Maintenance.Snapshot` sends is taken by etcd's own tools, and a real etcd that starts from it holds what the
//! member held. The other way round in [`restore`]; by the clock, in [`archives`].

mod archives;
mod restore;

use std::path::Path;
use std::process::{Command, Output};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::{Program, Server, require};
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, Endpoint};

const KEYS: i64 = 1_000;

/// Pause between two attempts.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Main revisions at which two stores are compared.
const COMPARED: i64 = 10;

fn channel(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address()));
    endpoint.expect("an address is a URI").connect_lazy()
}

fn quorate() -> Program {
    Program::subject(env!("CARGO_BIN_EXE_quorate")).expect("the binary that Cargo built runs")
}

fn put(key: String, value: String, lease: i64) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), lease, ..Default::default() }
}

/// Writes history with overwritten and deleted keys, a compaction in its middle, leases, a user and a role. Returns the
/// newest revision and the compact revision.
async fn fill(server: &Server) -> (i64, i64) {
    let (mut kv, mut leases) = (KvClient::new(channel(server)), LeaseClient::new(channel(server)));
    for id in [7, i64::MAX, -3] {
        leases.lease_grant(pb::LeaseGrantRequest { id, ttl: 3_600 }).await.expect("a lease");
    }
    for number in 0..2 * KEYS {
        let lease = if number % 10 == 0 { 7 } else { 0 };
        // 3 divides no power of ten: keys are not written in their order.
        let request = put(format!("key/{}", number * 3 % KEYS), format!("value {number}"), lease);
        kv.put(request).await.expect("a put");
        if number % 7 == 0 {
            let key = format!("key/{}", number % KEYS).into();
            kv.delete_range(pb::DeleteRangeRequest { key, ..Default::default() }).await.expect("a delete");
        }
        if number == KEYS {
            let revision = KEYS / 2;
            kv.compact(pb::CompactionRequest { revision, physical: false }).await.expect("a compaction");
        }
    }
    let mut auth = AuthClient::new(channel(server));
    let role = pb::AuthRoleAddRequest { name: "reader".to_owned() };
    auth.role_add(role).await.expect("a role");
    let user =
        pb::AuthUserAddRequest { name: "u".to_owned(), password: "p".to_owned(), ..Default::default() };
    auth.user_add(user).await.expect("a user");
    let grant = pb::AuthUserGrantRoleRequest { user: "u".to_owned(), role: "reader".to_owned() };
    auth.user_grant_role(grant).await.expect("a grant");
    let last = kv.put(put("last".to_owned(), String::new(), -3)).await.expect("a put").into_inner();
    (last.header.expect("a header").revision, KEYS / 2)
}

async fn hash_kv(server: &Server, revision: i64) -> pb::HashKvResponse {
    let mut maintenance = MaintenanceClient::new(channel(server));
    maintenance.hash_kv(pb::HashKvRequest { revision }).await.expect("a hash").into_inner()
}

/// What a server knows of leases and users, to be compared.
async fn beside_the_keys(server: &Server) -> (Vec<(i64, i64, usize)>, Vec<String>) {
    let mut leases = LeaseClient::new(channel(server));
    let list = leases.lease_leases(pb::LeaseLeasesRequest {}).await.expect("leases").into_inner();
    let mut found = Vec::new();
    for lease in list.leases {
        let request = pb::LeaseTimeToLiveRequest { id: lease.id, keys: true };
        let lease = leases.lease_time_to_live(request).await.expect("a lease").into_inner();
        assert!(lease.ttl > 0 && lease.ttl <= lease.granted_ttl);
        found.push((lease.id, lease.granted_ttl, lease.keys.len()));
    }
    found.sort_unstable();
    let mut auth = AuthClient::new(channel(server));
    let user = auth.user_get(pb::AuthUserGetRequest { name: "u".to_owned() }).await.expect("the user");
    (found, user.into_inner().roles)
}

fn etcdctl(arguments: &[&str]) -> Result<Output, String> {
    let name = std::env::var_os("QUORATE_TEST_ETCDCTL").unwrap_or_else(|| "etcdctl".into());
    let output = Command::new(name).env("ETCDCTL_API", "3").args(arguments).output();
    output.map_err(|error| format!("cannot run etcdctl: {error}"))
}

/// The output of a call that succeeds.
fn said(arguments: &[&str]) -> String {
    let output = etcdctl(arguments).expect("it has run before");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "etcdctl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is UTF-8")
}

/// `etcdctl` has no `snapshot restore` since 3.6: then the test is for older ones only.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_etcd_starts_from_a_backup_and_holds_what_the_member_held() {
    const TEST: &str = "a backup for etcd";
    let etcd = require!(TEST, Program::etcd());
    require!(TEST, etcdctl(&["version"]));
    let member = Server::start(&quorate(), &[]);
    let (newest, compacted) = fill(&member).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (file, data) = (directory.path().join("backup.db"), directory.path().join("data"));
    let endpoint = member.client_address();
    assert!(said(&["--endpoints", &endpoint, "snapshot", "save", text(&file)]).contains("Snapshot saved at"));
    let status = said(&["snapshot", "status", text(&file), "-w", "json"]);
    assert!(status.contains(&format!("\"revision\":{newest},")), "{status}");
    said(&["snapshot", "restore", text(&file), "--data-dir", text(&data)]);
    let restored = Server::start_at(&etcd, &[], &data);
    for step in 0..COMPARED {
        let revision = newest - step * (newest - compacted) / COMPARED;
        let (ours, theirs) = (hash_kv(&member, revision).await, hash_kv(&restored, revision).await);
        assert_eq!(theirs.hash, ours.hash, "at revision {revision}");
        assert_eq!(theirs.compact_revision, ours.compact_revision);
    }
    assert_eq!(beside_the_keys(&restored).await, beside_the_keys(&member).await);
}

/// The blobs of a backup, joined.
async fn backup(server: &Server) -> (Vec<u8>, String) {
    let mut maintenance = MaintenanceClient::new(channel(server));
    let mut stream = maintenance.snapshot(pb::SnapshotRequest {}).await.expect("a stream").into_inner();
    let (mut file, mut version) = (Vec::new(), String::new());
    let mut remaining = None;
    while let Some(message) = stream.next().await {
        let message = message.expect("a message");
        assert!(message.blob.len() <= 32_768 && message.header.is_none());
        let is_digest = remaining == Some(0);
        assert_eq!(is_digest, message.blob.len() == 32);
        if let Some(before) = remaining.filter(|_| !is_digest) {
            assert_eq!(message.remaining_bytes, before - message.blob.len() as u64);
        }
        remaining = Some(message.remaining_bytes);
        file.extend_from_slice(&message.blob);
        version = message.version;
    }
    (file, version)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_revision_while_clients_write_and_compact() {
    let member = Server::start(&quorate(), &[]);
    let (newest, _) = fill(&member).await;
    let everything = pb::RangeRequest {
        key: b"\0".as_slice().into(),
        range_end: b"\0".as_slice().into(),
        count_only: true,
        ..Default::default()
    };
    let live = KvClient::new(channel(&member)).range(everything).await.expect("a count").into_inner().count;
    // It overwrites keys and deletes none.
    let writer = tokio::spawn({
        let mut kv = KvClient::new(channel(&member));
        async move {
            for number in 0.. {
                let reply = kv.put(put(format!("key/{}", number % KEYS), "new".to_owned(), 0)).await;
                let Ok(reply) = reply else { return };
                let revision = reply.into_inner().header.expect("a header").revision;
                if number % 100 == 99 {
                    let request = pb::CompactionRequest { revision, physical: false };
                    kv.compact(request).await.expect("a compaction");
                }
            }
        }
    });
    for _ in 0..5 {
        let (file, version) = backup(&member).await;
        assert_eq!(version, "3.6.0");
        assert!(matches!(dbfile::verify(&file[..]), Ok(dbfile::Verdict::Right(_))));
        let db = dbfile::Db::open(&file[..]).expect("a database");
        db.check().expect("it is sound");
        let status = dbfile::etcd::status(&db).expect("it is etcd's");
        assert!(status.revision >= newest);
        assert!(
            status.keys >= live as u64,
            "{} keys: some were compacted away under the reader",
            status.keys
        );
    }
    writer.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_of_an_empty_member_is_a_file_too() {
    let member = Server::start(&quorate(), &[]);
    let (file, _) = backup(&member).await;
    let db = dbfile::Db::open(&file[..]).expect("a database");
    db.check().expect("it is sound");
    assert_eq!(dbfile::etcd::status(&db).expect("it is etcd's").keys, 0);
}

/// Its thread ends, and others are served: there may be few at a time.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away_leave_room_for_others() {
    let member = Server::start(&quorate(), &[]);
    fill(&member).await;
    for _ in 0..20 {
        let mut maintenance = MaintenanceClient::new(channel(&member));
        // Those that have gone a moment ago may be there still.
        let stream = tokio::time::timeout(testkit::wait::DEADLINE, async {
            loop {
                match maintenance.snapshot(pb::SnapshotRequest {}).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        let mut stream = stream.await.expect("room for a backup").into_inner();
        assert!(stream.next().await.expect("a message").is_ok());
    }
}
