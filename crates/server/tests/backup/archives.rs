//! Backups by the clock: real members, and what can be restored of what they have written.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use archive::{Address, ArchiveError, Extracted, S3Options, Stop, Store, Wanted};
use backup::restore::Options;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::pki::{self, Authority, Request};
use testkit::s3::{ACCESS_KEY, BUCKET, Fault, S3, SECRET_KEY};
use testkit::{Cluster, Server, Tmpfs, http, require, wait};

use super::restore::{from_file, prepared, start_restored};
use super::{channel, hash_kv, put, quorate};

/// A store that speaks S3, and a file with the credentials for it.
struct Bucket {
    s3: S3,
    directory: tempfile::TempDir,
    /// Who has signed its certificate, if it speaks TLS.
    ca_file: Option<PathBuf>,
}

impl Bucket {
    fn new() -> Self {
        Self::of(S3::start(), None)
    }

    /// One that speaks TLS, with a certificate that this CA signs.
    fn secured(authority: &Authority) -> Self {
        let s3 = S3::start_secured(&authority.issue(&Request::named("store")));
        Self::of(s3, Some(authority))
    }

    fn of(s3: S3, authority: Option<&Authority>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ca_file = authority.map(|ca| pki::replace(directory.path(), "ca.crt", ca.pem().as_bytes()));
        let text = format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n");
        std::fs::write(directory.path().join("credentials"), text).expect("a file");
        Self { s3, directory, ca_file }
    }

    fn credentials(&self) -> PathBuf {
        self.directory.path().join("credentials")
    }

    fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--backup-to=s3://{BUCKET}/test"),
            format!("--backup-s3-endpoint={}", self.s3.endpoint()),
            format!("--backup-credentials-file={}", self.credentials().display()),
            "--backup-piece-interval=1s".to_owned(),
        ];
        flags.extend(self.ca_file.iter().map(|file| format!("--backup-s3-ca-file={}", file.display())));
        flags
    }

    fn store(&self) -> Box<dyn Store> {
        let address = Address::S3 { bucket: BUCKET.to_owned(), prefix: "test".to_owned() };
        let options = S3Options {
            endpoint: Some(self.s3.endpoint()),
            credentials_file: Some(self.credentials()),
            ca_file: self.ca_file.clone(),
            ..S3Options::default()
        };
        address.open(&options, Stop::never()).expect("a store")
    }

    /// How many requests there were with this in their lines.
    fn requests(&self, part: &str) -> usize {
        self.s3.requests().iter().filter(|line| line.contains(part)).count()
    }
}

fn directory(path: &Path) -> Box<dyn Store> {
    Address::Directory(path.to_owned()).open(&S3Options::default(), Stop::never()).expect("a store")
}

fn start(size: usize, flags: &[String]) -> Cluster {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Cluster::start(&quorate(), size, &flags)
}

/// Calls a member. A store blocks, so the tests are no tasks.
fn call<T>(calls: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(calls)
}

/// Writes a key; returns its revision.
fn write(server: &Server, key: &str, value: &str) -> i64 {
    let request = put(key.to_owned(), value.to_owned(), 0);
    let reply = call(async { KvClient::new(channel(server)).put(request).await });
    reply.expect("a put").into_inner().header.expect("a header").revision
}

/// Who leads, among these.
fn leader(cluster: &Cluster, among: &[usize]) -> usize {
    let leads = |index: &usize| {
        let member = cluster.member(*index);
        let status = async { MaintenanceClient::new(channel(member)).status(pb::StatusRequest {}).await };
        let status = call(status).ok()?.into_inner();
        (status.leader == status.header?.member_id).then_some(*index)
    };
    wait::until("a leader", || among.iter().find_map(leads))
}

/// Waits until a revision can be restored.
fn await_revision(store: &dyn Store, revision: i64) {
    wait::until(&format!("revision {revision} in the archive"), || {
        let overview = archive::overview(store, None).ok()?;
        overview.ranges.iter().any(|range| range.to >= revision).then_some(())
    });
}

/// Restores a moment to a member of its own.
fn restored(store: &dyn Store, wanted: Wanted) -> (Cluster, Extracted) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("backup.db");
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    let cluster = archive::overview(store, None).expect("an archive").cluster;
    let extracted = archive::extract(store, cluster, wanted, directory.path(), &mut file).expect("a moment");
    (start_restored(prepared(1), from_file(&path, Options::default())), extracted)
}

fn assert_restored(store: &dyn Store, of: &Server, revision: i64) {
    let (cluster, extracted) = restored(store, Wanted::Revision(revision));
    assert_eq!(extracted.revision, revision);
    let hash = |server| call(hash_kv(server, revision));
    let (ours, theirs) = (hash(of), hash(cluster.member(0)));
    assert_eq!((theirs.hash, theirs.compact_revision), (ours.hash, ours.compact_revision), "at {revision}");
}

fn millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// A number of the metrics; 0 if it is not there.
fn metric(server: &Server, name: &str) -> f64 {
    http::metric(&server.client_address(), name).unwrap_or(0.0)
}

#[test]
fn a_killed_leader_leaves_nothing_wrong_and_its_successor_goes_on() {
    let bucket = Bucket::new();
    // In the middle of its first full backup, and later of a piece.
    bucket.s3.fail(Fault::Silence, "PUT /backups/test", 1);
    let mut cluster = start(3, &bucket.flags());
    let first = leader(&cluster, &[0, 1, 2]);
    let early = write(cluster.member(first), "a", "1");
    wait::until("the upload", || (bucket.requests("full-") > 0).then_some(()));
    assert!(bucket.s3.objects().is_empty());
    cluster.member_mut(first).kill();
    let others: Vec<usize> = (0..3).filter(|index| *index != first).collect();
    let second = leader(&cluster, &others);
    let store = bucket.store();
    await_revision(&*store, early);
    bucket.s3.fail(Fault::Silence, "PUT /backups/test/", 1);
    let before = bucket.requests("PUT");
    let middle = write(cluster.member(second), "a", "2");
    wait::until("the piece", || (bucket.requests("PUT") > before).then_some(()));
    cluster.member_mut(second).kill();
    cluster.member_mut(first).restart();
    let third = leader(&cluster, &(0..3).filter(|index| *index != second).collect::<Vec<_>>());
    await_revision(&*store, middle);
    let late = write(cluster.member(third), "b", "3");
    await_revision(&*store, late);
    let overview = archive::overview(&*store, None).expect("an archive");
    assert_eq!((overview.catalogue.fulls.len(), overview.ranges.len()), (1, 1), "the chain goes on");
    assert!(archive::survey(&*store, &overview, |_| {}).expect("it is read").findings.is_empty());
    for revision in [early, middle, late] {
        assert_restored(&*store, cluster.member(third), revision);
    }
}

#[test]
fn one_member_writes_and_a_time_is_restored() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let to = format!("--backup-to=file://{}", place.path().display());
    let cluster = start(3, &[to, "--backup-piece-interval=1s".to_owned(), "--backup-keep=48h".to_owned()]);
    let store = directory(place.path());
    let leader = leader(&cluster, &[0, 1, 2]);
    let early = write(cluster.member(leader), "a", "1");
    await_revision(&*store, early);
    let moment = millis();
    let late = write(cluster.member(leader), "a", "2");
    await_revision(&*store, late);
    let (member, extracted) = restored(&*store, Wanted::Time(moment));
    assert_eq!(extracted.revision, early);
    let range = pb::RangeRequest { key: b"a".as_slice().into(), ..Default::default() };
    let got = call(async { KvClient::new(channel(member.member(0))).range(range).await });
    let got = got.expect("a range").into_inner();
    assert_eq!(&got.kvs[0].value[..], b"1");
    for (index, member) in cluster.members().iter().enumerate() {
        let is_leader = f64::from(u8::from(index == leader));
        assert_eq!(metric(member, "quorate_backup_active"), is_leader);
        assert_eq!(metric(member, "quorate_backup_fulls_total"), is_leader);
        assert_eq!(metric(member, "quorate_backup_failures_total"), 0.0);
    }
    let last = metric(cluster.member(leader), "quorate_backup_last_full_timestamp_seconds");
    assert!(last > 1_700_000_000.0);
    let shipped = metric(cluster.member(leader), "quorate_backup_shipped_revision");
    assert_eq!(shipped as i64, late);
}

#[test]
fn a_store_that_never_answers_holds_up_nobody_and_a_member_stops_beside_it() {
    let bucket = Bucket::new();
    bucket.s3.fail(Fault::Silence, "", usize::MAX);
    let mut cluster = start(1, &bucket.flags());
    wait::until("a request", || (!bucket.s3.requests().is_empty()).then_some(()));
    for number in 0..100 {
        write(cluster.member(0), "a", &number.to_string());
    }
    cluster.member_mut(0).terminate();
    assert_eq!(bucket.s3.objects().len(), 0);
}

#[test]
fn a_store_that_fails_is_seen_in_the_metrics_and_in_the_log() {
    let bucket = Bucket::new();
    bucket.s3.fail(Fault::Status(403), "PUT ", 3);
    let cluster = start(1, &bucket.flags());
    let revision = write(cluster.member(0), "a", "1");
    await_revision(&*bucket.store(), revision);
    let member = cluster.member(0);
    assert_eq!(metric(member, "quorate_backup_failures_total"), 3.0);
    assert!(member.log().contains("the store answered 403 Planned: on purpose"), "{}", member.log_tail());
    assert!(!member.log().contains(SECRET_KEY));
}

#[test]
fn a_full_disk_fails_the_backup_and_nothing_else() {
    let disk = require!("archives::a_full_disk", Tmpfs::new("1m"));
    let to = format!("--backup-to=file://{}", disk.path().join("archive").display());
    let cluster = Cluster::of(vec![Server::start(&quorate(), &[&to, "--backup-piece-interval=1s"])]);
    let member = cluster.member(0);
    let store = directory(&disk.path().join("archive"));
    await_revision(&*store, 1);
    let value = "v".repeat(500_000);
    let mut last = 0;
    for number in 0..4 {
        last = write(member, &format!("k{number}"), &value);
    }
    wait::until("a failure", || (metric(member, "quorate_backup_failures_total") > 0.0).then_some(()));
    last = last.max(write(member, "small", "1"));
    disk.resize("64m");
    await_revision(&*store, last);
    assert_restored(&*store, member, last);
}

#[test]
fn where_compaction_was_faster_than_the_store_there_is_a_full_backup_again() {
    let bucket = Bucket::new();
    let mut cluster = start(1, &bucket.flags());
    let early = write(cluster.member(0), "a", "1");
    let store = bucket.store();
    await_revision(&*store, early);
    bucket.s3.fail(Fault::Status(500), "", usize::MAX);
    let lost = write(cluster.member(0), "a", "2");
    let late = write(cluster.member(0), "a", "3");
    // A restart forgets what was kept from compaction.
    cluster.member_mut(0).kill();
    cluster.member_mut(0).restart();
    let compact = pb::CompactionRequest { revision: late, physical: true };
    let compacted = call(async { KvClient::new(channel(cluster.member(0))).compact(compact).await });
    compacted.expect("a compaction");
    bucket.s3.heal();
    await_revision(&*store, late);
    let overview = archive::overview(&*store, None).expect("an archive");
    assert_eq!(overview.ranges.len(), 2);
    let error = overview.catalogue.choose(Wanted::Revision(lost)).expect_err("it is gone");
    assert!(matches!(error, ArchiveError::Gap { newest, .. } if newest == early), "{error}");
    // At its own revision, a compaction's hash is one that was taken before.
    let after = write(cluster.member(0), "a", "4");
    await_revision(&*store, after);
    assert_restored(&*store, cluster.member(0), after);
}

#[test]
fn a_store_behind_tls_takes_backups_from_who_knows_its_ca() {
    let bucket = Bucket::secured(&Authority::new("of the store"));
    assert!(bucket.s3.endpoint().starts_with("https://"));
    let cluster = start(1, &bucket.flags());
    let store = bucket.store();
    let early = write(cluster.member(0), "a", "1");
    await_revision(&*store, early);
    // A piece after the full backup.
    let late = write(cluster.member(0), "a", "2");
    await_revision(&*store, late);
    for revision in [early, late] {
        assert_restored(&*store, cluster.member(0), revision);
    }
}

#[test]
fn a_store_whose_certificate_another_ca_has_signed_is_told_nothing() {
    let mut bucket = Bucket::secured(&Authority::new("of the store"));
    let other = Authority::new("another one").pem();
    bucket.ca_file = Some(pki::replace(bucket.directory.path(), "other.crt", other.as_bytes()));
    let cluster = start(1, &bucket.flags());
    let member = cluster.member(0);
    write(member, "a", "1");
    wait::until("a failure", || (metric(member, "quorate_backup_failures_total") > 0.0).then_some(()));
    wait::until("a reason", || member.log().contains("UnknownIssuer").then_some(()));
    // Those of the system do not have it either.
    bucket.ca_file = None;
    let error = archive::overview(&*bucket.store(), None).map(drop).expect_err("nobody knows its CA");
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
    assert!(bucket.s3.requests().is_empty() && bucket.s3.objects().is_empty());
}
