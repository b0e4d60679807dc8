//! What `lock` and `elect` have in common: a key of one's own below a name, on a lease that is kept alive, which counts
//! when all keys that were created before it are gone. The keys are those of etcd's recipes, so that programs which use these
//! and the commands exclude each other.

use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op;
use proto::etcdserverpb::{
    Compare, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    TxnRequest, WatchCreateRequest,
};
use proto::mvccpb::event::EventType;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::connect::Session;
use super::exit::Failure;
use super::range::prefix_end;
use super::renewal::Renewal;
use super::watching::{Notice, Watching};

/// A key that queues behind others of its name.
pub struct Claim {
    session: Session,
    lease: i64,
    prefix: Bytes,
    /// The key: the name, a slash and the lease in hexadecimal.
    pub key: Bytes,
    /// The revision that created it: its place in the queue.
    pub revision: i64,
}

impl Claim {
    /// Grants a lease and writes the key with `value`.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn new(session: &Session, name: &[u8], value: Bytes, ttl: i64) -> Result<Claim, Failure> {
        let grant = LeaseGrantRequest { ttl, ..LeaseGrantRequest::default() };
        let lease = session.answer(session.leases().lease_grant(grant)).await?.id;
        let prefix = Bytes::from([name, b"/"].concat());
        let key = Bytes::from([&prefix, format!("{lease:x}").as_bytes()].concat());
        let mut claim = Claim { session: session.clone(), lease, prefix, key, revision: 0 };
        claim.revision = claim.write(value).await?;
        Ok(claim)
    }

    /// Writes the key unless it exists, and returns the revision that created it.
    async fn write(&self, value: Bytes) -> Result<i64, Failure> {
        let key = self.key.clone();
        let is_new = Compare {
            key: key.clone(),
            target: CompareTarget::Create.into(),
            result: CompareResult::Equal.into(),
            target_union: Some(TargetUnion::CreateRevision(0)),
            ..Compare::default()
        };
        let put = PutRequest { key: key.clone(), value, lease: self.lease, ..PutRequest::default() };
        let request = |request| RequestOp { request: Some(request) };
        let transaction = TxnRequest {
            compare: vec![is_new],
            success: vec![request(Request::RequestPut(put))],
            failure: vec![request(Request::RequestRange(RangeRequest { key, ..RangeRequest::default() }))],
        };
        let answer = self.session.answer(self.session.kv().txn(transaction)).await?;
        let existing = answer.responses.into_iter().find_map(|operation| match operation.response {
            Some(response_op::Response::ResponseRange(range)) => range.kvs.into_iter().next(),
            _ => None,
        });
        let created =
            existing.map_or(answer.header.unwrap_or_default().revision, |pair| pair.create_revision);
        Ok(created)
    }

    /// Waits until no key of the name is older. Returns whether there was one.
    ///
    /// # Errors
    /// When the server refuses, or a watch ends.
    pub async fn wait_for_turn(&self) -> Result<bool, Failure> {
        let mut has_waited = false;
        loop {
            let older = self.session.answer(self.session.kv().range(self.newest_older())).await?;
            let Some(pair) = older.kvs.into_iter().next() else { return Ok(has_waited) };
            has_waited = true;
            let revision = older.header.unwrap_or_default().revision;
            wait_for_deletion(&self.session, pair.key, revision).await?;
        }
    }

    fn newest_older(&self) -> RangeRequest {
        RangeRequest {
            key: self.prefix.clone(),
            range_end: prefix_end(&self.prefix),
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Create.into(),
            limit: 1,
            max_create_revision: self.revision - 1,
            ..RangeRequest::default()
        }
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When the server refuses, or the key is gone: with `otherwise`.
    pub async fn read(&self, otherwise: &str) -> Result<RangeResponse, Failure> {
        let request = RangeRequest { key: self.key.clone(), ..RangeRequest::default() };
        let answer = self.session.answer(self.session.kv().range(request)).await?;
        if answer.kvs.is_empty() { Err(Failure::error(otherwise)) } else { Ok(answer) }
    }

    /// Keeps the lease alive until it is lost.
    pub async fn keep_alive(&self) {
        let mut renewal = Renewal::new(self.session.clone(), self.lease);
        while let Ok(Some(_)) = renewal.renew().await {
            renewal.pause().await;
        }
    }

    /// Revokes the lease, and with it the key.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn release(&self) -> Result<(), Failure> {
        let request = LeaseRevokeRequest { id: self.lease };
        self.session.answer(self.session.leases().lease_revoke(request)).await.map(|_| ())
    }
}

/// Waits until a key is deleted.
async fn wait_for_deletion(session: &Session, key: Bytes, since: i64) -> Result<(), Failure> {
    let mut watching = Watching::new(session.clone());
    watching.add(WatchCreateRequest { key, start_revision: since, ..WatchCreateRequest::default() });
    loop {
        match watching.next().await {
            Notice::Response(_, response) => {
                if response.events.iter().any(|event| event.r#type() == EventType::Delete) {
                    return Ok(());
                }
            }
            Notice::Refused(_, why) => return Err(Failure::error(why)),
            Notice::Ended(_) => return Err(Failure::error("lost watcher waiting for delete")),
        }
    }
}

/// SIGINT and SIGTERM, which do not end the process while this exists.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to take signals.
    ///
    /// # Errors
    /// When the system lets nobody wait for them.
    pub fn new() -> Result<Signals, Failure> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Signals { interrupt, terminate })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
