//! `v3lockpb.Lock`: who has the first key in the line of a name has the lock.

use std::sync::Arc;

use bytes::Bytes;
use proto::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse};
use proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::Status;

use super::Api;
use super::recipe::{Entered, Waiting, as_a_client_has_it, session_is_expired};
use crate::auth::Caller;
use crate::grpc::reply::Plain;

impl Api {
    /// Waits until the caller has the lock. A caller who goes meanwhile leaves the line.
    pub(crate) async fn lock(
        self: &Arc<Self>,
        caller: &Caller,
        request: LockRequest,
    ) -> Result<Plain<LockResponse>, Status> {
        self.lock_or_fail(caller, request).await.map(Plain).map_err(as_a_client_has_it)
    }

    async fn lock_or_fail(
        self: &Arc<Self>,
        caller: &Caller,
        LockRequest { name, lease }: LockRequest,
    ) -> Result<LockResponse, Status> {
        let lease = self.lease_for(caller, lease).await?;
        let Entered { place, header, is_first, .. } = self.enter(caller, &name, lease, Bytes::new()).await?;
        if is_first {
            return Ok(LockResponse { header, key: place.key });
        }
        let waiting = Waiting::at(self, caller, place.clone());
        self.reach_front(caller, &name, &place).await?;
        // The lease may have ended while others had the lock (rule L5).
        let (own, header) = self.own_key(caller, &place).await?;
        own.ok_or_else(session_is_expired)?;
        waiting.keep();
        Ok(LockResponse { header, key: place.key })
    }

    /// Gives a lock back, or a place in its line.
    pub(crate) async fn unlock(
        &self,
        caller: &Caller,
        request: UnlockRequest,
    ) -> Result<Plain<UnlockResponse>, Status> {
        let request = DeleteRangeRequest { key: request.key, ..Default::default() };
        let deleted = self.delete_for(caller, request).await.map_err(as_a_client_has_it)?;
        let DeleteRangeResponse { header, .. } = deleted;
        Ok(Plain(UnlockResponse { header }))
    }
}
