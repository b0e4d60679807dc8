//! A machine on a simulated disk, and how a script's commands reach it.

use std::fmt::Write as _;

use machine::auth::Access;
use machine::limits::Limits;
use machine::{Applied, Body, Failure, Machine, Outcome, Rejection, Reply, read, txn, validate};
use mvcc::LeaseId;
use prost::Message;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, CompactionRequest, DeleteRangeResponse, InternalRaftRequest,
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest,
    PutResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use proto::quoratepb::LeaseExpire;

use wal::SimDisk;

use super::script::Command;
use super::{command, print, store};

const TERM: u64 = 3;

mod auth;
mod members;

pub(crate) struct World {
    disk: SimDisk,
    /// `None` only while it is being reopened.
    machine: Option<Machine>,
    index: u64,
    /// On whose behalf the commands are given, and with which auth revision if not the newest.
    identity: Option<(String, Option<u64>)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let disk = SimDisk::new(1);
        Self { machine: Some(store::open(&disk)), disk, index: 0, identity: None }
    }

    fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().expect("open between commands")
    }

    /// Makes everything durable, and starts from what the disk holds.
    fn reopen(&mut self) -> String {
        store::checkpoint(self.machine());
        drop(self.machine.take());
        self.disk = self.disk.restart();
        self.machine = Some(store::open(&self.disk));
        let index = self.machine().store().applied().index;
        assert_eq!(index, self.index, "a checkpoint holds everything applied before it");
        String::new()
    }

    /// Runs one command of a script and returns what it prints.
    pub(crate) fn execute(&mut self, command: &Command) -> String {
        match command.text(0) {
            "put" => self.put(command),
            "get" => self.get(command),
            "stream" => self.stream(command),
            "del" => self.delete(command),
            "txn" => self.txn(command),
            "compact" => self.compact(command),
            "lease" => self.lease(command),
            "alarm" => self.alarm(command),
            "member" => self.member(command),
            "as" => self.on_behalf(command),
            "auth" => self.auth(command),
            "user" => self.user(command),
            "role" => self.role(command),
            "may" => self.may(command),
            "hashkv" => self.hash_kv(command),
            "reopen" => self.reopen(),
            "raw" => self.propose(InternalRaftRequest::default(), |_| String::new()),
            other => panic!("unknown command {other}"),
        }
    }

    fn put(&mut self, command: &Command) -> String {
        let request = command::put(command);
        if let Err(rejection) = validate::put(&request) {
            return print::rejection(rejection);
        }
        let entry = InternalRaftRequest { put: Some(request), ..InternalRaftRequest::default() };
        self.propose(entry, |body| print::put(&PutResponse::decode(body).unwrap()))
    }

    fn delete(&mut self, command: &Command) -> String {
        let request = command::delete(command);
        if let Err(rejection) = validate::delete_range(&request) {
            return print::rejection(rejection);
        }
        let entry = InternalRaftRequest { delete_range: Some(request), ..InternalRaftRequest::default() };
        self.propose(entry, |body| print::delete(&DeleteRangeResponse::decode(body).unwrap()))
    }

    /// A range is read from a view and through the log: the answers must be the same.
    fn get(&mut self, command: &Command) -> String {
        let request = command::get(command);
        if let Err(rejection) = validate::range(&request) {
            return print::rejection(rejection);
        }
        let permitted = self.permitted(Access::Range(&request));
        let viewed =
            permitted.and_then(|()| served(read::range(&self.machine().view(), &request, &mvcc::ToTheEnd)));
        if permitted.is_ok() && validate::range_stream(&request).is_ok() {
            assert_eq!(viewed, self.streamed(&request));
        }
        let entry = InternalRaftRequest {
            range: Some(Box::<RangeRequest>::new(request)),
            ..InternalRaftRequest::default()
        };
        let applied = self.apply(&entry).result;
        if applied != Err(Rejection::Corrupt) {
            assert_eq!(viewed, applied);
        }
        print_result(&viewed, |body| print::range(&RangeResponse::decode(body).unwrap()))
    }

    /// The chunks of a streamed range, where a request may have 64 bytes.
    fn stream(&mut self, command: &Command) -> String {
        let request = command::get(command);
        if let Err(rejection) = validate::range_stream(&request) {
            return print::rejection(rejection);
        }
        let mut stream = read::RangeStream::new(request, 64);
        let mut text = String::new();
        loop {
            match stream.next(&self.machine().view(), &mvcc::ToTheEnd) {
                Ok(None) => return text,
                Ok(Some(chunk)) => {
                    let response = RangeResponse::decode(chunk.body.to_bytes()).unwrap();
                    let header = chunk
                        .header_revision
                        .map_or("no header".to_owned(), |revision| format!("r{revision}"));
                    let keys: Vec<String> = response.kvs.iter().map(|kv| print::bytes(&kv.key)).collect();
                    let more = if response.more { ", more" } else { "" };
                    writeln!(
                        text,
                        "{header}, {} keys [{}], count {}{more}",
                        keys.len(),
                        keys.join(" "),
                        response.count
                    )
                    .unwrap();
                }
                Err(Failure::GivenUp) => unreachable!("it goes on to the end"),
                Err(Failure::Rejected(rejection)) => return text + &print::rejection(rejection),
                Err(Failure::Store(error)) => panic!("{error}"),
            }
        }
    }

    /// What a client gets that merges the messages of a stream: the unary reply.
    fn streamed(&mut self, request: &RangeRequest) -> Result<Reply, Rejection> {
        let mut stream = read::RangeStream::new(request.clone(), 64);
        let (mut merged, mut revision) = (Vec::new(), 0);
        while let Some(chunk) = stream.next(&self.machine().view(), &mvcc::ToTheEnd).map_err(refused)? {
            chunk.body.write(&mut merged);
            assert_eq!(revision, 0, "only the last message has a header");
            revision = chunk.header_revision.unwrap_or_default();
        }
        Ok(Reply { revision, body: Body::encoded(merged.into()) })
    }

    /// A transaction that only reads runs on a view, and in the log with the same answer.
    fn txn(&mut self, command: &Command) -> String {
        let request = command::txn(command);
        if let Err(rejection) = validate::txn(&request, &Limits::default()) {
            return print::rejection(rejection);
        }
        let printed = |body: bytes::Bytes| print::txn(&TxnResponse::decode(body).unwrap());
        let entry = InternalRaftRequest { txn: Some(request.clone()), ..InternalRaftRequest::default() };
        if !txn::is_read_only(&request) {
            return self.propose(entry, printed);
        }
        self.read_only_txn(&request, &entry)
    }

    fn read_only_txn(&mut self, request: &TxnRequest, entry: &InternalRaftRequest) -> String {
        let permitted = self.permitted(Access::Txn(request));
        let viewed =
            permitted.and_then(|()| served(read::txn(&self.machine().view(), request, &mvcc::ToTheEnd)));
        let applied = self.apply(entry);
        assert!(applied.changes.is_none());
        if applied.result != Err(Rejection::Corrupt) {
            assert_eq!(viewed, applied.result);
        }
        print_result(&viewed, |body| print::txn(&TxnResponse::decode(body).unwrap()))
    }

    fn compact(&mut self, command: &Command) -> String {
        let request = CompactionRequest { revision: number(command, 1), physical: false };
        let entry = InternalRaftRequest { compaction: Some(request), ..InternalRaftRequest::default() };
        self.propose(entry, empty)
    }

    fn lease(&mut self, command: &Command) -> String {
        if command.text(1) == "list" {
            return self.leases();
        }
        let id = number(command, 2);
        let entry = InternalRaftRequest::default();
        match command.text(1) {
            // `lease grant ID TTL`
            "grant" => {
                let grant = LeaseGrantRequest { id, ttl: number(command, 3) };
                self.propose(InternalRaftRequest { lease_grant: Some(grant), ..entry }, |body| {
                    let response = LeaseGrantResponse::decode(body).unwrap();
                    format!("lease {} ttl {}\n", response.id, response.ttl)
                })
            }
            "revoke" => {
                let revoke = LeaseRevokeRequest { id };
                self.propose(InternalRaftRequest { lease_revoke: Some(revoke), ..entry }, empty)
            }
            // `lease checkpoint ID REMAINING`
            "checkpoint" => {
                let checkpoint = LeaseCheckpoint { id, remaining_ttl: number(command, 3) };
                let checkpoints = LeaseCheckpointRequest { checkpoints: vec![checkpoint] };
                self.propose(
                    InternalRaftRequest { lease_checkpoint: Some(checkpoints.into()), ..entry },
                    empty,
                )
            }
            // `lease expire ID EPOCH [TERM]`
            "expire" => {
                let term = if command.words.len() > 4 { number(command, 4) as u64 } else { TERM };
                let expire = LeaseExpire { id, term, renew_epoch: number(command, 3) as u64 };
                self.propose(InternalRaftRequest { lease_expire: Some(expire.into()), ..entry }, empty)
            }
            other => panic!("unknown lease command {other}"),
        }
    }

    fn leases(&mut self) -> String {
        let mut text = String::new();
        for (LeaseId(id), lease) in self.machine().leases() {
            let keys: Vec<String> = lease.keys().map(|key| print::bytes(key)).collect();
            writeln!(text, "lease {id} ttl {} keys [{}]", lease.ttl_seconds, keys.join(" ")).unwrap();
        }
        if text.is_empty() { "none\n".to_owned() } else { text }
    }

    fn alarm(&mut self, command: &Command) -> String {
        let action =
            AlarmAction::from_str_name(&command.text(1).to_uppercase()).map_or(99, |action| action as i32);
        let alarm = AlarmType::from_str_name(command.text(2)).expect("an alarm") as i32;
        let request = AlarmRequest { action, alarm, member_id: number(command, 3) as u64 };
        let entry = InternalRaftRequest { alarm: Some(request.into()), ..InternalRaftRequest::default() };
        self.propose(entry, |body| {
            let response = AlarmResponse::decode(body).unwrap();
            let lines =
                response.alarms.iter().map(|alarm| format!("{:?} at {}\n", alarm.alarm(), alarm.member_id));
            lines.collect()
        })
    }

    fn hash_kv(&mut self, command: &Command) -> String {
        let at = (command.words.len() > 1).then(|| number(command, 1));
        match self.machine().view().hash_kv(at) {
            Ok(hash) => {
                let (revision, compacted) = (hash.hash_revision, hash.compact_revision);
                format!("r{}\n{} at r{revision}, compacted at r{compacted}\n", hash.revision, hash.hash)
            }
            Err(error) => print::rejection(refused(error.into())),
        }
    }

    fn apply(&mut self, entry: &InternalRaftRequest) -> Outcome {
        self.index += 1;
        let applied = Applied { index: self.index, term: TERM };
        let entry = &self.with_header(entry.clone());
        store::whole(self.machine().apply(applied, entry).expect("the store is readable"))
    }

    fn propose(&mut self, entry: InternalRaftRequest, body: impl Fn(bytes::Bytes) -> String) -> String {
        let outcome = self.apply(&entry);
        let mut text = print_result(&outcome.result, body);
        if let Some(changes) = &outcome.changes {
            assert!(outcome.result.is_ok());
            assert!(changes.changes.iter().all(|change| change.revision.main == changes.revision));
            changes.changes.iter().for_each(|change| text.push_str(&print::event(change)));
        }
        outcome.effects.iter().for_each(|effect| text.push_str(&print::effect(effect)));
        text
    }
}

fn served(result: Result<Reply, Failure>) -> Result<Reply, Rejection> {
    result.map_err(refused)
}

fn refused(failure: Failure) -> Rejection {
    match failure {
        Failure::Rejected(rejection) => rejection,
        failure => panic!("{failure}"),
    }
}

fn print_result(result: &Result<Reply, Rejection>, body: impl Fn(bytes::Bytes) -> String) -> String {
    match result {
        Ok(reply) => format!("r{}\n{}", reply.revision, body(reply.body.to_bytes())),
        Err(rejection) => print::rejection(*rejection),
    }
}

fn empty(body: bytes::Bytes) -> String {
    assert!(body.is_empty(), "header only");
    String::new()
}

fn number(command: &Command, place: usize) -> i64 {
    command.text(place).parse().expect("a number")
}
