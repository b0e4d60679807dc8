//! One server and its clients: takes a step, gives the reply.

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::range_request::SortTarget;
use testkit::{Program, Server, Version};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::step::{Reply, Step};
use crate::watches::Watches;

/// A server under test.
pub(crate) struct Side {
    /// Kept for its drop, which ends the process.
    _server: Server,
    pub(crate) version: Version,
    is_quorate: bool,
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    maintenance: MaintenanceClient<Channel>,
    pub(crate) watches: Watches,
}

impl Side {
    /// Starts a fresh server and connects.
    pub(crate) async fn start(program: &Program) -> Side {
        let server = Server::start(program, &[]);
        let endpoint = Endpoint::from_shared(format!("http://{}", server.client_address())).expect("a URL");
        let channel = endpoint.connect().await.expect("a server that serves accepts a connection");
        Side {
            version: program.version(),
            is_quorate: program.is_quorate(),
            kv: KvClient::new(channel.clone()),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            watches: Watches::open(&channel).await,
            _server: server,
        }
    }

    /// Runs a step. `revision` and `compacted` are the store's, for what a new watch must see.
    pub(crate) async fn take(&mut self, step: &Step, revision: i64, compacted: i64) -> Result<Reply, String> {
        Ok(match step.clone() {
            Step::Range(request) => reply(self.kv.range(request).await, Reply::Range),
            Step::RangeStream(request) if self.sorts_chunks(&request) => {
                reply(self.kv.range(request).await, Reply::Range)
            }
            Step::RangeStream(request) => self.range_stream(request).await,
            Step::Put(request) => reply(self.kv.put(request).await, Reply::Put),
            Step::DeleteRange(request) => reply(self.kv.delete_range(request).await, Reply::DeleteRange),
            Step::Txn(request) => reply(self.kv.txn(request).await, Reply::Txn),
            Step::Compact(request) => {
                // What a watch has not got yet it may never get once it is compacted.
                self.watches.settle_for_compaction(revision, compacted).await?;
                reply(self.kv.compact(request).await, Reply::Compact)
            }
            Step::LeaseGrant(request) => reply(self.lease.lease_grant(request).await, Reply::LeaseGrant),
            Step::LeaseRevoke(request) => reply(self.lease.lease_revoke(request).await, Reply::LeaseRevoke),
            Step::LeaseTimeToLive(request) => {
                reply(self.lease.lease_time_to_live(request).await, Reply::LeaseTimeToLive)
            }
            Step::LeaseKeepAlive(request) => self.keep_alive(request).await,
            Step::LeaseLeases => {
                reply(self.lease.lease_leases(pb::LeaseLeasesRequest {}).await, Reply::LeaseLeases)
            }
            Step::HashKv(request) => reply(self.maintenance.hash_kv(request).await, Reply::HashKv),
            Step::Alarm(request) => reply(self.maintenance.alarm(request).await, Reply::Alarm),
            Step::WatchCreate { stream, request } => {
                Reply::Watch(self.watches.create(stream, request, revision, compacted).await)
            }
            Step::WatchCancel { stream, watch_id } => {
                self.watches.settle(revision).await?;
                Reply::Watch(self.watches.cancel(stream, watch_id).await.unwrap_or_default())
            }
            Step::WatchProgress { stream } => {
                Reply::Watch(self.watches.progress(stream, revision, compacted).await?.unwrap_or_default())
            }
        })
    }

    /// Whether this server would sort each chunk of the stream by itself, so that the messages together are not the range
    /// (docs/decisions/0008): what they should be is then the unary reply. Of what is refused as a stream, it is asked as
    /// one.
    fn sorts_chunks(&self, request: &pb::RangeRequest) -> bool {
        let filters = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        let is_taken = request.sort_order == 0 && filters == [0; 4];
        !self.is_quorate && is_taken && request.sort_target != SortTarget::Key as i32
    }

    /// All messages of the stream merged, which is what the unary call would give (semantics.md section 2.1).
    async fn range_stream(&mut self, request: pb::RangeRequest) -> Reply {
        let mut stream = match self.kv.range_stream(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return refused(status),
        };
        let mut whole = pb::RangeResponse::default();
        loop {
            match stream.message().await {
                Ok(Some(part)) => {
                    let Some(part) = part.range_response else { continue };
                    whole.header = part.header.or(whole.header);
                    whole.kvs.extend(part.kvs);
                    whole.more |= part.more;
                    whole.count = whole.count.max(part.count);
                }
                Ok(None) => return Reply::Range(whole),
                Err(status) => return refused(status),
            }
        }
    }

    /// One request, one answer, then the end of the stream.
    async fn keep_alive(&mut self, request: pb::LeaseKeepAliveRequest) -> Reply {
        let mut stream = match self.lease.lease_keep_alive(tokio_stream::iter([request])).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return refused(status),
        };
        match stream.message().await {
            Ok(answer) => Reply::LeaseKeepAlive(answer.unwrap_or_default()),
            Err(status) => refused(status),
        }
    }
}

fn reply<T>(result: Result<Response<T>, Status>, wrap: impl Fn(T) -> Reply) -> Reply {
    match result {
        Ok(response) => wrap(response.into_inner()),
        Err(status) => refused(status),
    }
}

fn refused(status: Status) -> Reply {
    Reply::Refused(status.code(), status.message().to_owned())
}
