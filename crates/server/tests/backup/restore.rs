//! Restoring: a cluster of ours goes on where an etcd, or another cluster of ours, was; and a real etcd where ours was.

use std::path::Path;

use backup::restore::{Founding, Options, Progress, Restored, Target, restore_etcd, restore_file};
use datadir::url::{parse_cluster, parse_list};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use testkit::{Cluster, Program, Server, require};

use super::{COMPARED, backup, beside_the_keys, channel, etcdctl, fill, hash_kv, put, quorate, said, text};

/// Who a prepared member is, among all of them.
fn founding(server: &Server, members: &[String]) -> Founding {
    Founding {
        name: server.name().to_owned(),
        members: parse_cluster(&members.join(",")).expect("peer URLs"),
        token: "etcd-cluster".to_owned(),
        advertised: parse_list(&format!("http://{}", server.peer_address())).expect("a peer URL"),
    }
}

/// Restores into the directories of members that were prepared, and starts them.
pub(crate) fn start_restored(
    mut members: Vec<Server>,
    restore: impl Fn(&Founding, &Target) -> Restored,
) -> Cluster {
    let entries: Vec<String> = members.iter().map(Server::peer_entry).collect();
    for member in &mut members {
        let target = Target { data_dir: member.data_dir().to_owned(), wal_dir: None };
        restore(&founding(member, &entries), &target);
        member.spawn().expect("the program is there");
    }
    for member in &mut members {
        member.await_serving().unwrap_or_else(|why| panic!("{why}"));
    }
    Cluster::of(members)
}

pub(crate) fn prepared(size: usize) -> Vec<Server> {
    (0..size).map(|index| Server::prepare(&quorate(), &format!("m{index}"), &[])).collect()
}

pub(crate) fn from_file<'a>(
    file: &'a Path,
    options: Options,
) -> impl Fn(&Founding, &Target) -> Restored + 'a {
    move |founding, target| {
        let origin = founding.origin().expect("a founding");
        restore_file(file, &origin, target, options, &mut Progress::none()).expect("a restore")
    }
}

/// Both have the same keys at ten revisions, the same leases, and the same user.
async fn assert_same(one: &Server, other: &Server, newest: i64, compacted: i64) {
    for step in 0..COMPARED {
        let revision = newest - step * (newest - compacted) / COMPARED;
        let (ours, theirs) = (hash_kv(one, revision).await, hash_kv(other, revision).await);
        assert_eq!(
            (ours.hash, ours.compact_revision),
            (theirs.hash, theirs.compact_revision),
            "at revision {revision}"
        );
    }
    assert_eq!(beside_the_keys(one).await, beside_the_keys(other).await);
}

/// The way in and the way back: an etcd's snapshot, our restore, our server, our snapshot, etcd's restore, an etcd.
#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_moves_in_and_out_and_nothing_changes() {
    const TEST: &str = "a backup of etcd";
    let etcd = require!(TEST, Program::etcd());
    require!(TEST, etcdctl(&["version"]));
    let source = Server::start(&etcd, &[]);
    let (newest, compacted) = fill(&source).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (file, back) = (directory.path().join("etcd.db"), directory.path().join("quorate.db"));
    said(&["--endpoints", &source.client_address(), "snapshot", "save", text(&file)]);
    let ours = start_restored(prepared(1), from_file(&file, Options::default()));
    assert_same(&source, ours.member(0), newest, compacted).await;
    said(&["--endpoints", &ours.member(0).client_address(), "snapshot", "save", text(&back)]);
    let data = directory.path().join("data");
    said(&["snapshot", "restore", text(&back), "--data-dir", text(&data)]);
    let again = Server::start_at(&etcd, &[], &data);
    assert_same(&source, &again, newest, compacted).await;
}

/// What an etcd had acknowledged when it was killed is in its directory, not all of it in its database.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_etcd_has_in_its_log_is_restored_too() {
    let etcd = require!("the data directory of an etcd", Program::etcd());
    let mut source = Server::start(&etcd, &[]);
    fill(&source).await;
    // It commits to its database before it computes a hash: a password in a log of etcd 3.4 cannot be restored.
    crate::hash_kv(&source, 0).await;
    let mut kv = KvClient::new(channel(&source));
    let mut leases = LeaseClient::new(channel(&source));
    leases.lease_grant(pb::LeaseGrantRequest { id: 70, ttl: 600 }).await.expect("a lease");
    let mut newest = 0;
    for number in 0..200 {
        let reply =
            kv.put(put(format!("late/{}", number % 30), format!("{number}"), 70)).await.expect("a put");
        newest = reply.into_inner().header.expect("a header").revision;
    }
    source.kill();
    let log = |founding: &Founding, target: &Target| {
        let origin = founding.origin().expect("a founding");
        let (dir, progress) = (source.data_dir(), &mut Progress::none());
        restore_etcd(dir, None, &origin, target, 0, progress).expect("a restore")
    };
    let ours = start_restored(prepared(1), log);
    source.restart();
    assert_same(&source, ours.member(0), newest, newest - 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_an_etcd_that_runs_is_refused() {
    let etcd = require!("the data directory of an etcd", Program::etcd());
    let source = Server::start(&etcd, &[]);
    let member = Server::prepare(&quorate(), "m0", &[]);
    let origin = founding(&member, &[member.peer_entry()]).origin().expect("a founding");
    let target = Target { data_dir: member.data_dir().to_owned(), wal_dir: None };
    let refused = restore_etcd(source.data_dir(), None, &origin, &target, 0, &mut Progress::none());
    let error = refused.expect_err("somebody writes into it").to_string();
    assert!(error.contains("is in use"), "{error}");
    assert!(!member.data_dir().exists());
}

/// Every member is restored by itself, and then they are a cluster.
#[tokio::test(flavor = "multi_thread")]
async fn three_members_restored_from_one_file_are_a_cluster() {
    let source = Server::start(&quorate(), &[]);
    let (newest, compacted) = fill(&source).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("backup.db");
    std::fs::write(&file, backup(&source).await.0).expect("a file");
    let mut cluster = start_restored(prepared(3), from_file(&file, Options::default()));
    for member in cluster.members() {
        assert_same(&source, member, newest, compacted).await;
    }
    let writes = async |server: &Server| {
        let mut kv = KvClient::new(channel(server));
        kv.put(put("after".to_owned(), "the restore".to_owned(), 0)).await.expect("a put");
    };
    writes(cluster.member(1)).await;
    cluster.member_mut(0).kill();
    writes(cluster.member(2)).await;
    cluster.member_mut(0).restart();
    let revision = newest + 2;
    let first = hash_kv(cluster.member(1), revision).await;
    for server in [cluster.member(0), cluster.member(2)] {
        // A read through the leader says that the member has everything.
        let range = pb::RangeRequest { key: "after".into(), ..Default::default() };
        let found = KvClient::new(channel(server)).range(range).await.expect("a range").into_inner();
        assert_eq!(found.header.expect("a header").revision, revision);
        assert_eq!(hash_kv(server, revision).await.hash, first.hash);
    }
}

/// Clients that have seen later revisions than the backup has are told that those are gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_raised_revision_is_behind_all_that_clients_have_seen() {
    let source = Server::start(&quorate(), &[]);
    let (newest, _) = fill(&source).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("backup.db");
    std::fs::write(&file, backup(&source).await.0).expect("a file");
    let options = Options { raise_revision: 1_000_000, ..Options::default() };
    let cluster = start_restored(prepared(1), from_file(&file, options));
    let mut kv = KvClient::new(channel(cluster.member(0)));
    let range = pb::RangeRequest { key: "last".into(), ..Default::default() };
    let found = kv.range(range.clone()).await.expect("a range").into_inner();
    assert_eq!(found.header.expect("a header").revision, newest + 1_000_000);
    assert_eq!(found.kvs[0].mod_revision, newest, "what the key says of itself is what it was");
    let old = kv.range(pb::RangeRequest { revision: newest + 5, ..range }).await.expect_err("compacted");
    assert_eq!(old.message(), "etcdserver: mvcc: required revision has been compacted");
}

/// A member does not take what an interrupted restore has left for an empty directory.
#[test]
fn a_member_does_not_start_on_half_a_restore() {
    let mut member = Server::prepare(&quorate(), "m0", &[]);
    std::fs::create_dir_all(member.data_dir().join("restoring")).expect("a directory");
    let refused = member.try_restart().expect_err("it is half a restore");
    assert!(refused.contains("a restore that was not finished"), "{refused}");
}
