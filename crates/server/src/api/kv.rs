//! `etcdserverpb.KV`.

use std::time::Instant;

use engine::command::Field;
use machine::auth::Access;
use machine::read::Decisive;
use machine::{quota, read, txn, validate};
use proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest};
use tonic::Status;

use super::Api;
use super::method::Method;
use super::status::{not_for_learners, read_failed, rejected};
use crate::auth::Caller;
use crate::grpc::reply::Spliced;
use crate::limits::{RELEASE_PAUSE_MAX, RELEASE_PAUSE_MIN, RELEASE_WAIT_MAX};
use crate::metrics::Success;

impl Api {
    /// Reads a range of keys.
    pub(crate) async fn range(&self, caller: &Caller, request: RangeRequest) -> Result<Spliced, Status> {
        if !request.serializable && self.status.is_learner() {
            return Err(not_for_learners());
        }
        validate::range(&request).map_err(rejected)?;
        let started = Instant::now();
        if !request.serializable {
            self.read_barrier().await?;
        }
        let reply = self.read(caller, Access::Range(&request), &request, read::range).await;
        self.metrics.mvcc.range.inc();
        self.metrics.server.range_duration.of(Success::of(&reply)).observe(started.elapsed());
        Ok(self.spliced(reply?))
    }

    /// Writes a key.
    pub(crate) async fn put(&self, caller: &Caller, request: PutRequest) -> Result<Spliced, Status> {
        self.check_quota(|| quota::put_cost(&request)).await?;
        validate::put(&request).map_err(rejected)?;
        self.check_decisive(caller, Decisive::of_put(&request)).await?;
        let reply = self.propose(caller, Field::Put, &request).await?;
        Ok(self.spliced(reply))
    }

    /// Deletes a range of keys.
    pub(crate) async fn delete_range(
        &self,
        caller: &Caller,
        request: DeleteRangeRequest,
    ) -> Result<Spliced, Status> {
        validate::delete_range(&request).map_err(rejected)?;
        let reply = self.propose(caller, Field::DeleteRange, &request).await?;
        Ok(self.spliced(reply))
    }

    /// Looks at a request before it is decoded: a transaction may take a hundred times as much memory then.
    ///
    /// # Errors
    /// `TooManyOps`.
    pub(super) fn check_wire(&self, method: Method, wire: &[u8]) -> Result<(), Status> {
        match method {
            Method::Txn => validate::operations(wire, &self.settings.limits).map_err(rejected),
            _ => Ok(()),
        }
    }

    /// Compares, and does one of two lists of operations.
    pub(crate) async fn txn(&self, caller: &Caller, request: TxnRequest) -> Result<Spliced, Status> {
        self.check_quota(|| quota::txn_cost(&request)).await?;
        validate::txn(&request, &self.settings.limits).map_err(rejected)?;
        let reply = if txn::is_read_only(&request) {
            if !txn::is_serializable(&request) {
                self.read_barrier().await?;
            }
            self.read(caller, Access::Txn(&request), &request, read::txn).await?
        } else {
            if txn::writes(&request) {
                self.check_takes_writes()?;
            }
            self.check_decisive(caller, Decisive::of_txn(&request)).await?;
            self.propose(caller, Field::Txn, &request).await?
        };
        Ok(self.spliced(reply))
    }

    /// Returns whether a caller may read or write all of these keys: otherwise the command is refused in apply, where it is looked
    /// at as a whole.
    async fn may_know_of(&self, caller: &Caller, values: &Decisive) -> bool {
        if !self.is_auth_enabled() {
            return true;
        }
        for write in values.requests() {
            let (key, range_end) = (write.key.clone(), write.range_end.clone());
            let read = RangeRequest { key, range_end, ..Default::default() };
            if self.authorise(caller, Access::Range(&read)).await.is_err()
                && self.authorise(caller, Access::DeleteRange(&write)).await.is_err()
            {
                return false;
            }
        }
        true
    }

    /// Checks that the values can be read on which it depends what a command writes: once it is in the log, no member can go on
    /// without them.
    async fn check_decisive(&self, caller: &Caller, values: Decisive) -> Result<(), Status> {
        if values.is_empty() || !self.may_know_of(caller, &values).await {
            return Ok(());
        }
        let view = self.view();
        let read = if values.are_few() {
            values.read(&view)
        } else {
            self.read_at_leisure(caller, move |_| values.read(&view)).await?
        };
        read.map_err(read_failed)
    }

    /// Lets go of the history below a revision.
    pub(crate) async fn compact(
        &self,
        caller: &Caller,
        request: CompactionRequest,
    ) -> Result<Spliced, Status> {
        let reply = self.propose(caller, Field::Compaction, &request).await;
        // Files of history are unlinked when a checkpoint says that they are not needed (C2). A revision that is
        // compacted already may still wait for that.
        let is_compacted = match &reply {
            Ok(_) => true,
            Err(status) => status.message() == machine::Rejection::Compacted.text(),
        };
        if request.physical && is_compacted {
            self.await_release(request.revision).await?;
        }
        Ok(self.spliced(reply?))
    }

    /// Waits until the history below a revision is gone from the disk. The first checkpoint sees to that, unless somebody
    /// holds on to it: the hash of the compaction, which etcd's physical compactions wait for too, or slow readers.
    async fn await_release(&self, revision: i64) -> Result<(), Status> {
        let started = Instant::now();
        let mut pause = RELEASE_PAUSE_MIN;
        loop {
            self.checkpoint().await?;
            let released = self.ask(|machine| machine.store().released_revision()).await?;
            if released >= revision || started.elapsed() > RELEASE_WAIT_MAX {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(RELEASE_PAUSE_MAX);
        }
    }
}
