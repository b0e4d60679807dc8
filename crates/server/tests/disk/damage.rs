//! Files with flipped bytes.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proto::etcdserverpb as pb;
use proto::mvccpb::{Event, KeyValue};
use testkit::server::run_to_end;
use testkit::{Server, wait};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::client::{connect, history, kv, program, put, range, refusal};

/// Writes, over so many keys.
const WRITES: usize = 300;
const KEYS: usize = 50;

/// Bytes that are flipped in a store, one at a time, unless `QUORATE_TEST_BUDGET` says more.
const FLIPS: usize = 12;

/// An offset in the body of a copy of term and vote.
const IN_VOTE: usize = 24;

/// A member with some history, cleanly stopped: all of it is synced.
async fn stopped_member() -> (Server, Truth) {
    let mut server = Server::start(&program(), &[]);
    let channel = connect(&server).await;
    for number in 0..WRITES {
        let value = format!("value {number:04} ").repeat(4);
        put(&channel, &format!("key {}", number % KEYS), &value).await.expect("a put is served");
    }
    let truth = Truth::read(&channel).await.expect("reads are served");
    drop(channel);
    server.terminate();
    (server, truth)
}

/// Every answer a reader can get.
#[derive(PartialEq, Debug)]
struct Truth {
    newest: Vec<KeyValue>,
    old: Vec<(i64, Vec<KeyValue>)>,
    events: Vec<Event>,
}

impl Truth {
    /// Reads it all, or says what was refused.
    async fn read(channel: &Channel) -> Result<Truth, String> {
        let newest_revision = 1 + WRITES as i64;
        let newest = range(channel, 0).await.map_err(|status| status.to_string())?;
        let mut old = Vec::new();
        for revision in (2..=newest_revision).step_by(17) {
            old.push((revision, range(channel, revision).await.map_err(|status| status.to_string())?));
        }
        Ok(Truth { newest, old, events: history(channel, newest_revision).await? })
    }
}

/// Flips a bit.
fn flip(path: &Path, offset: usize) {
    let mut content = fs::read(path).expect("the file can be read");
    content[offset] ^= 0x10;
    fs::write(path, content).expect("the file can be written");
}

/// Files as they were, to go back to after a damage.
struct Saved(Vec<(PathBuf, Vec<u8>)>);

impl Saved {
    fn new(paths: &[PathBuf]) -> Saved {
        Saved(
            paths.iter().map(|path| (path.clone(), fs::read(path).expect("the file can be read"))).collect(),
        )
    }

    fn restore(&self) {
        for (path, content) in &self.0 {
            fs::write(path, content).expect("the file can be written");
        }
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .expect("the directory can be read")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    paths.sort();
    paths
}

fn find(content: &[u8], wanted: &[u8]) -> usize {
    content.windows(wanted.len()).position(|window| window == wanted).expect("it is in the file")
}

#[tokio::test]
async fn a_damaged_record_of_the_raft_log_is_refused_with_file_and_offset() {
    let (mut server, truth) = stopped_member().await;
    let segment = files(&server.data_dir().join("member/wal/entries")).remove(0);
    let content = fs::read(&segment).expect("the file can be read");
    let places = [
        ("the segment's magic", 0),
        ("a value near the start", find(&content, b"value 0003")),
        ("a value in the middle", find(&content, b"value 0150")),
        ("the newest value", find(&content, b"value 0299")),
    ];
    let saved = Saved::new(std::slice::from_ref(&segment));
    for (what, offset) in places {
        flip(&segment, offset);
        let reason = refusal(&run_to_end(server.program(), &server.flags()));
        let named = format!("{} is corrupt at offset ", segment.display());
        assert!(reason.contains(&named), "{what} at {offset}: {reason}");
        saved.restore();
    }
    server.restart();
    assert_eq!(Truth::read(&connect(&server).await).await, Ok(truth));
}

#[tokio::test]
async fn one_damaged_copy_of_the_vote_is_mended_and_two_are_refused() {
    let (mut server, truth) = stopped_member().await;
    let copies = ["hard-state-a", "hard-state-b"].map(|name| server.data_dir().join("member/wal").join(name));
    for copy in &copies {
        flip(copy, IN_VOTE);
        server.restart();
        assert_eq!(Truth::read(&connect(&server).await).await.as_ref(), Ok(&truth));
        server.terminate();
    }
    copies.iter().for_each(|copy| flip(copy, IN_VOTE));
    let reason = refusal(&run_to_end(server.program(), &server.flags()));
    assert!(reason.contains("both copies of the vote") && reason.contains("must be replaced"), "{reason}");
}

#[tokio::test]
async fn a_damaged_store_never_gives_a_wrong_answer() {
    let (mut server, truth) = stopped_member().await;
    let store = server.data_dir().join("member/kv");
    let mut paths = files(&store.join("history"));
    paths.push(store.join("current.redb"));
    let saved = Saved::new(&paths);
    let used: Vec<_> = saved.0.iter().map(|(_, content)| used_offsets(content)).collect();
    let flips = std::env::var("QUORATE_TEST_BUDGET").ok().and_then(|text| text.parse().ok()).unwrap_or(FLIPS);
    let (mut refused, mut interrupted, mut without_effect) = (0, 0, 0);
    for number in 0..flips {
        let file = number % paths.len();
        // Spread over the file, without a pattern that its pages could share.
        let offset = used[file][number * 7_919 % used[file].len()];
        let what = format!("{} with a bit of byte {offset} flipped", paths[file].display());
        flip(&paths[file], offset);
        if server.try_restart().is_err() {
            refused += 1;
        } else {
            let channel = connect(&server).await;
            let answers = tokio::time::timeout(wait::DEADLINE, Truth::read(&channel)).await;
            match answers.unwrap_or_else(|_| panic!("{what}: no answer")) {
                Ok(answers) => {
                    assert!(answers == truth, "{what}: a wrong answer");
                    without_effect += 1;
                }
                Err(_) => interrupted += 1,
            }
        }
        server.kill();
        // Whatever the start put right or wrote anew: the next flip is done to the same files.
        saved.restore();
    }
    println!(
        "{flips} flips: {refused} starts refused, {interrupted} reads refused, {without_effect} without effect"
    );
    assert!(refused + interrupted > 0, "some damage is noticed");
}

/// Where the file is not zero.
fn used_offsets(content: &[u8]) -> Vec<usize> {
    (0..content.len()).filter(|offset| content[*offset] != 0).collect()
}

/// Flips a bit wherever the file has these bytes.
fn flip_all(path: &Path, wanted: &[u8]) {
    let mut content = fs::read(path).expect("the file can be read");
    let places: Vec<_> = (0..content.len()).filter(|&at| content[at..].starts_with(wanted)).collect();
    assert!(!places.is_empty(), "it is in {}", path.display());
    places.into_iter().for_each(|at| content[at] ^= 1);
    fs::write(path, content).expect("the file can be written");
}

fn single(key: &str, revision: i64) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), revision, ..pb::RangeRequest::default() }
}

async fn get(channel: &Channel, key: &str, revision: i64) -> Result<Option<Bytes>, Status> {
    let reply = kv(channel).range(single(key, revision)).await?;
    Ok(reply.into_inner().kvs.pop().map(|kv| kv.value))
}

/// Everything that wants to know the damaged value of a key.
async fn refused(channel: &Channel, key: &str) -> Vec<Status> {
    let mut client = kv(channel);
    let compare = pb::Compare {
        target: pb::compare::CompareTarget::Value as i32,
        key: key.to_owned().into(),
        target_union: Some(pb::compare::TargetUnion::Value("x".into())),
        ..pb::Compare::default()
    };
    let whole = pb::Compare { key: "a".into(), range_end: "z".into(), ..compare.clone() };
    let put = pb::PutRequest { key: "other".into(), value: "y".into(), ..pb::PutRequest::default() };
    let op = |request| pb::RequestOp { request: Some(request) };
    let put = op(pb::request_op::Request::RequestPut(put));
    let read = op(pb::request_op::Request::RequestRange(single(key, 0)));
    let txns = [(vec![compare], vec![]), (vec![whole], vec![]), (vec![], vec![put.clone(), read])];
    let keeps = pb::PutRequest { key: key.to_owned().into(), ignore_value: true, ..Default::default() };
    let mut refused = vec![
        get(channel, key, 0).await.expect_err("a read"),
        client.put(keeps).await.expect_err("a put that keeps the value"),
    ];
    for (compare, mut success) in txns {
        success.push(put.clone());
        // The same key may be put once.
        success.truncate(2);
        let request = pb::TxnRequest { compare, success, failure: Vec::new() };
        refused.push(client.txn(request).await.expect_err("a transaction"));
    }
    refused
}

#[tokio::test]
async fn a_lone_member_with_a_damaged_value_goes_on_and_takes_another() {
    let (mut server, _) = stopped_member().await;
    let newest = 1 + WRITES as i64;
    let database = server.data_dir().join("member/kv/current.redb");
    flip_all(&database, b"value 0270");
    flip_all(&database, b"value 0271");
    server.restart();
    let channel = connect(&server).await;
    let named = |status: &Status, key: &str| {
        assert_eq!(status.code(), Code::DataLoss, "{status:?}");
        let text = status.message();
        assert!(text.contains(&format!("{} is corrupt: key \"{key}\"", database.display())), "{text}");
    };
    for status in refused(&channel, "key 20").await {
        named(&status, "key 20");
    }
    named(&get(&channel, "key 21", 0).await.expect_err("damaged"), "key 21");
    // It took the reading transaction's put, and nothing else of what was refused.
    assert_eq!(get(&channel, "other", 0).await.expect("a read"), Some("y".into()));
    put(&channel, "key 20", "new").await.expect("another value");
    let delete =
        pb::DeleteRangeRequest { key: "key 21".into(), prev_kv: true, ..pb::DeleteRangeRequest::default() };
    let unknown = kv(&channel).delete_range(delete).await.expect_err("nobody knows what it was");
    assert_eq!(unknown.code(), Code::DataLoss);
    // Replayed, then from a checkpoint.
    for round in 0..2 {
        match round {
            0 => server.kill(),
            _ => drop(server.terminate()),
        }
        server.restart();
        let channel = connect(&server).await;
        assert_eq!(get(&channel, "key 20", 0).await.expect("a read"), Some("new".into()));
        assert_eq!(get(&channel, "key 21", 0).await.expect("a read"), None);
        assert_eq!(range(&channel, 0).await.expect("everything").len(), KEYS);
        let status = get(&channel, "key 20", newest).await.expect_err("it is lost");
        assert_eq!(status.code(), Code::DataLoss);
        assert!(status.message().contains("key \"key 20\""), "{status:?}");
        let ended = history(&channel, newest + 2).await.expect_err("a watcher that wants to know it");
        assert!(ended.contains("key \\\"key 20\\\"") || ended.contains("key \"key 20\""), "{ended}");
    }
    let log = server.log();
    assert!(log.contains("a value in this member's database is damaged"), "{log}");
    assert!(log.contains("put the key again, or delete it"), "{log}");
}
