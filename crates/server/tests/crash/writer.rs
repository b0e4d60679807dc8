//! Clients that write until they fail, or are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use tokio::sync::mpsc::UnboundedSender;
use tonic::Status;
use tonic::transport::Channel;

use crate::history::{Change, FILLER, Note, brief};
use testkit::Random;

use crate::keys::{KEYS, key, two_keys};

/// Far longer than the test: nothing expires by itself.
const LEASE_SECONDS: i64 = 36_000;

/// One request of a writer.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Put,
    Delete,
    /// Two puts, or a put and a delete: all of it or nothing.
    Txn,
    /// A lease, and a key of its own under it.
    Lease,
    /// The end of a lease, and of its key.
    Revoke,
    /// Never beyond what the watcher has seen.
    Compact,
}

/// What writers do.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) kinds: &'static [Kind],
    /// Length of a value: large ones cause checkpoints in the middle of the load.
    pub(crate) value_bytes: usize,
}

/// Sends one request after the other until one fails.
pub(crate) struct Writer {
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    load: Load,
    name: String,
    random: Random,
    /// What the watcher has seen.
    seen: Arc<AtomicI64>,
    notes: UnboundedSender<Note>,
    /// Number of the last value.
    values: u64,
    leases: Vec<(i64, String)>,
}

impl Writer {
    pub(crate) fn new(
        channel: &Channel,
        load: Load,
        name: String,
        random: Random,
        seen: Arc<AtomicI64>,
        notes: UnboundedSender<Note>,
    ) -> Writer {
        let (kv, lease) = (KvClient::new(channel.clone()), LeaseClient::new(channel.clone()));
        Writer { kv, lease, load, name, random, seen, notes, values: 0, leases: Vec::new() }
    }

    /// Why a request failed; `None` if none did until `stop` was set.
    pub(crate) async fn run(mut self, stop: Arc<AtomicBool>) -> Option<Status> {
        while !stop.load(Ordering::Relaxed) {
            let kinds = self.load.kinds;
            let sent = match kinds[self.random.below(kinds.len())] {
                Kind::Put => self.put().await,
                Kind::Delete => self.delete().await,
                Kind::Txn => self.txn().await,
                Kind::Lease => self.put_under_lease().await,
                Kind::Revoke => self.revoke().await,
                Kind::Compact => self.compact().await,
            };
            if let Err(status) = sent {
                return Some(status);
            }
        }
        None
    }

    async fn put(&mut self) -> Result<(), Status> {
        let key = key(&mut self.random);
        self.put_at(key, 0).await
    }

    async fn put_at(&mut self, key: String, lease: i64) -> Result<(), Status> {
        let (request, change) = self.put_request(key, lease);
        let header = self.kv.put(request).await?.into_inner().header;
        self.written(header, vec![change]);
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), Status> {
        let key = key(&mut self.random);
        let reply = self.kv.delete_range(delete_request(&key)).await?.into_inner();
        let changes = if reply.deleted == 0 { Vec::new() } else { vec![Change { key, value: None }] };
        self.written(reply.header, changes);
        Ok(())
    }

    async fn txn(&mut self) -> Result<(), Status> {
        let (first, second) = two_keys(&mut self.random);
        let absent = pb::Compare {
            target: pb::compare::CompareTarget::Create as i32,
            key: second.clone().into(),
            target_union: Some(pb::compare::TargetUnion::CreateRevision(0)),
            ..pb::Compare::default()
        };
        let (put_first, first) = self.put_request(first, 0);
        let (put_second, other) = self.put_request(second.clone(), 0);
        let put = |request| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(request)) };
        let delete = pb::request_op::Request::RequestDeleteRange(delete_request(&second));
        let request = pb::TxnRequest {
            compare: vec![absent],
            success: vec![put(put_first.clone()), put(put_second)],
            failure: vec![put(put_first), pb::RequestOp { request: Some(delete) }],
        };
        let reply = self.kv.txn(request).await?.into_inner();
        let last = if reply.succeeded { other } else { Change { key: second, value: None } };
        self.written(reply.header, vec![first, last]);
        Ok(())
    }

    async fn put_under_lease(&mut self) -> Result<(), Status> {
        let request = pb::LeaseGrantRequest { ttl: LEASE_SECONDS, ..pb::LeaseGrantRequest::default() };
        let lease = self.lease.lease_grant(request).await?.into_inner().id;
        self.note(Note::Granted(lease));
        let key = format!("lease/{lease:x}");
        self.put_at(key.clone(), lease).await?;
        self.leases.push((lease, key));
        Ok(())
    }

    async fn revoke(&mut self) -> Result<(), Status> {
        let Some((id, key)) = self.leases.pop() else { return self.put().await };
        self.note(Note::Revoking(id));
        let reply = self.lease.lease_revoke(pb::LeaseRevokeRequest { id }).await?.into_inner();
        self.note(Note::Revoked(id));
        self.written(reply.header, vec![Change { key, value: None }]);
        Ok(())
    }

    async fn compact(&mut self) -> Result<(), Status> {
        let revision = self.seen.load(Ordering::Relaxed) - self.random.below(KEYS) as i64;
        let request = pb::CompactionRequest { revision, ..pb::CompactionRequest::default() };
        match self.kv.compact(request).await {
            Ok(_) => self.note(Note::Compacted(revision)),
            // Another writer was faster, or nothing is there yet.
            Err(status) if status.code() == tonic::Code::OutOfRange => {}
            Err(status) => return Err(status),
        }
        Ok(())
    }

    /// No two values are the same.
    fn put_request(&mut self, key: String, lease: i64) -> (pb::PutRequest, Change) {
        self.values += 1;
        let mut value = format!("{}n{}", self.name, self.values).into_bytes();
        value.resize(value.len().max(self.load.value_bytes), FILLER);
        let change = Change { key: key.clone(), value: Some(brief(&value)) };
        let request =
            pb::PutRequest { key: key.into(), value: value.into(), lease, ..pb::PutRequest::default() };
        (request, change)
    }

    fn written(&self, header: Option<pb::ResponseHeader>, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.note(Note::Written(header.expect("a reply has a header").revision, changes));
        }
    }

    fn note(&self, note: Note) {
        self.notes.send(note).expect("somebody takes notes until the last writer ends");
    }
}

fn delete_request(key: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: key.to_owned().into(), ..pb::DeleteRangeRequest::default() }
}
