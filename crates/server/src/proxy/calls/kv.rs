//! `etcdserverpb.KV`: calls go to a member, in the namespace; serializable ranges are answered from the [`Cache`] if they are
//! there.
//!
//! Of callers with a token nothing is kept and nothing is answered here: what they may read is the members' decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use tonic::Status;

use super::super::limits::ORDER_ATTEMPTS;
use super::cache::{Cache, Found, Keys};
use super::namespace::{Inside, Outside};
use super::raw::Raw;
use super::upstream::{Call, Upstream};
use crate::api::method::Method;
use crate::metrics::Metrics;

/// The key space.
pub(super) struct Kv {
    upstream: Arc<Upstream>,
    namespace: Bytes,
    cache: Mutex<Cache>,
    metrics: Arc<Metrics>,
    /// The newest revision that a range has shown (`--experimental-serializable-ordering`).
    newest: Option<AtomicI64>,
}

/// Whether ranges are answered in the order of their revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeOrder {
    Kept,
    NotKept,
}

/// The text with which callers are refused who must have a user: authentication is enabled.
const NO_USER: &str = "etcdserver: user name is empty";

impl Kv {
    /// Returns the key space. With the newest revision, ranges are answered in the order of their revisions.
    pub(super) fn new(
        upstream: Arc<Upstream>,
        namespace: Bytes,
        metrics: Arc<Metrics>,
        newest: Option<i64>,
    ) -> Kv {
        let newest = newest.map(AtomicI64::new);
        Kv { upstream, namespace, cache: Mutex::default(), metrics, newest }
    }

    /// Makes a call of this service.
    ///
    /// # Errors
    /// As a member answers.
    pub(super) async fn call(&self, method: Method, call: Call<'_>, message: Raw) -> Result<Raw, Status> {
        match method {
            Method::Range => self.range(call, message).await,
            Method::Put => {
                self.write::<PutRequest, PutResponse>(method, call, message, |put| vec![one(&put.key)]).await
            }
            Method::DeleteRange => {
                let keys = |delete: &DeleteRangeRequest| vec![range(&delete.key, &delete.range_end)];
                self.write::<_, DeleteRangeResponse>(method, call, message, keys).await
            }
            Method::Txn => self.write::<TxnRequest, TxnResponse>(method, call, message, keys_of_txn).await,
            Method::Compact => self.compact(call, message).await,
            _ => self.upstream.unary(method, call, message).await,
        }
    }

    async fn range(&self, call: Call<'_>, message: Raw) -> Result<Raw, Status> {
        let request: RangeRequest = decode(&message)?;
        // What is kept is older than what others have read meanwhile.
        let is_kept = !call.caller.has_token() && self.newest.is_none();
        let key: Bytes = RangeRequest { serializable: true, ..request.clone() }.encode_to_vec().into();
        if request.serializable && is_kept {
            match self.cache.lock().get(&key, request.revision, Instant::now()) {
                Found::Answer(answer) => {
                    self.metrics.proxy.cache_hits.add(1);
                    return Ok(answer);
                }
                Found::Compacted => {
                    self.metrics.proxy.cache_hits.add(1);
                    return Err(Status::out_of_range(
                        "etcdserver: mvcc: required revision has been compacted",
                    ));
                }
                Found::Nothing => self.metrics.proxy.cache_misses.add(1),
            }
        }
        let began = self.cache.lock().now();
        let answer = match self.read(call, &request, message).await {
            Ok(answer) => answer,
            Err(status) => {
                if status.message() == NO_USER {
                    self.forget_all();
                }
                return Err(status);
            }
        };
        let revision = revision_of(&answer);
        if !request.serializable {
            self.cache.lock().saw(revision);
        }
        if is_kept {
            let mut cache = self.cache.lock();
            cache.add(key, &request, began, revision, answer.clone());
            self.metrics.proxy.cache_keys.set(cache.len() as i64);
        }
        Ok(answer)
    }

    /// Reads a range from the members; one that is not older than what was read before, if that is asked for.
    async fn read(&self, call: Call<'_>, request: &RangeRequest, message: Raw) -> Result<Raw, Status> {
        let read = || self.forward::<_, RangeResponse>(Method::Range, call, request.clone(), message.clone());
        let Some(newest) = &self.newest else { return read().await };
        let before = newest.load(Ordering::Relaxed);
        let attempts = ORDER_ATTEMPTS * self.upstream.client().endpoints().len().max(1);
        for _ in 0..=attempts {
            let answer = read().await?;
            let response: RangeResponse = decode(&answer)?;
            let revision = response.header.map_or(0, |header| header.revision);
            if revision >= before {
                newest.fetch_max(revision, Ordering::Relaxed);
                return Ok(answer);
            }
        }
        Err(Status::unknown(
            "etcdclient: no cluster members have a revision higher than the previously received revision",
        ))
    }

    async fn write<Q, R>(
        &self,
        method: Method,
        call: Call<'_>,
        message: Raw,
        keys: impl FnOnce(&Q) -> Vec<Keys>,
    ) -> Result<Raw, Status>
    where
        Q: Message + Default + Inside,
        R: Message + Default + Outside,
    {
        let request: Q = decode(&message)?;
        // When it begins, and when it has ended, or its client has given it up.
        let written = Written { kv: self, keys: keys(&request) };
        written.note();
        let answer = self.forward::<Q, R>(method, call, request, message).await?;
        let revision = revision_of(&answer);
        self.cache.lock().saw(revision);
        Ok(answer)
    }

    /// Makes a call in the namespace.
    async fn forward<Q, R>(
        &self,
        method: Method,
        call: Call<'_>,
        mut request: Q,
        message: Raw,
    ) -> Result<Raw, Status>
    where
        Q: Message + Inside,
        R: Message + Default + Outside,
    {
        if self.namespace.is_empty() {
            return self.upstream.unary(method, call, message).await;
        }
        request.put_inside(&self.namespace)?;
        let answer = self.upstream.unary(method, call, Raw::of(&request)).await?;
        let mut response: R = decode(&answer)?;
        response.take_outside(&self.namespace);
        Ok(Raw::of(&response))
    }

    async fn compact(&self, call: Call<'_>, message: Raw) -> Result<Raw, Status> {
        let request: CompactionRequest = decode(&message)?;
        let answer = self.upstream.unary(Method::Compact, call, message).await?;
        self.cache.lock().compact(request.revision);
        Ok(answer)
    }

    /// Forgets the ranges: who may read them has changed.
    pub(super) fn forget_all(&self) {
        self.cache.lock().clear();
        self.metrics.proxy.cache_keys.set(0);
    }

    /// Forgets the ranges now, and again when what is returned is dropped.
    pub(super) fn forgetting(&self) -> Forgetting<'_> {
        self.forget_all();
        Forgetting(self)
    }
}

/// A call is under way that changes more than is known here.
pub(super) struct Forgetting<'a>(&'a Kv);

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.forget_all();
    }
}

/// What all answers of this service begin with; the rest is not looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct Headed {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
}

/// Returns the revision at which a member has answered.
fn revision_of(answer: &Raw) -> i64 {
    let header = Headed::decode(answer.0.clone()).ok().and_then(|answer| answer.header);
    header.map_or(0, |header| header.revision)
}

/// A write that is under way.
struct Written<'a> {
    kv: &'a Kv,
    keys: Vec<Keys>,
}

impl Written<'_> {
    fn note(&self) {
        if !self.keys.is_empty() {
            let mut cache = self.kv.cache.lock();
            cache.write(&self.keys);
            self.kv.metrics.proxy.cache_keys.set(cache.len() as i64);
        }
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.note();
    }
}

/// Reads a message that a client or a member has sent.
pub(super) fn decode<M: Message + Default>(message: &Raw) -> Result<M, Status> {
    M::decode(message.0.clone())
        .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
}

fn one(key: &Bytes) -> Keys {
    Keys { key: key.clone(), range_end: Bytes::new() }
}

fn range(key: &Bytes, range_end: &Bytes) -> Keys {
    Keys { key: key.clone(), range_end: range_end.clone() }
}

/// Returns the keys that a transaction may write; and, as in etcd, those that it compares: a client that compares with something
/// that is not so any more must see that.
fn keys_of_txn(txn: &TxnRequest) -> Vec<Keys> {
    let mut keys: Vec<Keys> =
        txn.compare.iter().map(|compare| range(&compare.key, &compare.range_end)).collect();
    let mut open = vec![txn];
    while let Some(txn) = open.pop() {
        for operation in txn.success.iter().chain(&txn.failure) {
            match &operation.request {
                Some(Request::RequestPut(put)) => keys.push(one(&put.key)),
                Some(Request::RequestDeleteRange(delete)) => keys.push(range(&delete.key, &delete.range_end)),
                Some(Request::RequestTxn(txn)) => open.push(txn),
                Some(Request::RequestRange(_)) | None => {}
            }
        }
    }
    keys
}
