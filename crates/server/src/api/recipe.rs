//! What locks and elections are made of: a line of keys, of which the first has something.
//!
//! The line of a name is the keys `<name>/<lease in hexadecimal>`, in the order of their create revisions. Who waits, waits for
//! the deletion of the key before its own, so that a deletion wakes one and not all. Everything here is what a client could do
//! itself, by the caller's own permissions (contract: semantics, section 13).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::wire::WireReply;
use futures_util::StreamExt;
use prost::Message;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantRequest, LeaseGrantResponse,
    LeaseKeepAliveRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
use proto::mvccpb::{Event, KeyValue, event::EventType};
use tonic::{Code, Status};

use super::Api;
use super::status::corrupt;
use super::watch::Watches;
use crate::auth::Caller;
use crate::grpc::encoding::Encoding;
use crate::grpc::messages::Messages;
use crate::grpc::request_body::{RequestBody, frame_of};

/// Seconds for which a lease is granted to a caller who brings none.
const LEASE_TTL: i64 = 60;

/// A key in a line.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: Bytes,
    pub(super) lease: i64,
    /// The revision that made the key.
    pub(super) revision: i64,
}

/// A place that was just taken, or was there already.
pub(super) struct Entered {
    pub(super) place: Place,
    /// What the key had, if it was there already.
    pub(super) found: Option<Bytes>,
    /// Whether it is the first of its line.
    pub(super) is_first: bool,
    pub(super) header: Option<ResponseHeader>,
}

/// Returns the start of all keys in the line of a name.
pub(super) fn line_of(name: &[u8]) -> Vec<u8> {
    [name, b"/"].concat()
}

/// Returns a range of all keys that begin with these bytes, which are not empty and do not end with 0xff.
fn prefix(start: Vec<u8>) -> RangeRequest {
    let mut end = start.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    RangeRequest { key: start.into(), range_end: end.into(), ..Default::default() }
}

/// Returns the request for the first key of a line.
pub(super) fn first_of(name: &[u8]) -> RangeRequest {
    let (order, target) = (SortOrder::Ascend.into(), SortTarget::Create.into());
    RangeRequest { sort_order: order, sort_target: target, limit: 1, ..prefix(line_of(name)) }
}

/// Returns a condition on the revision that made a key: 0 for a key that is not there.
pub(super) fn made_at(key: &Bytes, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Default::default()
    }
}

fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

/// Returns an operation that puts a key for as long as a lease lives.
pub(super) fn put(key: &Bytes, value: Bytes, lease: i64) -> RequestOp {
    operation(Request::RequestPut(PutRequest { key: key.clone(), value, lease, ..Default::default() }))
}

/// Returns an operation that deletes a key.
pub(super) fn delete(key: &Bytes) -> RequestOp {
    operation(Request::RequestDeleteRange(DeleteRangeRequest { key: key.clone(), ..Default::default() }))
}

/// Returns the key that an operation has read, if it has read one.
fn read(response: ResponseOp) -> Option<KeyValue> {
    match response.response {
        Some(Response::ResponseRange(mut range)) => range.kvs.pop(),
        _ => None,
    }
}

/// Returns the message that a method of this member answers with.
fn message_of<M: Message + Default>(reply: &impl WireReply) -> Result<M, Status> {
    let mut bytes = Vec::with_capacity(reply.wire_len());
    reply.write(&mut bytes);
    M::decode(&bytes[..]).map_err(|error| Status::internal(error.to_string()))
}

/// Returns an error as etcd's services of locks and elections give it: they are clients of their own member, and a client has
/// the text of an error and not its code. That the call is over is said by the code as well.
pub(super) fn as_a_client_has_it(status: Status) -> Status {
    match status.code() {
        Code::Cancelled | Code::Unavailable => status,
        _ => Status::unknown(status.message()),
    }
}

impl Api {
    /// Does a transaction for the caller.
    pub(super) async fn txn_for(&self, caller: &Caller, request: TxnRequest) -> Result<TxnResponse, Status> {
        message_of(&self.txn(caller, request).await?)
    }

    /// Reads a range for the caller.
    pub(super) async fn range_for(
        &self,
        caller: &Caller,
        request: RangeRequest,
    ) -> Result<RangeResponse, Status> {
        message_of(&self.range(caller, request).await?)
    }

    /// Deletes a range for the caller.
    pub(super) async fn delete_for(
        &self,
        caller: &Caller,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Status> {
        message_of(&self.delete_range(caller, request).await?)
    }

    /// Returns the lease that the caller brings, or grants one.
    pub(super) async fn lease_for(&self, caller: &Caller, lease: i64) -> Result<i64, Status> {
        if lease != 0 {
            return Ok(lease);
        }
        let request = LeaseGrantRequest { ttl: LEASE_TTL, id: 0 };
        let granted: LeaseGrantResponse = message_of(&self.lease_grant(caller, request).await?)?;
        Ok(granted.id)
    }

    /// Takes a place at the end of a line, unless the lease has one already.
    pub(super) async fn enter(
        &self,
        caller: &Caller,
        name: &[u8],
        lease: i64,
        value: Bytes,
    ) -> Result<Entered, Status> {
        let key = Bytes::from([&line_of(name)[..], format!("{lease:x}").as_bytes()].concat());
        let own = RangeRequest { key: key.clone(), ..Default::default() };
        let first = operation(Request::RequestRange(first_of(name)));
        let request = TxnRequest {
            compare: vec![made_at(&key, 0)],
            success: vec![put(&key, value, lease), first.clone()],
            failure: vec![operation(Request::RequestRange(own)), first],
        };
        let TxnResponse { header, mut responses, .. } = self.txn_for(caller, request).await?;
        let first = responses.pop().and_then(read);
        let found = responses.pop().and_then(read);
        let made_now = header.as_ref().map_or(0, |header| header.revision);
        let revision = found.as_ref().map_or(made_now, |found| found.create_revision);
        let is_first = first.is_some_and(|first| first.create_revision == revision);
        let found = found.map(|found| found.value);
        Ok(Entered { place: Place { key, lease, revision }, found, is_first, header })
    }

    /// Waits until the keys before a place are gone, and keeps its lease alive meanwhile.
    pub(super) async fn reach_front(
        self: &Arc<Self>,
        caller: &Caller,
        name: &[u8],
        place: &Place,
    ) -> Result<(), Status> {
        tokio::select! {
            reached = self.wait_for_those_before(caller, name, place) => reached,
            lost = self.keep_alive_until_lost(caller, place.lease) => Err(lost),
            () = self.worker.streams_end() => Err(Status::unavailable("etcdserver: server stopped")),
            // What this member holds may be wrong (rule A6).
            () = self.shared.doubted() => Err(corrupt()),
        }
    }

    async fn wait_for_those_before(
        self: &Arc<Self>,
        caller: &Caller,
        name: &[u8],
        place: &Place,
    ) -> Result<(), Status> {
        while let Some((key, since)) = self.key_before(caller, name, place).await? {
            self.deleted(caller, &key, since).await?;
        }
        Ok(())
    }

    /// Returns the last key before a place, and as of which revision it is that; `None` for the first place.
    async fn key_before(
        &self,
        caller: &Caller,
        name: &[u8],
        place: &Place,
    ) -> Result<Option<(Bytes, i64)>, Status> {
        let request = RangeRequest {
            max_create_revision: place.revision - 1,
            sort_order: SortOrder::Descend.into(),
            keys_only: true,
            ..first_of(name)
        };
        let mut range = self.range_for(caller, request).await?;
        let revision = range.header.map_or(0, |header| header.revision);
        Ok(range.kvs.pop().map(|before| (before.key, revision)))
    }

    /// Returns when a key that is there at a revision has been deleted after it, or when that is compacted: it is looked at again
    /// then.
    async fn deleted(self: &Arc<Self>, caller: &Caller, key: &Bytes, since: i64) -> Result<(), Status> {
        let request = WatchCreateRequest {
            key: key.clone(),
            start_revision: since + 1,
            filters: vec![FilterType::Noput.into()],
            ..Default::default()
        };
        let mut events = Events::of(self, caller, request);
        while let Some(batch) = events.next().await? {
            if !batch.events.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps a lease alive for as long as this is polled. Returns only when it is lost.
    async fn keep_alive_until_lost(&self, caller: &Caller, id: i64) -> Status {
        loop {
            let renewed = self.keep_alive_once(caller, LeaseKeepAliveRequest { id }).await;
            let pause = match renewed {
                Ok(renewed) if renewed.0.ttl <= 0 => return session_is_expired(),
                Ok(renewed) => Duration::from_secs(renewed.0.ttl as u64) / 3,
                // Without a leader, for example. It is tried again while the lease may live.
                Err(_) => Duration::from_secs(1),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns a place's key as it is now, and a header.
    pub(super) async fn own_key(
        &self,
        caller: &Caller,
        place: &Place,
    ) -> Result<(Option<KeyValue>, Option<ResponseHeader>), Status> {
        let request = RangeRequest { key: place.key.clone(), ..Default::default() };
        let mut range = self.range_for(caller, request).await?;
        let own = range.kvs.pop().filter(|own| own.create_revision == place.revision);
        Ok((own, range.header))
    }
}

/// Returns the error of a lock or a campaign whose lease has ended while it waited.
pub(super) fn session_is_expired() -> Status {
    Status::unknown("mutex: session is expired")
}

/// A place that is given up unless it is kept: the caller has gone, or waits no longer.
pub(super) struct Waiting {
    api: Arc<Api>,
    caller: Caller,
    place: Option<Place>,
}

impl Waiting {
    /// Returns the guard of a place.
    pub(super) fn at(api: &Arc<Api>, caller: &Caller, place: Place) -> Self {
        Self { api: api.clone(), caller: caller.clone(), place: Some(place) }
    }

    /// Keeps the place.
    pub(super) fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        // Without a runtime the member is gone, and the key goes with its lease.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (api, caller) = (self.api.clone(), self.caller.clone());
        engine::spawn::task("giving a place in a line up", async move {
            let request = TxnRequest {
                compare: vec![made_at(&place.key, place.revision)],
                success: vec![delete(&place.key)],
                failure: Vec::new(),
            };
            // Who may not, or cannot, leaves the key to its lease.
            let _ = api.txn_for(&caller, request).await;
        });
    }
}

/// The responses of one watch of this member's own, on behalf of a caller.
pub(super) struct Events(Watches);

impl Events {
    /// Begins to watch.
    pub(super) fn of(api: &Arc<Api>, caller: &Caller, request: WatchCreateRequest) -> Self {
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) };
        let frames = futures_util::stream::iter([frame_of(&request)]);
        let body = RequestBody::of_frames(frames.chain(futures_util::stream::pending()));
        let bytes_max = api.settings.receive_bytes_max;
        let requests = Messages::new(body, Encoding::Identity, bytes_max, &api.unfinished);
        Self(api.watch(caller.clone(), requests))
    }

    /// Begins to watch all keys of a line.
    pub(super) fn of_line(api: &Arc<Api>, caller: &Caller, name: &[u8], since: i64) -> Self {
        let RangeRequest { key, range_end, .. } = prefix(line_of(name));
        Self::of(
            api,
            caller,
            WatchCreateRequest { key, range_end, start_revision: since, ..Default::default() },
        )
    }

    /// Returns the next response; `None` when the watch is canceled because its start is compacted.
    ///
    /// # Errors
    /// The watch is canceled for another reason.
    pub(super) async fn next(&mut self) -> Result<Option<WatchResponse>, Status> {
        let mut watches = pin!(&mut self.0);
        let Some(reply) = watches.next().await else { return Ok(None) };
        let response: WatchResponse = message_of(&reply?)?;
        match response.canceled {
            true if response.compact_revision != 0 => Ok(None),
            true => Err(Status::unknown(response.cancel_reason)),
            false => Ok(Some(response)),
        }
    }
}

/// Returns whether an event is a deletion.
pub(super) fn is_deletion(event: &Event) -> bool {
    event.r#type() == EventType::Delete
}
